"""Wen & Itti, figure 3a: accuracy against eps of LeNet trained on clean images with the perturbation bias.

The paper's text claims "moderate robustness" up to eps 0.15; its curve is only drawn, so the paper's values stay
blank. FGSM alone is all it shows: PGD on the cross entropy and on the margin stand beside it here.
"""

from collections.abc import Sequence

from advtool.evaluation.uncertainty import PairedDifference, paired_difference
from advtool.reproduce import apb
from advtool.reproduce import measurement as measured_as
from advtool.reproduce.apb import BIASES, Budget, Variant
from advtool.reproduce.laboratory import Measured
from advtool.reproduce.plan import Model, Plan, Question
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
    worst_case_gain,
)
from advtool.results import Column, Panel, Point, Row, Series

RADII = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3)
SMALL = 0.15
"""Up to here the paper speaks of a good attack, and of moderate robustness (section 5.3)."""
FGSM, WORST = "FGSM on examples", "worst case"
COLUMNS = {FGSM: "fgsm", "PGD-50": "pgd", "PGD-50 on the margin": "pgd-margin", WORST: ""}


def variants(scale: Scale) -> list[Variant]:
    """The classical LeNet and those with a bias, trained on clean images."""
    biased = [
        Variant(scenario="clean", bias=bias, direction=direction)
        for direction in ("descent", "ascent")
        for bias in BIASES
        if scale is not Scale.smoke or (bias, direction) == ("multimodal", "descent")
    ]
    return [Variant(scenario="clean"), *biased]


def radii(scale: Scale) -> tuple[float, ...]:
    """The eps above 0 of the curve; the paper does not list its own."""
    return RADII[1::2] if scale is Scale.smoke else RADII


def plan(scale: Scale, datasets: Sequence[str]) -> Plan:
    """One question for each model and eps."""
    budget = apb.SCALES[scale]
    questions = [
        question(apb.model(dataset, variant, budget), budget, eps)
        for dataset in datasets
        for variant in variants(scale)
        for eps in radii(scale)
    ]
    cuts = [cut for cut in budget.cuts(datasets) if "SPSA" not in cut]
    return Plan(questions=tuple(questions), cuts=tuple(cuts))


def question(model: Model, budget: Budget, eps: float) -> Question:
    """The three attacks at one eps."""
    return Question(model=model, eps=eps, images=budget.images, attacks=tuple(filter(None, COLUMNS.values())))


def judge(shown: Sequence[PairedDifference], honest: Sequence[PairedDifference], distance: float) -> Judgement:
    """The verdict on one structure of the bias.

    - a clear gain over the classical LeNet under FGSM at every eps up to 0.15, and a worst case ``FAR`` below FGSM at
      the largest of these: ``gradient masking``;
    - a clear gain at every one of them, under FGSM and in the worst case: ``holds``;
    - a clear gain in the worst case at some eps: ``partly``; else ``does not``.

    Args:
        shown: gains of the accuracy on FGSM examples, by eps.
        honest: gains of the worst case, likewise.
        distance: how far the worst case is below the accuracy on FGSM examples at the largest eps.
    """
    clear = [above(gain) for gain in honest]
    why = (
        f"clear gains at {sum(map(above, shown))} of {len(shown)} eps under FGSM, at {sum(clear)} in the worst case, "
        f"which is {100 * distance:.1f} points below FGSM at the largest"
    )
    if all(map(above, shown)) and distance >= FAR:
        return Judgement(MASKING, why)
    if all(map(above, shown)) and all(clear):
        return Judgement(HOLDS, why)
    return Judgement(PARTLY if any(clear) else DOES_NOT, why)


def tabulate(measured: Measured, scale: Scale, datasets: Sequence[str]) -> Content:
    """A row for each model and eps, the verdict in the row of the largest small eps; a panel for each data set."""
    rows = [
        _row(measured, dataset, variant, eps, scale)
        for dataset in datasets
        for variant in variants(scale)
        for eps in radii(scale)
    ]
    return Content(
        label_columns=("data set", "LeNet", "eps"),
        columns=[Column(name=name) for name in ("clean", *COLUMNS)],
        rows=rows,
        panels=[_panel(rows, dataset, column) for dataset in datasets for column in (FGSM, WORST)],
        notes=(
            "The paper's values are only drawn (its figure 3a, FGSM) and are blank. FGSM on examples is its way of "
            "counting; worst case: images that survive all three attacks. The verdict stands at the largest eps that "
            "the paper calls small.",
        ),
    )


def _row(measured: Measured, dataset: str, variant: Variant, eps: float, scale: Scale) -> Row:
    budget = apb.SCALES[scale]
    run = measured.runs[question(apb.model(dataset, variant, budget), budget, eps)]
    figures = {"clean": measured_as.clean(run), FGSM: measured_as.on_examples(run), WORST: measured_as.worst_case(run)}
    figures |= {column: measured_as.robust(run, attack) for column, attack in COLUMNS.items() if "pgd" in attack}
    small = [radius for radius in radii(scale) if radius <= SMALL]
    judged = variant.bias != "plain" and eps == small[-1]
    judgement = _judge(measured, dataset, variant, small, budget) if judged else None
    return judged_row(
        labels=[dataset, variant.title, f"{eps:g}"],
        figures=figures,
        judgement=judgement,
    )


def _judge(measured: Measured, dataset: str, variant: Variant, small: Sequence[float], budget: Budget) -> Judgement:
    models = (apb.model(dataset, each, budget) for each in (variant, variant.baseline))
    ours, theirs = ([measured.runs[question(model, budget, eps)] for eps in small] for model in models)
    pairs = list(zip(ours, theirs, strict=True))
    on_examples = measured_as.on_examples(ours[-1]).ours or 0.0
    return judge(
        shown=[paired_difference(a.on_examples["fgsm"], b.on_examples["fgsm"]) for a, b in pairs],
        honest=[worst_case_gain(a, b) for a, b in pairs],
        distance=on_examples - ours[-1].result.worst_case.accuracy,
    )


def _panel(rows: Sequence[Row], dataset: str, column: str) -> Panel:
    here = [row for row in rows if row.labels[0] == dataset]
    return Panel(
        title=f"{dataset}: {column}",
        kind="curves",
        x_label="eps",
        y_label="accuracy",
        series=[
            Series(name=name, points=_points([row for row in here if row.labels[1] == name], column))
            for name in dict.fromkeys(row.labels[1] for row in here)
        ],
    )


def _points(rows: Sequence[Row], column: str) -> list[Point]:
    at_zero = measured_as.point(0.0, rows[0].figures["clean"])
    return [at_zero, *(measured_as.point(float(row.labels[2]), row.figures[column]) for row in rows)]


REPRODUCTION = Reproduction(
    name="apb-fig3a",
    title="Figure 3a: accuracy against eps, LeNet trained on clean images",
    paper=WEN_ITTI,
    claim="For small perturbations (eps up to 0.15) training on clean images with the bias gives moderate robustness "
    "at negligible cost.",
    rule="Against the classical LeNet at each eps up to 0.15, paired on the same images: a clear gain (95 % interval "
    "above 0) at every eps, under FGSM and in the worst case, holds; under FGSM at every eps, in the worst case at "
    "none, and a worst case 20 points below FGSM, is gradient masking; in the worst case at some eps, partly; else "
    "does not.",
    datasets=apb.DATASETS,
    plan=plan,
    tabulate=tabulate,
)
