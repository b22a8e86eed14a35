"""Schwinn et al., table 1: RFGSM and NFGSM training with and without PNIL, under PGD and SPSA.

The claims: models without PNIL "often resulted in low robustness against gradient-free attacks", those with PNIL "were
not affected by gradient obfuscation", and "higher effective adversarial robustness was achieved in five out of six
cases when using the PNIL, with significant differences in four" (section 5.2; its table 1 has six of six higher).
Effective robustness (Min) is the lowest of the attacks' mean accuracies: in each row of the table it is one attack's
column. Beyond the paper: the worst case of the audit, and its codes.

There are two blocks, the same models at the eps that the text states and at the eps that fits the table's figures.
Each row with PNIL is held against the same training without it (:func:`advtool.reproduce.verdict.judge_robustness`):

- its Min is what is shown, held against the paper's Min; at the stated eps, which do not fit the table's figures,
  against the training without PNIL alone;
- a gain is clear by the paper's test, the corrected resampled t-test at 0.003 over all ten folds; where fewer were
  trained, if the paired 95 % interval over the audited images of all of them leaves 0 out;
- a masking code counts that the audit raises for half of the folds or more.

The star marks a difference of Min that is significant by that test; fewer folds have none.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import fmean
from typing import NamedTuple

from advtool.evaluation.finished import FinishedRun
from advtool.reproduce import pnil, pooled
from advtool.reproduce.folds import REPEATS
from advtool.reproduce.laboratory import Measured
from advtool.reproduce.measurement import point, repeated
from advtool.reproduce.plan import Model, Plan
from advtool.reproduce.pnil import FITTED_EPS, RECIPES, STATED_EPS, AuditBudget
from advtool.reproduce.registry import SCHWINN, Content, Reproduction
from advtool.reproduce.scale import Scale
from advtool.reproduce.verdict import Evidence, Gain, Judgement, above, below, judge_robustness, judged_row
from advtool.results import Column, Figure, Panel, Point, Row, Series

CLEAN, SPSA, PGD, MIN, WORST = "clean", "SPSA", "PGD-50", "Min", "worst case"
ATTACKS = ("pgd", "spsa")
"""Whose minimum is the effective robustness."""
ALPHA = 0.003
"""The paper's level of significance."""
TESTED_FOLDS = 2 * REPEATS
"""Differences that the paper's test is made of."""
TEST_TO_TRAIN = 1.0
"""Of two halves, for the correction of the test."""
BLOCKS = {"stated eps": STATED_EPS, "fitted eps": FITTED_EPS}
SCALES = {
    Scale.smoke: AuditBudget(
        epochs=2, limit=100, validated=20, images=10, repeats=1, audited=2, spsa_steps=3, spsa_samples=8, eot=2
    ),
    Scale.cpu: AuditBudget(
        epochs=10,
        limit=12_000,
        validated=250,
        images=500,
        repeats=1,
        keep="pgd",
        first_folds=1,
        audited=50,
        spsa_steps=40,
        spsa_samples=64,
        eot=5,
    ),
    Scale.paper: AuditBudget(epochs=None, limit=None, validated=None, images=None, repeats=REPEATS),
}


class Stated(NamedTuple):
    """A row of the paper's table: mean and standard deviation, in per cent, of each column."""

    clean: tuple[int, int]
    spsa: tuple[int, int]
    pgd: tuple[int, int]
    least: tuple[int, int]


STATED = {
    ("cifar10", "rfgsm", False): Stated((75, 0), (58, 3), (52, 0), (52, 0)),
    ("cifar10", "rfgsm", True): Stated((68, 0), (63, 1), (57, 0), (57, 0)),
    ("cifar10", "nfgsm", False): Stated((77, 1), (53, 3), (50, 0), (50, 0)),
    ("cifar10", "nfgsm", True): Stated((66, 0), (65, 2), (57, 0), (57, 0)),
    ("fashion-mnist", "rfgsm", False): Stated((83, 1), (2, 1), (58, 9), (2, 1)),
    ("fashion-mnist", "rfgsm", True): Stated((80, 0), (74, 1), (70, 0), (70, 0)),
    ("fashion-mnist", "nfgsm", False): Stated((85, 0), (3, 2), (64, 8), (3, 2)),
    ("fashion-mnist", "nfgsm", True): Stated((82, 0), (78, 1), (67, 0), (67, 0)),
    ("mnist", "rfgsm", False): Stated((98, 0), (46, 28), (61, 25), (46, 28)),
    ("mnist", "rfgsm", True): Stated((98, 0), (79, 1), (55, 9), (55, 9)),
    ("mnist", "nfgsm", False): Stated((98, 0), (23, 36), (54, 11), (23, 36)),
    ("mnist", "nfgsm", True): Stated((98, 0), (77, 1), (60, 4), (60, 4)),
}
STARRED = ("cifar10", "fashion-mnist")
"""Data sets whose Min has the paper's star, in both rows of both recipes."""


class FoldRuns(NamedTuple):
    """What was asked of one fold's model."""

    shown: FinishedRun
    audit: FinishedRun

    def accuracy(self, attack: str) -> float:
        """Under PGD on all images, under SPSA on its own."""
        return pooled.share((self.audit if attack == "spsa" else self.shown).survives[attack])


@dataclass(frozen=True)
class Case:
    """A row: in which block, on what, trained how."""

    block: str
    dataset: str
    recipe: str
    pnil: bool

    @property
    def eps(self) -> float:
        """Radius of training and attacks."""
        return BLOCKS[self.block][self.dataset]

    @property
    def baseline(self) -> "Case":
        """The same without PNIL."""
        return Case(self.block, self.dataset, self.recipe, False)

    def models(self, budget: AuditBudget) -> list[Model]:
        """One for each fold."""
        return [
            pnil.model(self.dataset, self.recipe, budget, eps=self.eps, pnil=self.pnil, fold=fold)
            for fold in budget.folds()
        ]

    def runs(self, measured: Measured, budget: AuditBudget) -> list[FoldRuns]:
        """What was measured of each fold."""
        return [
            FoldRuns(*(measured.runs[question(model, budget, self.eps)] for question in (pnil.shown, pnil.audit)))
            for model in self.models(budget)
        ]


def cases(scale: Scale, datasets: Sequence[str]) -> list[Case]:
    """Every row, block by block; smoke takes NFGSM at the fitted eps."""
    every = [Case(*each) for each in product(BLOCKS, datasets, RECIPES, (False, True))]
    return [case for case in every if scale is not Scale.smoke or (case.block, case.recipe) == ("fitted eps", "nfgsm")]


def effective(folds: Sequence[FoldRuns]) -> list[float]:
    """The paper's Min, fold by fold: the accuracies under the attack that leaves least over all of them."""
    return min(([fold.accuracy(attack) for fold in folds] for attack in ATTACKS), key=fmean)


def effective_images(folds: Sequence[FoldRuns]) -> list[list[bool]]:
    """Which of the audited images survive the attack that leaves least of them over all folds, fold by fold."""
    survivors = ([fold.audit.survives[attack] for fold in folds] for attack in ATTACKS)
    return min(survivors, key=lambda of_attack: sum(map(sum, of_attack)))


def plan(scale: Scale, datasets: Sequence[str]) -> Plan:
    """Two questions to every fold of every case: PGD on all images, SPSA and the audit on some."""
    budget = SCALES[scale]
    asked = [
        question(model, budget, case.eps)
        for case in cases(scale, datasets)
        for model in case.models(budget)
        for question in (pnil.shown, pnil.audit)
    ]
    return Plan(questions=tuple(asked), cuts=(*budget.cuts(datasets), *_further_cuts(scale)))


def significant(ours: Sequence[float], theirs: Sequence[float]) -> bool | None:
    """Whether effective robustness with and without PNIL differs by the paper's test; None with too few folds.

    Args:
        ours: with PNIL, one for each fold, in order.
        theirs: without, on the same folds.
    """
    if len(ours) < TESTED_FOLDS:
        return None
    tested = _tested(ours, theirs)
    return above(tested) or below(tested)


def judge(ours: Sequence[FoldRuns], theirs: Sequence[FoldRuns], paper: float | None) -> Judgement:
    """The verdict on PNIL, by the rule above.

    Args:
        ours: with PNIL, a fold each.
        theirs: without, on the same folds.
        paper: its Min with PNIL, a fraction.
    """
    audits = [runs.audit for runs in ours]
    evidence = Evidence(
        shown=fmean(effective(ours)),
        gain=_gain(ours, theirs),
        honest_gain=_honest_gain(audits, [runs.audit for runs in theirs]),
        distance=fmean(map(pooled.share, effective_images(ours))) - fmean(pooled.share(a.worst_case) for a in audits),
        codes=pooled.frequent_codes(audits),
    )
    return judge_robustness(evidence, paper)


def tabulate(measured: Measured, scale: Scale, datasets: Sequence[str]) -> Content:
    """A row for each case, the verdict in those with PNIL; a panel of Min for each block and data set."""
    rows = [_row(measured, case, SCALES[scale]) for case in cases(scale, datasets)]
    return Content(
        label_columns=("block", "data set", "eps", "training"),
        columns=[Column(name=name) for name in (CLEAN, SPSA, PGD, MIN, WORST)],
        rows=rows,
        panels=[_panel(rows, *each) for each in dict.fromkeys((row.labels[0], row.labels[1]) for row in rows)],
        notes=(
            "Mean and standard deviation over the models of the cross-validation; each is tested on the half that it "
            "did not train on. Min: the lower of the two means, under PGD and under SPSA; a star: with and without "
            f"PNIL differ by the corrected resampled t-test at {ALPHA}.",
            "The paper's table has one block; its figures stand beside both. Worst case: images that survive the "
            "whole audit and SPSA, not in the paper.",
        ),
    )


def _further_cuts(scale: Scale) -> Iterator[str]:
    if len(SCALES[scale].folds()) < TESTED_FOLDS:
        yield "too few folds for the test of significance"
    if scale is Scale.smoke:
        yield "NFGSM at the fitted eps alone"


def _tested(ours: Sequence[float], theirs: Sequence[float]) -> pooled.MeanGain:
    differences = [a - b for a, b in zip(ours, theirs, strict=True)]
    return pooled.tested_gain(differences, test_to_train=TEST_TO_TRAIN, alpha=ALPHA)


def _gain(ours: Sequence[FoldRuns], theirs: Sequence[FoldRuns]) -> Gain:
    if len(ours) >= TESTED_FOLDS:
        return _tested(effective(ours), effective(theirs))
    return pooled.image_gain(effective_images(ours), effective_images(theirs))


def _honest_gain(ours: Sequence[FinishedRun], theirs: Sequence[FinishedRun]) -> Gain:
    survivors, others = ([run.worst_case for run in runs] for runs in (ours, theirs))
    if len(ours) >= TESTED_FOLDS:
        return _tested([pooled.share(each) for each in survivors], [pooled.share(each) for each in others])
    return pooled.image_gain(survivors, others)


def _row(measured: Measured, case: Case, budget: AuditBudget) -> Row:
    runs = case.runs(measured, budget)
    stated = STATED.get((case.dataset, case.recipe, case.pnil))
    judgement = None
    if case.pnil:
        fits = case.eps == FITTED_EPS[case.dataset]
        paper = stated.least[0] / 100 if stated and fits else None
        judgement = judge(runs, case.baseline.runs(measured, budget), paper)
    return judged_row(
        labels=[case.block, case.dataset, f"{case.eps:.3g}", pnil.title(case.recipe, pnil=case.pnil)],
        figures=_figures(runs, stated) | {MIN: _least(measured, case, budget)},
        codes=pooled.all_codes([each.audit for each in runs]),
        judgement=judgement,
    )


def _figures(runs: Sequence[FoldRuns], stated: Stated | None) -> dict[str, Figure]:
    """Every column but Min."""
    return {
        CLEAN: _figure([pooled.share(each.shown.clean) for each in runs], stated and stated.clean),
        SPSA: _figure([pooled.share(each.audit.survives["spsa"]) for each in runs], stated and stated.spsa),
        PGD: _figure([pooled.share(each.shown.survives["pgd"]) for each in runs], stated and stated.pgd),
        WORST: _figure([pooled.share(each.audit.worst_case) for each in runs], None),
    }


def _least(measured: Measured, case: Case, budget: AuditBudget) -> Figure:
    """Min, with its star in both rows of a pair, as in the paper."""
    values = {
        has: effective(Case(case.block, case.dataset, case.recipe, has).runs(measured, budget)) for has in (False, True)
    }
    stated = STATED.get((case.dataset, case.recipe, case.pnil))
    starred = None if stated is None else case.dataset in STARRED
    stars = {"significant": significant(values[True], values[False]), "paper_significant": starred}
    return _figure(values[case.pnil], stated and stated.least).model_copy(update=stars)


def _figure(values: Sequence[float], stated: tuple[int, int] | None) -> Figure:
    return repeated(values) if stated is None else repeated(values, stated[0] / 100, stated[1] / 100)


def _panel(rows: Sequence[Row], block: str, dataset: str) -> Panel:
    here = [row for row in rows if row.labels[:2] == [block, dataset]]
    paper = [Point(x=row.labels[3], y=value) for row in here if (value := row.figures[MIN].paper) is not None]
    ours = [
        Series(name=name, points=[point(row.labels[3], row.figures[name]) for row in here]) for name in (MIN, WORST)
    ]
    return Panel(
        title=f"{dataset}, {block}",
        kind="bars",
        y_label="accuracy",
        series=[Series(name=f"{MIN}, paper", points=paper, paper=True), *ours],
    )


REPRODUCTION = Reproduction(
    name="pnil-table1",
    title="Table 1: RFGSM and NFGSM training with and without PNIL, under PGD and SPSA",
    paper=SCHWINN,
    claim="With PNIL the effective robustness (the lowest accuracy under PGD and SPSA) is higher than without, and no "
    "gradient is obfuscated.",
    rule="Each training with PNIL against the same without, on Min. Reached: at most 10 points below the paper's Min, "
    "and not clearly below the training without PNIL; at stated eps, which the table's figures do not fit, "
    "clearly above that training. Reached, but a masking code in half of the folds, a worst case 20 points lower,"
    " or one clearly below that training's: gradient masking. Reached with a clear gain holds, with one within "
    "noise partly; not reached, but clearly better, in the worst case too, partly; else does not. Clear: by the "
    "corrected resampled t-test at 0.003 over ten folds; with fewer, by the paired 95 % interval over all audited"
    " images.",
    datasets=pnil.DATASETS,
    other_datasets={Scale.smoke: ("digits",), Scale.cpu: ("mnist", "fashion-mnist")},
    plan=plan,
    tabulate=tabulate,
)
