"""Schwinn et al., sections 1 and 6: one-step training is "considerably faster" than PGD training.

"Depending on the step count of the PGD attack, this can reduce the training time by orders of magnitude." No figure
is stated. Epochs without validation are timed in turn; the figures are medians.
"""

from collections.abc import Sequence
from typing import Any

from advtool.reproduce import pnil
from advtool.reproduce.laboratory import Measured
from advtool.reproduce.plan import Model, Plan, Timing
from advtool.reproduce.pnil import FITTED_EPS, Budget
from advtool.reproduce.registry import SCHWINN, Content, Reproduction
from advtool.reproduce.scale import Scale
from advtool.reproduce.timing import Timed, seconds_panel
from advtool.reproduce.verdict import DOES_NOT, HOLDS, PARTLY, Judgement, judged_row
from advtool.results import Column, Row

TRAININGS: dict[str, tuple[str, dict[str, Any]]] = {
    "clean": ("clean", {"batch_size": 100}),
    "RFGSM": ("rfgsm", {}),
    "NFGSM": ("nfgsm", {}),
    "RFGSM + PNIL": ("rfgsm", {"pnil": True}),
    "NFGSM + PNIL": ("nfgsm", {"pnil": True}),
    "PGD-7": ("pgd", {"pgd_steps": 7}),
    "PGD-40": ("pgd", {"pgd_steps": 40}),
}
SLOW, SLOWEST = "PGD-7", "PGD-40"
"""The fewest steps that Madry et al. trained with (CIFAR-10), and the most (MNIST)."""
FASTER, ORDER = 2.0, 10.0
"""Considerably faster, and an order of magnitude."""
REPEATS = {Scale.smoke: 1, Scale.cpu: 3, Scale.paper: 5}
LIMITS: dict[Scale, dict[str, int | None]] = {
    Scale.smoke: {"digits": 200, "mnist": 200, "fashion-mnist": 200, "cifar10": 20},
    Scale.cpu: {"digits": None, "mnist": 5000, "fashion-mnist": 5000, "cifar10": 100},
    Scale.paper: {},
}
"""Training images; a ResNet-11 takes 40 steps for a hundred images in a minute and a half on one core."""
SECONDS, TO_CLEAN, TO_SLOW, TO_SLOWEST = "an epoch", "of clean", f"{SLOW} takes", f"{SLOWEST} takes"


def model(dataset: str, name: str, scale: Scale) -> Model:
    """One of ``TRAININGS``, for a timing."""
    recipe, changes = TRAININGS[name]
    arch = "resnet11" if dataset == "cifar10" else "cnn"
    budget = Budget(epochs=1, limit=LIMITS[scale].get(dataset), validated=1, images=None, repeats=1)
    given = {key: value for key, value in changes.items() if key != "pnil"}
    return pnil.model(
        dataset, recipe, budget, eps=FITTED_EPS[dataset], pnil="pnil" in changes, fold=None, arch=arch, **given
    )


def timing(dataset: str, scale: Scale) -> Timing:
    """All trainings on one data set, in turn."""
    models = tuple(model(dataset, name, scale) for name in TRAININGS)
    return Timing(name=f"pnil-time-{dataset}-{scale}", models=models, repeats=REPEATS[scale])


def plan(scale: Scale, datasets: Sequence[str]) -> Plan:
    """The timings alone: nothing is trained to its end."""
    limits = {dataset: LIMITS[scale].get(dataset) for dataset in datasets}
    cuts = [f"{limit} training images of {dataset} in place of all" for dataset, limit in limits.items() if limit]
    cuts.append(f"{REPEATS[scale]} epochs of each timed, after one to warm up")
    return Plan(timings=tuple(timing(dataset, scale) for dataset in datasets), cuts=tuple(cuts))


def judge(slow: float, slowest: float) -> Judgement:
    """How many times as long PGD training takes: with few steps, and with many.

    At least ``FASTER`` times with few and ``ORDER`` times with many: ``holds``; longer than one-step training with
    few: ``partly``; else ``does not``.
    """
    why = f"{SLOW} takes {slow:.1f} times as long, {SLOWEST} {slowest:.1f} times"
    if slow >= FASTER and slowest >= ORDER:
        return Judgement(HOLDS, why)
    return Judgement(PARTLY if slow > 1 else DOES_NOT, why)


def tabulate(measured: Measured, scale: Scale, datasets: Sequence[str]) -> Content:
    """A row for each training; the verdict stands at the one-step ones."""
    rows = [_row(measured.times[timing(each, scale)], each, name, scale) for each in datasets for name in TRAININGS]
    ratios = (TO_CLEAN, TO_SLOW, TO_SLOWEST)
    return Content(
        label_columns=("data set", "training"),
        columns=[Column(name=SECONDS, unit="seconds"), *(Column(name=name, unit="times") for name in ratios)],
        rows=rows,
        panels=[seconds_panel(rows, dataset, SECONDS) for dataset in datasets],
        notes=(
            "Medians of epochs that took turns and their ratios, with the standard deviation of the single epochs and "
            f"turns; no validation. The paper states no times. '{SLOW} takes': how many times as long as this "
            "training.",
        ),
    )


def _row(timed: Timed, dataset: str, name: str, scale: Scale) -> Row:
    names = {of: model(dataset, of, scale).name for of in TRAININGS}
    slow, slowest = (timed.times(names[of], to=names[name]) for of in (SLOW, SLOWEST))
    return judged_row(
        labels=[dataset, name],
        figures={
            SECONDS: timed.epoch(names[name]),
            TO_CLEAN: timed.ratio(names[name], to=names["clean"]),
            TO_SLOW: timed.ratio(names[SLOW], to=names[name]),
            TO_SLOWEST: timed.ratio(names[SLOWEST], to=names[name]),
        },
        judgement=judge(slow, slowest) if "FGSM" in name else None,
    )


REPRODUCTION = Reproduction(
    name="pnil-time",
    title="What an epoch costs: one-step training, with and without PNIL, against PGD training",
    paper=SCHWINN,
    claim="Training with one-step attacks is considerably faster than training with PGD; depending on the step count, "
    "by orders of magnitude.",
    rule="PGD-7 at least 2 times as long and PGD-40 at least 10 times as long holds; PGD-7 longer at all, partly; else "
    "does not.",
    datasets=pnil.DATASETS,
    plan=plan,
    tabulate=tabulate,
)
