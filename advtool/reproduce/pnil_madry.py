"""Schwinn et al., section 5.2: NFGSM with PNIL on CIFAR-10's own split, against the PGD training of Madry et al.

"We compared the robustness achieved through PGD training in [17] (46% accuracy) to our approach and achieved a mean
accuracy of 59% over ten runs." The attack is PGD-50; Madry's figure is under PGD-20. Beside it stands a network of
the same structure that we train with PGD, on the same images and for as many epochs.

At the scale paper NFGSM + PNIL is held against that reference (:func:`advtool.reproduce.verdict.judge_robustness`):

- its accuracy under PGD-50 is what is shown, held against the paper's 59 %: ten points less are still above 46 %;
- a gain is clear if the paired t-test over the trainings, seed by seed, is significant at 0.05;
- a masking code counts that the audit raises for half of the trainings or more.

A smaller scale has no verdict: so few images and epochs are no measure of the claim.
"""

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any, NamedTuple

from advtool.evaluation.finished import FinishedRun
from advtool.reproduce import pnil, pooled
from advtool.reproduce.laboratory import Measured
from advtool.reproduce.measurement import point, repeated
from advtool.reproduce.plan import Model, Plan
from advtool.reproduce.pnil import FITTED_EPS, AuditBudget
from advtool.reproduce.registry import SCHWINN, Content, Reproduction
from advtool.reproduce.scale import Scale
from advtool.reproduce.verdict import Evidence, Judgement, judge_robustness, judged_row
from advtool.results import Column, Figure, Panel, Point, Row, Series

CLEAN, PGD, SPSA, WORST = "clean", "PGD-50", "SPSA", "worst case"
ALPHA = 0.05


class Training(NamedTuple):
    """One way of training, and its accuracy in the paper."""

    recipe: str
    changes: dict[str, Any]
    pnil: bool
    stated: float


REFERENCE, METHOD = "PGD-7 (Madry et al.)", "NFGSM + PNIL"
TRAININGS = {
    REFERENCE: Training("pgd", {"pgd_steps": 7}, pnil=False, stated=0.46),
    METHOD: Training("nfgsm", {}, pnil=True, stated=0.59),
}


SCALES = {
    Scale.smoke: AuditBudget(
        epochs=2, limit=100, validated=20, images=10, repeats=None, audited=2, spsa_steps=3, spsa_samples=8, eot=2
    ),
    Scale.cpu: AuditBudget(epochs=10, limit=300, validated=50, images=50, repeats=None, audited=0, eot=10),
    Scale.paper: AuditBudget(epochs=None, limit=None, validated=None, images=None, repeats=None),
}
SEEDS = {Scale.smoke: 1, Scale.cpu: 1, Scale.paper: 10}
"""Trainings of each mean; the paper has ten."""


def models(dataset: str, name: str, scale: Scale) -> list[Model]:
    """One of ``TRAININGS`` on the data set's own split, with each seed."""
    wanted = TRAININGS[name]
    first = pnil.model(
        dataset,
        wanted.recipe,
        SCALES[scale],
        eps=FITTED_EPS[dataset],
        pnil=wanted.pnil,
        fold=None,
        **wanted.changes,
    )
    return [replace(first, seed=seed) for seed in range(SEEDS[scale])]


def plan(scale: Scale, datasets: Sequence[str]) -> Plan:
    """PGD on all test images to each training; SPSA and the audit on some, where the scale has them."""
    budget = SCALES[scale]
    asked = [
        question(model, budget, FITTED_EPS[dataset])
        for dataset in datasets
        for name in TRAININGS
        for model in models(dataset, name, scale)
        for question in ((pnil.shown, pnil.audit) if budget.audited else (pnil.shown,))
    ]
    cuts = budget.cuts(datasets)
    if SEEDS[scale] < SEEDS[Scale.paper]:
        cuts += (f"{SEEDS[scale]} training of each kind in place of {SEEDS[Scale.paper]}",)
    return Plan(questions=tuple(asked), cuts=cuts)


class Runs(NamedTuple):
    """Of all trainings of one kind, by seed; no audits where the scale has none."""

    shown: list[FinishedRun]
    audits: list[FinishedRun]

    def accuracies(self) -> list[float]:
        """Under PGD-50, of each."""
        return [pooled.share(run.survives["pgd"]) for run in self.shown]

    def worst_cases(self) -> list[float]:
        """Of each audit."""
        return [pooled.share(run.worst_case) for run in self.audits]


def judge(method: Runs, reference: Runs) -> Judgement:
    """The verdict on NFGSM + PNIL by the rule above; both were audited, with the same seeds, at least two."""
    on_audited = [pooled.share(run.survives["pgd"]) for run in method.audits]
    evidence = Evidence(
        shown=fmean(method.accuracies()),
        gain=_tested(method.accuracies(), reference.accuracies()),
        honest_gain=_tested(method.worst_cases(), reference.worst_cases()),
        distance=fmean(on_audited) - fmean(method.worst_cases()),
        codes=pooled.frequent_codes(method.audits),
    )
    return judge_robustness(evidence, TRAININGS[METHOD].stated)


def tabulate(measured: Measured, scale: Scale, datasets: Sequence[str]) -> Content:
    """A row for each training; at the scale paper a verdict on NFGSM + PNIL."""
    rows = [_row(measured, dataset, name, scale) for dataset in datasets for name in TRAININGS]
    unjudged = "No verdict: not measured at this scale; so few images and epochs say nothing of the claim."
    return Content(
        label_columns=("data set", "training"),
        columns=[Column(name=name) for name in (CLEAN, PGD, SPSA, WORST)],
        rows=rows,
        panels=[_panel(rows, dataset) for dataset in datasets],
        notes=(
            "The data set's own split. Our reference is trained with seven steps of PGD for as many epochs as the "
            "other; Madry et al.'s 46 % are of a larger network, trained longer on augmented images, under PGD-20.",
            *(() if scale is Scale.paper else (unjudged,)),
        ),
    )


def _tested(ours: Sequence[float], theirs: Sequence[float]) -> pooled.MeanGain:
    differences = [a - b for a, b in zip(ours, theirs, strict=True)]
    # One training set, no resampling: the plain paired t-test.
    return pooled.tested_gain(differences, test_to_train=0.0, alpha=ALPHA)


def _runs(measured: Measured, dataset: str, name: str, scale: Scale) -> Runs:
    budget, eps, trained = SCALES[scale], FITTED_EPS[dataset], models(dataset, name, scale)
    return Runs(
        [measured.runs[pnil.shown(model, budget, eps)] for model in trained],
        [measured.runs[pnil.audit(model, budget, eps)] for model in trained] if budget.audited else [],
    )


def _row(measured: Measured, dataset: str, name: str, scale: Scale) -> Row:
    runs = _runs(measured, dataset, name, scale)
    judgement = None
    if name == METHOD and scale is Scale.paper:
        judgement = judge(runs, _runs(measured, dataset, REFERENCE, scale))
    return judged_row(
        labels=[dataset, name],
        figures=_figures(runs, TRAININGS[name].stated if dataset == "cifar10" else None),
        codes=pooled.all_codes(runs.audits),
        judgement=judgement,
    )


def _figures(runs: Runs, stated: float | None) -> dict[str, Figure]:
    """SPSA and the worst case stay blank without audits."""
    figures = {
        CLEAN: repeated([pooled.share(run.clean) for run in runs.shown]),
        PGD: repeated(runs.accuracies(), stated),
    }
    if runs.audits:
        figures[SPSA] = pooled.accuracy(runs.audits, "spsa")
        figures[WORST] = repeated(runs.worst_cases())
    return figures


def _panel(rows: Sequence[Row], dataset: str) -> Panel:
    here = [row for row in rows if row.labels[0] == dataset]
    paper = [Point(x=row.labels[1], y=value) for row in here if (value := row.figures[PGD].paper) is not None]
    ours = [point(row.labels[1], row.figures[PGD]) for row in here]
    return Panel(
        title=f"{dataset}: {PGD}",
        kind="bars",
        y_label="accuracy",
        series=[Series(name="paper", points=paper, paper=True), Series(name="ours", points=ours)],
    )


REPRODUCTION = Reproduction(
    name="pnil-madry",
    title="Section 5.2: NFGSM with PNIL on CIFAR-10's own split, against PGD training",
    paper=SCHWINN,
    claim="NFGSM training with PNIL reaches 59 % under PGD-50 on CIFAR-10; Madry et al.'s PGD training 46 %.",
    rule="NFGSM + PNIL against our PGD-trained reference, at the scale paper alone. Reached: at least 49 % under "
    "PGD-50 and not clearly below the reference. Reached, but a masking code in half of the trainings or a worst case "
    "20 points lower: gradient masking. Reached with a clear gain (paired t-test over the trainings at 0.05) holds, "
    "with one within noise partly; not reached, but clearly better, in the worst case too, partly; else does not.",
    datasets=("cifar10",),
    plan=plan,
    tabulate=tabulate,
)
