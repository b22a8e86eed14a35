"""What tables ask for, as plain data: models to train, questions to ask them, epochs to time; and how much is spent."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from advtool.data.folds import Fold
from advtool.evaluation.settings import Settings
from advtool.training.recipes import Recipe, recipe_for


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model to train; equal ones of two tables are trained once."""

    dataset: str
    recipe: str
    eps: float
    """radius that it is trained for, a fraction of the pixel range"""
    epochs: int
    limit: int | None = None
    """how many images it trains on at most; None: all that do not choose the epoch"""
    validated: int | None = None
    """how many validation images choose the epoch at most; None: all"""
    seed: int = 0
    settings: tuple[tuple[str, Any], ...] = ()
    """further settings of the training, as pairs in the order of their names; ``arch_args`` as pairs too"""
    examples_of: "Model | None" = None
    """the model whose FGSM examples, made once, it trains on; None: examples of its own, on the fly"""
    fold: Fold | None = None
    """the part of a cross-validation that it trains on; None: the data set's own split"""

    @cached_property
    def resolved(self) -> Recipe:
        """The recipe with the data set's settings and the model's own, its fixed examples aside."""
        return recipe_for(self.dataset, self.recipe, epochs=self.epochs, **dict(self.settings))

    @property
    def network(self) -> str:
        """In words: ``resnet11, width 16``."""
        sizes = (self.resolved.arch_args or {}).items()
        return ", ".join([self.resolved.arch, *(f"{name} {size}" for name, size in sizes)])

    @cached_property
    def name(self) -> str:
        """Fit for a file name, and different for models that differ."""
        words = [_word(key, value) for key, value in self.settings if key != "arch"]
        sizes = [f"{letter}{count}" for letter, count in (("n", self.limit), ("v", self.validated)) if count]
        made = [*(["fixed"] if self.examples_of else []), f"eps{self.eps:g}", f"e{self.epochs}", *sizes]
        fold = [self.fold.name] if self.fold else []
        return "-".join([self.dataset, self.resolved.arch, self.recipe, *words, *made, *fold, f"s{self.seed}"])

    @property
    def needed(self) -> "tuple[Model, ...]":
        """What must be trained before it."""
        return (self.examples_of,) if self.examples_of else ()


class Question(NamedTuple):
    """An evaluation of the first ``images`` test images of the fixed permutation; None: of all."""

    images: int | None
    settings: Settings

    @property
    def under(self) -> str:
        """What the images go through. A question of proofs has FGSM only because it must have one attack."""
        attacks = self.settings.attacks
        return "under bounds" if self.settings.certify and attacks == ("fgsm",) else f"under {' and '.join(attacks)}"


CERTIFIED_EPS = 0.1
"""The largest eps at which a table asks for proofs. Of the papers' networks linear bounds prove nothing at 0.3."""


def asks_for_proofs(eps: float) -> bool:
    """Whether eps is so small that bounds can say something, so that the images are certified beside the attacks."""
    return eps <= CERTIFIED_EPS


class Asked(NamedTuple):
    """A question to a model."""

    model: Model
    question: Question


class Learned(NamedTuple):
    """The noise layer in front of a model."""

    model: Model


class Timing(NamedTuple):
    """``repeats`` epochs, at least 2, of each of several models, timed in turn on one machine."""

    name: str
    models: tuple[Model, ...]
    repeats: int


Step = Model | Asked | Learned | Timing


def title(step: Step) -> str:
    """What a step is called while it runs."""
    if isinstance(step, Model):
        return f"train {step.name}"
    if isinstance(step, Learned):
        return f"read the noise layer of {step.model.name}"
    if isinstance(step, Timing):
        return f"time {step.name}: {len(step.models)} trainings in turn"
    settings = step.question.settings
    return f"evaluate {step.model.name}: {', '.join(settings.attacks)} at eps {settings.eps:g}"


def settings_of_model(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """The settings of a :class:`Model`, with changes to them."""
    return tuple(sorted({**settings, **changes}.items()))


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What a scale spends on a table; None: all images."""

    epochs: int
    limit: int | None = None
    validated: int | None = None
    images: int | None = None
    """test images of the attacks that the paper shows"""
    audited: int = 1000
    """test images of SPSA and the audit; 0: neither is made"""
    spsa: tuple[int, int] = (100, 128)
    """steps, and evaluations a step"""
    eot: int = 100
    """draws that every gradient of a model with PNIL averages over"""
    folds: int = 0
    """models of the cross-validation; 0: the data set's own split"""
    keep: str = "loss"
    """the figure that chooses the epoch"""
    arch_args: tuple[tuple[str, int], ...] = ()
    """sizes of the network, as pairs; none: its own"""

    def model(self, dataset: str, recipe: str, eps: float, settings: Mapping[str, Any] = {}, **others: Any) -> Model:
        """A training; ``others`` are further fields of the model."""
        sizes: dict[str, Any] = {"epochs": self.epochs, "limit": self.limit, "validated": self.validated}
        network = {"arch_args": self.arch_args} if self.arch_args else {}
        pairs = settings_of_model(settings, network)
        return Model(dataset=dataset, recipe=recipe, eps=eps, settings=pairs, **sizes, **others)

    def shown(self, eps: float, *attacks: str, certify: bool = False, **settings: Any) -> Question:
        """What the paper shows, without proofs unless the table has a place for them."""
        return Question(self.images, Settings(eps=eps, attacks=attacks, certify=certify, **settings))

    def audit(self, eps: float, **settings: Any) -> Question:
        """What a sceptic asks: SPSA and the suite audit, on the same images, and proofs where eps is small."""
        settings |= dict(zip(("spsa_steps", "spsa_samples"), self.spsa, strict=True))
        settings["certify"] = asks_for_proofs(eps)
        return Question(self.audited, Settings(eps=eps, attacks=("audit", "spsa"), **settings))


def _word(key: str, value: Any) -> str:
    """A setting in a file name: ``pnil``, ``naive``, ``memories8``."""
    if isinstance(value, bool):
        return key if value else f"no-{key}"
    if key == "arch_args":
        return "-".join(f"{name}{size}" for name, size in value)
    if key == "keep":
        return f"{key}-{value}"
    if isinstance(value, tuple):
        value = "-".join(value)
    return value if isinstance(value, str) else f"{key.replace('_', '')}{value}"
