"""What the first paper's tables share: its LeNets, what is asked of them, and what each scale spends."""

from functools import partial
from typing import Any

from advtool.reproduce.registry import Scale
from advtool.reproduce.steps import Budget, Model
from advtool.reproduce.table import Cell, Table, share

table = partial(
    Table,
    paper="Wen & Itti, Adversarial Training: embedding adversarial perturbations into the parameter space",
    datasets=("mnist", "fashion-mnist"),
    differs=("some of the training images choose the epoch",),
)
EPS = 0.3
"""The paper's only radius but in figure 3a."""
CLASSICAL = "plain, descent"
DESCENT, ASCENT = (("naive, descent", "multimodal, descent"), ("naive, ascent", "multimodal, ascent"))
"""Structure and direction of the bias."""
CLEAN, FGSM, WORST = "clean", "FGSM on examples", "worst case"
SCALES = {
    Scale.smoke: Budget(epochs=2, limit=600, validated=60, images=50, audited=5, spsa=(5, 16)),
    Scale.cpu: Budget(epochs=6, limit=10_000, validated=250, images=1000, audited=50, spsa=(40, 64)),
    Scale.paper: Budget(epochs=500),
}


def lenet(
    scale: Scale, dataset: str, bias: str = CLASSICAL, recipe: str = "clean", examples: str = "", h: int = 8
) -> Model:
    """A LeNet; ``fixed`` examples are made once from the classical one trained clean.

    The paper does not say how many memories h its figure 2 has.
    """
    structure, direction = bias.split(", ")
    settings: dict[str, Any] = {"arch": "lenet"}
    if structure != "plain":
        settings |= {"apb_direction": direction, "bias": structure}
    if structure == "multimodal":
        settings["memories"] = h
    source = lenet(scale, dataset) if examples == "fixed" else None
    return SCALES[scale].model(dataset, recipe, EPS, settings, examples_of=source)


def title(bias: str, h: int = 8) -> str:
    """In a table: ``classical``, ``naive, descent``, ``multimodal h=8, ascent``."""
    return bias.replace(CLASSICAL, "classical").replace("multimodal", f"multimodal h={h}")


def cells(scale: Scale, clean: float | None = None, fgsm: float | None = None) -> dict[str, Cell]:
    """The paper's two accuracies, and what a sceptic asks: the audit and SPSA, on the same images."""
    shown, audit = SCALES[scale].shown(EPS, "fgsm"), SCALES[scale].audit(EPS)
    return {
        CLEAN: share(shown, "clean", clean),
        FGSM: share(shown, "fgsm on examples", fgsm),
        "FGSM": share(shown, "fgsm"),
        "PGD-50": share(audit, "pgd"),
        "SPSA": share(audit, "spsa"),
        WORST: share(audit, WORST),
        "audited": share(audit, "fgsm on examples", hidden=True),
    }
