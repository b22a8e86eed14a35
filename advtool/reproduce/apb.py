"""What the first paper's tables share: its LeNets, what is asked of them, and what each scale spends."""

from functools import partial

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
CLEAN, FGSM, WORST = "clean", "FGSM on examples", "worst case"
SCALES = {
    Scale.smoke: Budget(epochs=2, limit=600, validated=60, images=50, audited=5, spsa=(5, 16)),
    Scale.cpu: Budget(epochs=6, limit=10_000, validated=250, images=1000, audited=50, spsa=(40, 64)),
    Scale.paper: Budget(epochs=500),
}


def lenet(scale: Scale, dataset: str, scenario: str = "clean", bias: str = "plain, descent", h: int = 8) -> Model:
    """A LeNet trained in a scenario, ``adv, fixed`` on examples made once from the classical LeNet trained clean.

    ``bias`` is its structure and direction. The paper does not say how many memories h its figure 2 has.
    """
    recipe, _, kind = scenario.partition(", ")
    structure, direction = bias.split(", ")
    fields = {} if structure == "plain" else {"apb_direction": direction, "bias": structure}
    memories = {"memories": h} if structure == "multimodal" else {}
    budget = SCALES[scale]
    return Model(
        dataset=dataset,
        recipe=recipe,
        eps=EPS,
        epochs=budget.epochs,
        limit=budget.limit,
        validated=budget.validated,
        settings=tuple(sorted(({"arch": "lenet"} | fields | memories).items())),
        examples_of=lenet(scale, dataset) if kind == "fixed" else None,
    )


def title(bias: str, h: int = 8) -> str:
    """In a table: ``classical``, ``naive, descent``, ``multimodal h=8, ascent``."""
    return bias.replace("plain, descent", "classical").replace("multimodal", f"multimodal h={h}")


def cells(scale: Scale, clean: float | None = None, fgsm: float | None = None) -> dict[str, Cell]:
    """The paper's two accuracies, and what a sceptic asks: the audit and SPSA, on the same images."""
    budget = SCALES[scale]
    shown, audit = budget.shown(EPS, "fgsm"), budget.audit(EPS)
    return {
        CLEAN: share(shown, "clean", clean),
        FGSM: share(shown, "fgsm on examples", fgsm),
        "FGSM": share(shown, "fgsm"),
        "PGD-50": share(audit, "pgd"),
        "SPSA": share(audit, "spsa"),
        WORST: share(audit, WORST),
        "audited": share(audit, "fgsm on examples", hidden=True),
    }
