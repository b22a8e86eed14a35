"""Schwinn et al., figure 5: accuracy under PGD against eps, trained with RFGSM and NFGSM, without PNIL.

The curves are only drawn. The text: "NFGSM-based training leads to slightly higher robustness for different
perturbation strengths, especially for weak attacks".
"""

from collections.abc import Sequence

from advtool.evaluation.uncertainty import PairedDifference
from advtool.reproduce import pnil, pooled
from advtool.reproduce.laboratory import Measured
from advtool.reproduce.measurement import curves
from advtool.reproduce.plan import Plan, Question
from advtool.reproduce.pnil import FITTED_EPS
from advtool.reproduce.registry import SCHWINN, Content, Reproduction
from advtool.reproduce.scale import Scale
from advtool.reproduce.verdict import DOES_NOT, HOLDS, PARTLY, Judgement, above, below, judged_row
from advtool.results import Column, Row

SHARES = {
    Scale.smoke: (0.5, 2.0),
    Scale.cpu: (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0),
    Scale.paper: (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0),
}
"""Of the eps that the models were trained for; the paper does not list its own."""
ACCURACY = "PGD-50"
BASELINE, METHOD = pnil.RECIPES


def questions(dataset: str, recipe: str, share: float, scale: Scale) -> list[Question]:
    """One for each fold, at a share of the training's eps."""
    budget, eps = pnil.SCALES[scale], FITTED_EPS[dataset]
    models = [pnil.model(dataset, recipe, budget, eps=eps, pnil=False, fold=fold) for fold in budget.folds()]
    radius = round(min(1.0, share * eps), 6)
    return [Question(model=model, eps=radius, images=budget.images, attacks=("pgd",)) for model in models]


def plan(scale: Scale, datasets: Sequence[str]) -> Plan:
    """Every fold of both recipes at every eps."""
    asked = [
        question
        for dataset in datasets
        for recipe in pnil.RECIPES
        for share in SHARES[scale]
        for question in questions(dataset, recipe, share, scale)
    ]
    return Plan(questions=tuple(asked), cuts=pnil.SCALES[scale].cuts(datasets))


def judge(gains: Sequence[PairedDifference]) -> Judgement:
    """NFGSM's gains over RFGSM, at each eps.

    Clearly below at none, and clearly above at one or more: ``holds``; clearly above at some and below at others:
    ``partly``, and so is a gain at every eps that is nowhere clear; else ``does not``.
    """
    clearly, worse = sum(map(above, gains)), sum(map(below, gains))
    why = f"clearly better at {clearly} of {len(gains)} eps, clearly worse at {worse}"
    if clearly and not worse:
        return Judgement(HOLDS, why)
    some = clearly or all(gain.difference > 0 for gain in gains)
    return Judgement(PARTLY if some else DOES_NOT, why)


def tabulate(measured: Measured, scale: Scale, datasets: Sequence[str]) -> Content:
    """A row for each recipe and eps; the verdict stands at NFGSM's last."""
    rows = [
        _row(measured, dataset, recipe, share, scale)
        for dataset in datasets
        for recipe in pnil.RECIPES
        for share in SHARES[scale]
    ]
    return Content(
        label_columns=("data set", "training", "eps"),
        columns=[Column(name=ACCURACY)],
        rows=rows,
        panels=[curves(rows, dataset, ACCURACY, "eps") for dataset in datasets],
        notes=(
            "Mean and standard deviation over the models of the cross-validation, trained at the eps that fits the "
            "paper's table 1. The paper's curves (CIFAR-10) are only drawn, and blank. PGD is what it shows; whether "
            "such models hide their gradients, the audit tells.",
        ),
    )


def _row(measured: Measured, dataset: str, recipe: str, share: float, scale: Scale) -> Row:
    asked = questions(dataset, recipe, share, scale)
    judgement = None
    if recipe == METHOD and share == SHARES[scale][-1]:
        judgement = judge([_gain(measured, dataset, each, scale) for each in SHARES[scale]])
    return judged_row(
        labels=[dataset, pnil.title(recipe, pnil=False), f"{asked[0].eps:g}"],
        figures={ACCURACY: pooled.accuracy([measured.runs[question] for question in asked], "pgd")},
        judgement=judgement,
    )


def _gain(measured: Measured, dataset: str, share: float, scale: Scale) -> PairedDifference:
    ours, theirs = (
        [measured.runs[question] for question in questions(dataset, recipe, share, scale)]
        for recipe in (METHOD, BASELINE)
    )
    return pooled.gain(ours, theirs, "pgd")


REPRODUCTION = Reproduction(
    name="pnil-fig5",
    title="Figure 5: accuracy under PGD-50 against eps, trained with RFGSM and NFGSM",
    paper=SCHWINN,
    claim="NFGSM training leads to slightly higher robustness than RFGSM training for different eps, especially small "
    "ones.",
    rule="NFGSM's gain over RFGSM at each eps, image by image over all models: clear (95 % interval above 0) at one or "
    "more and clearly negative at none holds; clear in both directions, or positive everywhere but nowhere clear, "
    "partly; else does not.",
    datasets=("cifar10",),
    other_datasets={Scale.smoke: ("digits",), Scale.cpu: ("mnist", "fashion-mnist")},
    plan=plan,
    tabulate=tabulate,
)
