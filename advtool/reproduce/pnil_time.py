"""Schwinn et al., sections 1 and 6: one-step training is "considerably faster" than PGD training.

"Depending on the step count of the PGD attack, this can reduce the training time by orders of magnitude."
"""

from collections.abc import Iterator
from typing import Any

from advtool.reproduce import pnil
from advtool.reproduce.registry import Scale
from advtool.reproduce.steps import Budget, Timing
from advtool.reproduce.table import Line, ratio, seconds
from advtool.reproduce.verdict import Judgement, combined, times
from advtool.results import Row

TRAININGS: dict[str, tuple[str, dict[str, Any]]] = {
    "clean": ("clean", {"batch_size": 100}),
    "RFGSM": ("rfgsm", {}),
    "NFGSM": ("nfgsm", {}),
    "RFGSM + PNIL": ("rfgsm", {"pnil": True}),
    "NFGSM + PNIL": ("nfgsm", {"pnil": True}),
    "PGD-7": ("pgd", {"pgd_steps": 7}),
    "PGD-40": ("pgd", {"pgd_steps": 40}),
}
"""PGD with the fewest steps that Madry et al. trained with (CIFAR-10), and with the most (MNIST)."""
REPEATS = {Scale.smoke: 2, Scale.cpu: 3, Scale.paper: 5}
LIMITS = {Scale.smoke: (200, 20), Scale.cpu: (5000, 100), Scale.paper: (None, None)}
"""Training images, and those of CIFAR-10, where one core needs a minute and a half for a hundred with PGD-40."""
BOUNDS = {"PGD-7 takes": 2, "PGD-40 takes": 10}


def rule(row: Row) -> Judgement:
    """How many times as long as one-step training an epoch of PGD-7 takes, at least 2, and one of PGD-40, at least 10.
    Each is true, false or open where the 95 % t interval of the turns is above, below or on both sides.
    """
    return combined(*(times(name, row.evidence[name], least=least) for name, least in BOUNDS.items()))


def lines(scale: Scale, dataset: str) -> Iterator[Line]:
    """All trainings, timed in turn; the one-step ones claim."""
    budget = Budget(epochs=1, limit=LIMITS[scale][dataset == "cifar10"], validated=1)
    arch, eps = "resnet11" if dataset == "cifar10" else "cnn", pnil.FITTED_EPS[dataset]
    models = {
        name: pnil.models(budget, dataset, recipe, eps, arch=arch, **changes)[0]
        for name, (recipe, changes) in TRAININGS.items()
    }
    timing = Timing(f"pnil-time-{dataset}-{scale}", tuple(models.values()), REPEATS[scale])
    for name, model in models.items():
        cells = {"an epoch": seconds(timing), "of clean": ratio(timing, model, models["clean"])}
        cells |= {f"{slow} takes": ratio(timing, models[slow], model) for slow in ("PGD-7", "PGD-40")}
        evidence = {column: column for column in BOUNDS if "FGSM" in name}
        yield Line(labels=(dataset, name), cells=cells, models=(model,), evidence=evidence)


TABLE = pnil.table(
    name="pnil-time",
    claim="Training with one-step attacks is considerably faster than training with PGD; depending on the step count, "
    "by orders of magnitude.",
    rule=rule,
    rules=(combined,),
    datasets=("cifar10", "fashion-mnist", "mnist"),
    label_columns=("data set", "training"),
    lines=lines,
    bars=(("an epoch",),),
    notes=(
        "Medians of epochs that took turns and their ratios, with the standard deviation of epochs and turns; no "
        "validation, and torch's own layers. The paper states no times. 'PGD-7 takes': how many times as long as "
        "this training.",
    ),
)
