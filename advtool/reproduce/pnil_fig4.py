"""Schwinn et al., figure 4: accuracy of models with PNIL under PGD, against the EOT draws of its gradient.

The curve is only drawn. The text: "Only a marginal decline in robustness against attacks generated with ten or more
Monte Carlo simulations could be observed for all data sets", hence 100 are "more than sufficient" (section 5.1).
"""

from collections.abc import Sequence
from dataclasses import replace

from advtool.evaluation.uncertainty import PairedDifference
from advtool.reproduce import pnil, pooled
from advtool.reproduce.laboratory import Measured
from advtool.reproduce.measurement import curves
from advtool.reproduce.plan import Plan, Question
from advtool.reproduce.pnil import FITTED_EPS, RECIPES, VOTES
from advtool.reproduce.registry import SCHWINN, Content, Reproduction
from advtool.reproduce.scale import Scale
from advtool.reproduce.verdict import DOES_NOT, HOLDS, PARTLY, Judgement, judged_row
from advtool.results import Column, Row
from advtool.studies.curves import MAX_FALL
from advtool.studies.sweep import EOT_DRAWS

DRAWS = {Scale.smoke: (1, 10, 20), Scale.cpu: EOT_DRAWS, Scale.paper: EOT_DRAWS}
SCALES = pnil.SCALES | {Scale.cpu: replace(pnil.SCALES[Scale.cpu], images=100)}
ENOUGH = 10
"""Draws from which on the paper saw only a marginal decline."""
LEAST = 0.2
"""Accuracy at that many draws below which a curve says nothing."""
ACCURACY = "PGD-50"


def questions(dataset: str, recipe: str, draws: int, scale: Scale) -> list[Question]:
    """One for each fold."""
    budget, eps = SCALES[scale], FITTED_EPS[dataset]
    models = [pnil.model(dataset, recipe, budget, eps=eps, pnil=True, fold=fold) for fold in budget.folds()]
    return [
        Question(model=model, eps=eps, images=budget.images, attacks=("pgd",), eot=draws, votes=VOTES)
        for model in models
    ]


def plan(scale: Scale, datasets: Sequence[str]) -> Plan:
    """Every fold of both recipes at every count of draws."""
    asked = [
        question
        for dataset in datasets
        for recipe in RECIPES
        for draws in DRAWS[scale]
        for question in questions(dataset, recipe, draws, scale)
    ]
    return Plan(questions=tuple(asked), cuts=SCALES[scale].cuts(datasets))


def judge(change: PairedDifference, before: float) -> Judgement | None:
    """The change of the accuracy from ``before``, at ``ENOUGH`` draws, to the most.

    Its 95 % interval stays above a fall of ``MAX_FALL``: ``holds``; only the change itself does: ``partly``; else
    ``does not``. None where so little stands that nothing could fall.
    """
    if before < LEAST:
        return None
    low, high = change.interval
    why = f"{100 * change.difference:+.1f} points ({100 * low:.1f} to {100 * high:.1f}) from {ENOUGH} draws to the most"
    if low > -MAX_FALL:
        return Judgement(HOLDS, why)
    return Judgement(PARTLY if change.difference > -MAX_FALL else DOES_NOT, why)


def tabulate(measured: Measured, scale: Scale, datasets: Sequence[str]) -> Content:
    """A row for each recipe and count; the verdict stands at the largest."""
    rows = [
        _row(measured, dataset, recipe, draws, scale)
        for dataset in datasets
        for recipe in RECIPES
        for draws in DRAWS[scale]
    ]
    return Content(
        label_columns=("data set", "training", "EOT draws"),
        columns=[Column(name=ACCURACY)],
        rows=rows,
        panels=[curves(rows, dataset, ACCURACY, "EOT draws") for dataset in datasets],
        notes=(
            "Mean and standard deviation over the models of the cross-validation; each is tested on the half that it "
            f"did not train on, at the eps that fits the paper's table 1, with {VOTES} votes a prediction. The "
            "paper's curve (CIFAR-10) is only drawn, and blank.",
        ),
    )


def _row(measured: Measured, dataset: str, recipe: str, draws: int, scale: Scale) -> Row:
    runs = [measured.runs[question] for question in questions(dataset, recipe, draws, scale)]
    judgement = None
    if draws == DRAWS[scale][-1]:
        before = [measured.runs[question] for question in questions(dataset, recipe, ENOUGH, scale)]
        judgement = judge(pooled.gain(runs, before, "pgd"), pooled.accuracy(before, "pgd").ours or 0.0)
    return judged_row(
        labels=[dataset, pnil.title(recipe, pnil=True), str(draws)],
        figures={ACCURACY: pooled.accuracy(runs, "pgd")},
        judgement=judgement,
    )


REPRODUCTION = Reproduction(
    name="pnil-fig4",
    title="Figure 4: accuracy of models with PNIL under PGD-50 against EOT draws",
    paper=SCHWINN,
    claim="With ten draws or more the accuracy falls only marginally further.",
    rule="The change from 10 draws to the most, image by image over all models: a 95 % interval above -3 points holds, "
    "a change above -3 points partly, else does not; no verdict where less than 20 % stand at 10 draws.",
    datasets=("cifar10",),
    other_datasets={Scale.smoke: ("digits",), Scale.cpu: ("mnist", "fashion-mnist")},
    plan=plan,
    tabulate=tabulate,
)
