"""Wen & Itti, figure 3b: naive and multimodal perturbation biases, the latter with several numbers h of memories.

Trained on clean images, FGSM at eps 0.3. The values are only drawn; the text claims that the multimodal structure is
better on MNIST and the naive one on Fashion-MNIST, and that too few memories and too many are worse than enough.
"""

from collections.abc import Sequence

from advtool.evaluation.uncertainty import PairedDifference, paired_difference
from advtool.reproduce import apb
from advtool.reproduce import measurement as measured_as
from advtool.reproduce.apb import Budget, Variant
from advtool.reproduce.laboratory import Measured
from advtool.reproduce.plan import Model, Plan
from advtool.reproduce.registry import WEN_ITTI, Content, Reproduction
from advtool.reproduce.scale import Scale
from advtool.reproduce.verdict import (
    DOES_NOT,
    FAR,
    HOLDS,
    MASKING,
    PARTLY,
    Judgement,
    above,
    judged_row,
    masking_codes,
    worst_case_gain,
)
from advtool.results import Column, Panel, Row, Series

MEMORIES = {
    Scale.smoke: (2, 8),
    Scale.cpu: (1, 2, 4, 8, 16, 32),
    Scale.paper: (1, 2, 4, 8, 16, 32, 64, 128),
}
"""The paper does not list the numbers of its figure."""
BETTER = {"mnist": "multimodal", "digits": "multimodal", "fashion-mnist": "naive"}
"""By the text of section 5.3; digits stand in for MNIST."""
NAIVE = Variant(scenario="clean", bias="naive")
FGSM, WORST = "FGSM on examples", "worst case"


def variants(scale: Scale) -> list[Variant]:
    """The naive structure, and the multimodal one with each h."""
    return [NAIVE, *(Variant(scenario="clean", bias="multimodal", memories=h) for h in MEMORIES[scale])]


def plan(scale: Scale, datasets: Sequence[str]) -> Plan:
    """The paper's question and the sceptic's to each structure."""
    budget = apb.SCALES[scale]
    models = [apb.model(dataset, variant, budget) for dataset in datasets for variant in variants(scale)]
    questions = [question(model, budget) for model in models for question in (apb.shown, apb.audit)]
    return Plan(questions=tuple(questions), cuts=budget.cuts(datasets))


def judge(shown: PairedDifference, honest: PairedDifference, distance: float, codes: Sequence[str]) -> Judgement:
    """The verdict on the order of two structures.

    - the gain of the one that the paper calls better is not positive: ``does not``;
    - it is positive under FGSM but within noise: ``partly``;
    - it is clear, but that structure has masking codes or a worst case ``FAR`` below FGSM: ``gradient masking``;
    - it is clear, and the worst case is clearly in the same order: ``holds``; else ``partly``.

    Args:
        shown: gain of the structure that the paper calls better, of the accuracy on FGSM examples.
        honest: its gain of the worst case.
        distance: how far its worst case is below its accuracy on FGSM examples.
        codes: of the masking findings of its audit.
    """
    why = (
        f"{100 * shown.difference:+.1f} points under FGSM, {100 * honest.difference:+.1f} in the worst case, which is "
        f"{100 * distance:.1f} points below FGSM"
    )
    if shown.difference <= 0:
        return Judgement(DOES_NOT, why)
    if not above(shown):
        return Judgement(PARTLY, f"{why} (within noise)")
    if codes or distance >= FAR:
        return Judgement(MASKING, why)
    return Judgement(HOLDS if above(honest) else PARTLY, why)


def tabulate(measured: Measured, scale: Scale, datasets: Sequence[str]) -> Content:
    """A row for each structure; the verdict stands at the one that the paper calls better."""
    rows = [row for dataset in datasets for row in _rows(measured, dataset, scale)]
    return Content(
        label_columns=("data set", "LeNet"),
        columns=[Column(name=name) for name in ("clean", FGSM, "FGSM", "PGD-50", "SPSA", WORST)],
        rows=rows,
        panels=[_panel(rows, datasets, column) for column in (FGSM, WORST)],
        notes=(
            "The paper's values are only drawn and are blank; nor does it list its h. The multimodal structure is "
            "judged with the h of the best FGSM accuracy on the validation images.",
        ),
    )


def _rows(measured: Measured, dataset: str, scale: Scale) -> list[Row]:
    budget = apb.SCALES[scale]
    multimodal = max(variants(scale)[1:], key=lambda each: _validated(measured, apb.model(dataset, each, budget)))
    pair = (NAIVE, multimodal) if BETTER.get(dataset) == "naive" else (multimodal, NAIVE)
    verdicts = {pair[0]: _judge(measured, dataset, pair, budget)} if dataset in BETTER else {}
    return [_row(measured, dataset, variant, budget, verdicts.get(variant)) for variant in variants(scale)]


def _validated(measured: Measured, model: Model) -> float:
    return float(measured.cards[model].metrics["one_step_accuracy"])


def _judge(measured: Measured, dataset: str, pair: tuple[Variant, Variant], budget: Budget) -> Judgement:
    better, other = (apb.model(dataset, variant, budget) for variant in pair)
    shown, audit = measured.runs[apb.shown(better, budget)], measured.runs[apb.audit(better, budget)]
    their_shown, their_audit = measured.runs[apb.shown(other, budget)], measured.runs[apb.audit(other, budget)]
    on_audited = measured_as.on_examples(audit).ours or 0.0
    return judge(
        paired_difference(shown.on_examples["fgsm"], their_shown.on_examples["fgsm"]),
        worst_case_gain(audit, their_audit),
        on_audited - audit.result.worst_case.accuracy,
        masking_codes(audit),
    )


def _row(measured: Measured, dataset: str, variant: Variant, budget: Budget, judgement: Judgement | None) -> Row:
    model = apb.model(dataset, variant, budget)
    shown, audit = measured.runs[apb.shown(model, budget)], measured.runs[apb.audit(model, budget)]
    return judged_row(
        labels=[dataset, variant.title],
        figures={
            "clean": measured_as.clean(shown),
            FGSM: measured_as.on_examples(shown),
            "FGSM": measured_as.robust(shown, "fgsm"),
            "PGD-50": measured_as.robust(audit, "pgd"),
            "SPSA": measured_as.robust(audit, "spsa"),
            WORST: measured_as.worst_case(audit),
        },
        codes=masking_codes(audit),
        judgement=judgement,
    )


def _panel(rows: Sequence[Row], datasets: Sequence[str], column: str) -> Panel:
    """As in the paper: one group of bars a structure, one colour a data set."""
    return Panel(
        title=f"{column} at eps {apb.EPS:g}",
        kind="bars",
        y_label="accuracy",
        series=[
            Series(
                name=dataset,
                points=[
                    measured_as.point(row.labels[1], row.figures[column]) for row in rows if row.labels[0] == dataset
                ],
            )
            for dataset in datasets
        ],
    )


REPRODUCTION = Reproduction(
    name="apb-fig3b",
    title="Figure 3b: the structure of the perturbation bias, LeNet trained on clean images",
    paper=WEN_ITTI,
    claim="Under FGSM at eps 0.3 the multimodal bias is better than the naive one on MNIST, the naive one better on "
    "Fashion-MNIST; the number of bias memories matters.",
    rule="Between the naive structure and the multimodal one with the h of the best FGSM accuracy on validation "
    "images, paired on the same images: in the paper's order by a clear gain (95 % interval above 0), under FGSM "
    "and in the worst case, holds; clear under FGSM, but with masking codes or a worst case 20 points below it, is "
    "gradient masking; in that order within noise, or under FGSM alone, partly; else does not.",
    datasets=apb.DATASETS,
    plan=plan,
    tabulate=tabulate,
)
