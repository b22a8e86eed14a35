"""The recipes as plain data: a new one is a line in ``RECIPES``."""

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from advtool.errors import InputError, near_match


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a model is trained: Adam on ``w L(F(x), y) + (1 - w) L(F(x'), y)``.

    L is the mean cross entropy of a batch, w the ``clean_weight`` in [0, 1], and x' the ``examples`` made
    from the current weights. The adversarial validation accuracy is that on ``validation`` examples; the
    epoch with the best validation accuracy ``keep_by`` is kept. Examples are named as in ``EXAMPLES``.

    Raises:
        InputError: a number is out of range; the message names the option.
    """

    name: str
    summary: str
    clean_weight: float
    examples: str = "fgsm"
    validation: str = "fgsm"
    keep_by: Literal["clean", "adversarial"] = "adversarial"
    arch: str = "lenet"
    epochs: int = 10
    batch_size: int = 128
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise InputError(f"--epochs {self.epochs}: it must be 1 or more")
        if self.batch_size < 1:
            raise InputError(f"--batch-size {self.batch_size}: it must be 1 or more")
        if not 0 < self.learning_rate < float("inf"):
            raise InputError(f"--learning-rate {self.learning_rate}: it must be a positive number, such as 0.001")

    def to_dict(self) -> dict[str, Any]:
        """The settings for a checkpoint's card, all of JSON's types."""
        return {key: value for key, value in asdict(self).items() if key not in ("summary", "arch")}


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(name="clean", summary="clean images only", clean_weight=1.0, keep_by="clean"),
        Recipe(name="adv", summary="FGSM examples only", clean_weight=0.0),
        Recipe(name="both", summary="clean images and FGSM examples, weighed equally", clean_weight=0.5),
    )
}

# Where a data set wants something else than the recipe says. digits makes only eleven batches an epoch: clean
# training stands still after 20 epochs, adversarial accuracy still climbs at 50.
FOR_DATASET: dict[str, dict[str, Any]] = {
    "digits": {"epochs": 60},
    "cifar10": {"arch": "resnet11", "epochs": 30},
}


def recipe_for(dataset: str, name: str, **asked: str | float | None) -> Recipe:
    """The recipe ``name`` with the data set's own settings, and on top of them what was asked for.

    ``asked`` are fields of :class:`Recipe`; None stands for "not asked for".

    Raises:
        InputError: no such recipe, or a number is out of range.
    """
    if name not in RECIPES:
        raise InputError(f"unknown recipe '{name}'{near_match(name, RECIPES)}")
    settings = FOR_DATASET.get(dataset, {}) | {key: value for key, value in asked.items() if value is not None}
    return replace(RECIPES[name], **settings)
