"""What an epoch costs: all trainings of a table take turns.

Wen & Itti, section 5.2: "On FashionMNIST, our method only uses 59% training time compared to the training time of
adversarial training with just one adversarial example per clean example."

Schwinn et al., sections 1 and 6: one-step training is "considerably faster" than PGD training. "Depending on the step
count of the PGD attack, this can reduce the training time by orders of magnitude."
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from advtool.reproduce import apb, pnil
from advtool.reproduce.catalogue import Scale
from advtool.reproduce.cells import ratio, seconds
from advtool.reproduce.lines import Claimed, Evidence, Line, Shown
from advtool.reproduce.steps import Budget, Timing
from advtool.reproduce.verdict import Judgement, combined, times
from advtool.results import Row

STATED = 0.59
TOLERANCE = 0.05
NEGLIGIBLE = 1.1
"""Times the clean training: the paper calls the cost of the bias negligible, and states no figure."""
TRAININGS = (
    (apb.CLASSICAL, "clean", ""),
    *((bias, "clean", "") for bias in apb.DESCENT),
    (apb.CLASSICAL, "adv", "on the fly"),
    (apb.CLASSICAL, "both", "fixed"),
    (apb.CLASSICAL, "both", "on the fly"),
)
OF_CLEAN = "of clean"
READINGS = ("of both, fixed", "of both, on the fly")
"""The paper does not say whether the examples of training on both were made anew."""
PNIL_TRAININGS: dict[str, tuple[str, dict[str, Any]]] = {
    "clean": ("clean", {"batch_size": 100}),
    "RFGSM": ("rfgsm", {}),
    "NFGSM": ("nfgsm", {}),
    "RFGSM + PNIL": ("rfgsm", {"pnil": True}),
    "NFGSM + PNIL": ("nfgsm", {"pnil": True}),
    "PGD-7": ("pgd", {"pgd_steps": 7}),
    "PGD-40": ("pgd", {"pgd_steps": 40}),
}
"""PGD with the fewest steps that Madry et al. trained with (CIFAR-10), and with the most (MNIST)."""
BOUNDS = {"PGD-7 takes": 2, "PGD-40 takes": 10}
LIMITS = {Scale.smoke: (200, 20), Scale.cpu: (5000, 100), Scale.night: (20_000, 100), Scale.paper: (None, None)}
"""Training images, and those of CIFAR-10, where one core needs a minute and a half for a hundred with PGD-40."""
REPEATS = {Scale.smoke: (2, 2), Scale.cpu: (5, 3), Scale.night: (10, 5), Scale.paper: (20, 5)}
"""Epochs of each training, for the first paper and for the second."""


def rule_of_bias(row: Row) -> Judgement:
    """Training with the bias takes at most 1.1 times as long as without (negligible cost), and less than training on
    clean and adversarial images, with fixed examples and with examples made on the fly. On Fashion-MNIST, where the
    paper states 0.59 times of that, it takes at most 0.64 times. Each part is true, false or open where the 95 % t
    interval of the turns is below, above or on both sides.
    """
    bounds = (1.0, row.evidence["stated"].value + TOLERANCE) if "stated" in row.evidence else (1.0,)
    of_both = (times(name, row.evidence[name], most=most) for most in bounds for name in READINGS)
    return combined(times(OF_CLEAN, row.evidence[OF_CLEAN], most=NEGLIGIBLE), *of_both)


def rule_of_pgd(row: Row) -> Judgement:
    """How many times as long as one-step training an epoch of PGD-7 takes, at least 2, and one of PGD-40, at least 10.
    Each is true, false or open where the 95 % t interval of the turns is above, below or on both sides.
    """
    return combined(*(times(name, row.evidence[name], least=least) for name, least in BOUNDS.items()))


def lenets(scale: Scale, dataset: str) -> Iterator[Line]:
    """The first paper's trainings; those with the bias claim."""
    models = tuple(replace(apb.lenet(scale, dataset, *training), epochs=1) for training in TRAININGS)
    timing = Timing(f"apb-time-{dataset}-{scale}", models, REPEATS[scale][0])
    for (bias, *trained_on), model in zip(TRAININGS, models, strict=True):
        claims, labels = bias in apb.DESCENT, (dataset, *trained_on, apb.title(bias))
        stated = STATED if claims and dataset == "fashion-mnist" else None
        cells = {"an epoch": seconds(timing), OF_CLEAN: ratio(timing, model, models[0])}
        cells |= {name: ratio(timing, model, both, stated) for name, both in zip(READINGS, models[-2:], strict=True)}
        evidence: dict[str, Evidence] = {name: Shown(name) for name in (OF_CLEAN, *READINGS) if claims}
        evidence |= {"stated": Claimed(stated)} if stated else {}
        yield Line(labels=labels, cells=cells, models=(model,), evidence=evidence)


def one_step_and_pgd(scale: Scale, dataset: str) -> Iterator[Line]:
    """The second paper's trainings; the one-step ones claim."""
    budget = Budget(epochs=1, limit=LIMITS[scale][dataset == "cifar10"], validated=1)
    arch, eps = "resnet11" if dataset == "cifar10" else "cnn", pnil.LARGER_EPS[dataset]
    models = {
        name: pnil.models(budget, dataset, recipe, eps, arch=arch, **changes)[0]
        for name, (recipe, changes) in PNIL_TRAININGS.items()
    }
    timing = Timing(f"pnil-time-{dataset}-{scale}", tuple(models.values()), REPEATS[scale][1])
    for name, model in models.items():
        cells = {"an epoch": seconds(timing), OF_CLEAN: ratio(timing, model, models["clean"])}
        cells |= {f"{slow} takes": ratio(timing, models[slow], model) for slow in ("PGD-7", "PGD-40")}
        evidence = {column: Shown(column) for column in BOUNDS if "FGSM" in name}
        yield Line(labels=(dataset, name), cells=cells, models=(model,), evidence=evidence)


APB = apb.table(
    name="apb-time",
    claim="The bias costs next to nothing: training with it on clean images takes 59 % of the time of training on "
    "clean and adversarial images.",
    rule=rule_of_bias,
    rules=(combined,),
    label_columns=("data set", "trained on", "examples", "LeNet"),
    readings=("LeNet",),
    lines=lenets,
    bars=(("an epoch",),),
    notes=(
        "Medians of epochs that took turns and their ratios, with the standard deviation of epochs and turns; "
        "torch's own layers, no validation, and making the fixed examples, once, is not counted. The paper states "
        "its ratio for Fashion-MNIST.",
    ),
)

PNIL = pnil.table(
    name="pnil-time",
    claim="Training with one-step attacks is considerably faster than training with PGD; depending on the step count, "
    "by orders of magnitude.",
    rule=rule_of_pgd,
    rules=(combined,),
    datasets=("cifar10", "fashion-mnist", "mnist"),
    label_columns=("data set", "training"),
    lines=one_step_and_pgd,
    bars=(("an epoch",),),
    notes=(
        "Medians of epochs that took turns and their ratios, with the standard deviation of epochs and turns; no "
        "validation, and torch's own layers. The paper states no times. 'PGD-7 takes': how many times as long as "
        "this training.",
    ),
)
