"""What a table asks for, as plain data: models to train, questions to ask them, epochs to time."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from advtool.reproduce.folds import Fold
from advtool.training.recipes import Recipe, recipe_for

Settings = tuple[tuple[str, Any], ...]


def settings(**fields: Any) -> Settings:
    """Fields as a model or a question takes them: pairs in the order of the names."""
    return tuple(sorted(fields.items()))


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model to train; equal ones of two tables are trained once.

    Attributes:
        dataset: a name that :func:`advtool.data.load` knows.
        recipe: a name in ``RECIPES``.
        eps: radius that it is trained for, a fraction of the pixel range.
        epochs: passes over the training images.
        limit: how many images it trains on at most; None: all that do not choose the epoch.
        validated: how many validation images choose the epoch at most; None: all.
        seed: of its training.
        settings: further fields of ``advtool.training.Settings``.
        examples_of: the model whose FGSM examples, made once, it trains on; None: examples of its own, on the fly.
        fold: the part of a cross-validation that it trains on; None: the data set's own split.
    """

    dataset: str
    recipe: str
    eps: float
    epochs: int
    limit: int | None = None
    validated: int | None = None
    seed: int = 0
    settings: Settings = ()
    examples_of: "Model | None" = None
    fold: Fold | None = None

    @cached_property
    def resolved(self) -> Recipe:
        """The recipe with the data set's settings and the model's own, its fixed examples aside."""
        return recipe_for(self.dataset, self.recipe, epochs=self.epochs, **dict(self.settings))

    @cached_property
    def name(self) -> str:
        """Fit for a file name, and different for models that differ."""
        parts = [
            self.dataset,
            self.resolved.arch,
            self.recipe,
            *(_word(key, value) for key, value in self.settings if key != "arch"),
            *(["fixed"] if self.examples_of else []),
            f"eps{self.eps:g}",
            f"e{self.epochs}",
            *([f"n{self.limit}"] if self.limit else []),
            *([f"v{self.validated}"] if self.validated else []),
            *([self.fold.name] if self.fold else []),
            f"s{self.seed}",
        ]
        return "-".join(parts)

    @property
    def title(self) -> str:
        """What the step is called while it runs."""
        return f"train {self.name}"


@dataclass(frozen=True, kw_only=True)
class Question:
    """An evaluation; ``settings`` are further arguments of :func:`advtool.evaluate`."""

    eps: float
    images: int | None
    """of the test images, the first of the fixed permutation; None: all"""
    attacks: tuple[str, ...]
    settings: Settings = ()

    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of :func:`advtool.evaluate`."""
        return {"eps": self.eps, "attacks": list(self.attacks), **dict(self.settings)}


class Asked(NamedTuple):
    """A question to a model."""

    model: Model
    question: Question

    @property
    def title(self) -> str:
        """What the step is called while it runs."""
        return f"evaluate {self.model.name}: {', '.join(self.question.attacks)} at eps {self.question.eps:g}"


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Epochs of several models, timed in turn on one machine.

    Attributes:
        name: of the file that keeps it.
        models: what is timed; their ``epochs`` do not matter.
        repeats: epochs of each, after one to warm up; at least 2.
    """

    name: str
    models: tuple[Model, ...]
    repeats: int

    @property
    def title(self) -> str:
        """What the step is called while it runs."""
        return f"time {len(self.models)} trainings in turn"


Step = Model | Asked | Timing


def _word(key: str, value: Any) -> str:
    """A setting in a file name: ``pnil``, ``naive``, ``memories8``."""
    if isinstance(value, bool):
        return key if value else f"no-{key}"
    if key == "keep":
        return f"{key}-{value}"
    return value if isinstance(value, str) else f"{key.replace('_', '')}{value}"
