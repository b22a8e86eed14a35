"""What a reproduction needs, as plain data: models to train, questions to ask them, epochs to time."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from advtool.attacks.suites import SUITES
from advtool.evaluation.stages import probed
from advtool.reproduce.folds import Fold
from advtool.training.recipes import Recipe, recipe_for

TRAIN_IMAGES = {"digits": 1294, "mnist": 55000, "fashion-mnist": 55000, "cifar10": 45000}
"""What the validation split leaves for training."""


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model to train; equal ones of two tables are trained once.

    Attributes:
        dataset: a name that :func:`advtool.data.load` knows.
        recipe: a name in ``RECIPES``.
        eps: radius that it is trained for, a fraction of the pixel range.
        epochs: passes over the training images.
        limit: how many images it trains on; None: all that the validation split leaves.
        seed: of its training.
        settings: pairs of further fields of ``advtool.training.Settings`` and their values.
        examples_of: the model whose FGSM examples, made once, it trains on; None: examples of its own, on the fly.
        fold: the part of a cross-validation that it trains on; None: the data set's own split.
        validated: how many validation images choose its epoch; None: all.
    """

    dataset: str
    recipe: str
    eps: float
    epochs: int
    limit: int | None = None
    seed: int = 0
    settings: tuple[tuple[str, Any], ...] = ()
    examples_of: "Model | None" = None
    fold: Fold | None = None
    validated: int | None = None

    @cached_property
    def resolved(self) -> Recipe:
        """The recipe with the data set's settings and the model's own, its fixed examples aside."""
        return recipe_for(self.dataset, self.recipe, epochs=self.epochs, **dict(self.settings))

    @property
    def images(self) -> int:
        """On how many images it trains, about: for estimates of time."""
        most = TRAIN_IMAGES.get(self.dataset, 50_000)
        return min(self.limit or most, most // 2 if self.fold else most)

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

    @property
    def cost(self) -> float:
        """About how many passes forward and backward of one image the training takes."""
        recipe = self.resolved
        crafted = {"pgd": recipe.pgd_steps}.get(recipe.examples, 1) * recipe.eot
        passes = {"clean": 1.0, "adv": 1 + crafted, "both": 2 + crafted}[recipe.scenario]
        if self.examples_of:
            passes -= crafted
        validated = self.validated or min(5000, self.images // 9)
        return self.epochs * (passes * self.images + 1.5 * validated + 10 * min(500, validated))


@dataclass(frozen=True, kw_only=True)
class Question:
    """One evaluation of one model; the fields beside ``model`` and ``images`` are those of ``advtool.evaluate``."""

    model: Model
    eps: float
    images: int | None
    """of the test images, the first of the fixed permutation; None: all"""
    attacks: tuple[str, ...]
    seed: int = 0
    eot: int | None = None
    votes: int | None = None
    pgd_steps: int = 50
    spsa_steps: int = 100
    spsa_samples: int = 128

    def settings(self) -> dict[str, Any]:
        """The keyword arguments of :func:`advtool.evaluate`."""
        names = ("eps", "seed", "eot", "votes", "pgd_steps", "spsa_steps", "spsa_samples")
        return {name: getattr(self, name) for name in names} | {"attacks": list(self.attacks)}

    @property
    def title(self) -> str:
        """What the step is called while it runs."""
        return f"evaluate {self.model.name}: {', '.join(self.attacks)} at eps {self.eps:g}"

    @property
    def stages(self) -> int:
        """Passes over the images that the evaluation makes: clean, attacks, and a cascade's probes."""
        count = 1 + sum(len(SUITES.get(attack, {attack: None})) for attack in self.attacks)
        return count + (len(probed(self.eps)) if "audit" in self.attacks else 0)

    @property
    def cost(self) -> float:
        """About how many passes forward and backward of one image the evaluation takes."""
        draws = self.eot or (20 if self.model.resolved.pnil else 1)
        spsa = self.spsa_steps * self.spsa_samples / 2 * (self.eot or 1)
        known = {"fgsm": draws, "spsa": spsa, "audit": 1000 * draws, "paper": self.pgd_steps * draws + spsa}
        each = sum(known.get(attack.partition("(")[0], self.pgd_steps * draws) for attack in self.attacks)
        return (self.images or 10_000) * each


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Epochs of several models, timed in turn on one machine.

    Attributes:
        name: of the file that keeps it.
        models: what is timed; their ``epochs`` do not matter.
        repeats: epochs of each, after one to warm up.
    """

    name: str
    models: tuple[Model, ...]
    repeats: int

    @property
    def title(self) -> str:
        """What the step is called while it runs."""
        return f"time {len(self.models)} trainings in turn"

    @property
    def cost(self) -> float:
        """About how many passes forward and backward of one image it takes."""
        return (self.repeats + 1) * sum(model.cost / model.epochs for model in self.models)


Step = Model | Question | Timing


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that has to be measured, and in what it is less than the paper's protocol."""

    models: tuple[Model, ...] = ()
    """beside those that the questions and timings name"""
    questions: tuple[Question, ...] = ()
    timings: tuple[Timing, ...] = ()
    cuts: tuple[str, ...] = ()

    def steps(self) -> list[Step]:
        """Each thing once, in an order in which it can be done: a model, and at once its questions; timings last."""
        steps: dict[Step, None] = {}
        for model in self._named():
            steps |= dict.fromkeys(_with_sources(model))
            steps |= dict.fromkeys(question for question in self.questions if question.model == model)
        return [*steps, *self.timings]

    def _named(self) -> Iterator[Model]:
        yield from self.models
        yield from (question.model for question in self.questions)
        for timing in self.timings:
            yield from (model.examples_of for model in timing.models if model.examples_of)


def settings(**fields: Any) -> tuple[tuple[str, Any], ...]:
    """Fields of ``advtool.training.Settings`` as a model takes them."""
    return tuple(sorted(fields.items()))


def limit_of(dataset: str, images: int | None) -> int | None:
    """``images``, or None where a data set has no more than that for training."""
    return None if images is None or images >= TRAIN_IMAGES.get(dataset, 50_000) else images


def _with_sources(model: Model) -> list[Model]:
    return [*(_with_sources(model.examples_of) if model.examples_of else ()), model]


def _word(key: str, value: Any) -> str:
    """A setting in a file name: ``pnil``, ``naive``, ``memories8``."""
    if isinstance(value, bool):
        return key if value else f"no-{key}"
    if key == "keep":
        return f"{key}-{value}"
    return value if isinstance(value, str) else f"{key.replace('_', '')}{value}"
