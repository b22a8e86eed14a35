"""The recipes as plain data: a new one is a line in ``RECIPES``."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Unpack

from advtool import models
from advtool.arguments import LARGEST, shown
from advtool.compute.precision import Precision
from advtool.errors import InputError, near_match
from advtool.training.settings import Bias, Direction, Keep, Scenario, Schedule, Settings, allowed, flag

CLEAN_WEIGHT: dict[Scenario, float] = {"clean": 1.0, "adv": 0.0, "both": 0.5}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a model is trained: Adam on ``w L(F(x), y) + (1 - w) L(F(x'), y)``.

    L is the mean cross entropy of a batch, w the scenario's ``CLEAN_WEIGHT``, and x' the examples.

    Attributes:
        name: the recipe's.
        summary: what it is, for people.
        takes: the settings that go with this recipe and not with every one.
        scenario: clean images, examples, or both (Wen & Itti, section 4).
        examples: a name in ``EXAMPLES``: how x' is made from the current weights.
        arch: a name in ``advtool.models.ARCHITECTURES``.
        epochs: passes over the training images.
        batch_size: images a step.
        learning_rate: Adam's; of a cyclic schedule, its highest.
        base_learning_rate: where a cyclic schedule begins and ends.
        schedule: constant, or cyclic: triangular, highest after 40 % of the steps (Smith 2017).
        keep: the validation figure by which the kept epoch is chosen (:mod:`advtool.training.history`); None
            stands for clean accuracy in the scenario clean, and for PGD in the others.
        stop_on_collapse: end the training at catastrophic overfitting.
        precision: of the passes through the model; weights, Adam's state and what is counted are float32.
        bias: of the fully connected layers: plain, or a perturbation bias (Wen & Itti, Algorithms 1 and 2).
        memories: h of a multimodal perturbation bias.
        bias_layers: the fully connected layers that get a perturbation bias, by the names of their modules; none
            named means all of them.
        apb_eps: the step of a perturbation bias a batch, in its own units.
        apb_direction: of that step: down the loss, as Algorithm 2 reads, or up.
        fixed_examples: checkpoint of the model whose FGSM examples, made once, stand for x'.
        pnil: put a noise injection layer before the first layer (Schwinn et al., equations 2 and 3).
        pnil_at: and before these layers, by the names of their modules.
        eot: gradients summed for a step of the examples, L in Algorithm 1 of Schwinn et al.
        step_size: of the examples, a fraction of the pixel range in (0, 1], for R+FGSM no more than eps; None
            stands for their own default.
        pgd_steps: steps of PGD examples.
        clip_examples: clip NFGSM examples to [0, 1].

    Raises:
        InputError: a number is out of range; the message names the option.
    """

    name: str
    summary: str
    takes: frozenset[str]
    scenario: Scenario
    examples: str = "fgsm"
    arch: str
    epochs: int = 10
    batch_size: int
    learning_rate: float
    base_learning_rate: float = 0.0
    schedule: Schedule
    keep: Keep | None = None
    stop_on_collapse: bool = False
    precision: Precision = "auto"
    bias: Bias = "plain"
    memories: int = 8
    bias_layers: tuple[str, ...] = ()
    apb_eps: float = 0.03
    apb_direction: Direction = "descent"
    fixed_examples: Path | None = None
    pnil: bool = False
    pnil_at: tuple[str, ...] = ()
    eot: int = 1
    step_size: float | None = None
    pgd_steps: int = 10
    clip_examples: bool = False

    def __post_init__(self) -> None:
        for name in ("learning_rate", "apb_eps"):
            if not 0 < getattr(self, name) < float("inf"):
                raise InputError(f"{flag(name)} {getattr(self, name)}: it must be a positive number, such as 0.001")
        if self.apb_eps > LARGEST:
            raise InputError(f"--apb-eps {self.apb_eps}: it must be at most {LARGEST:g}")
        if self.step_size is not None and not 0 < self.step_size <= 1:
            raise InputError(f"--step-size {self.step_size}: it must lie in (0, 1], a fraction of the pixel range")
        if not 0 <= self.base_learning_rate < self.learning_rate:
            raise InputError(
                f"--base-learning-rate {self.base_learning_rate}: it must lie in [0, {self.learning_rate}), "
                "below --learning-rate"
            )

    @property
    def clean_weight(self) -> float:
        """The weight w of the clean images, in [0, 1]."""
        return CLEAN_WEIGHT[self.scenario]

    @property
    def kept_by(self) -> Keep:
        """``keep``, or what it is when nobody asks."""
        return self.keep or ("clean" if self.scenario == "clean" else "pgd")

    @property
    def example_settings(self) -> dict[str, Any]:
        """What the recipe's kind of examples takes beside eps."""
        names = {"step_size": "step_size", "pgd_steps": "steps", "clip_examples": "clip"}
        return {own: getattr(self, name) for name, own in names.items() if name in self.takes}

    def to_dict(self) -> dict[str, Any]:
        """The settings that matter here, for a checkpoint's card, all of JSON's types."""
        moot = {"summary", "takes", "arch"} | (OPTIONAL - self.takes - {"scenario"})
        moot |= {name for name, need in NEEDS.items() if getattr(self, need.setting) not in need.values}
        given = asdict(self) | {"keep": self.kept_by}
        plain = {name: value for name, value in given.items() if name not in moot and value is not None}
        fields: dict[str, Any] = json.loads(json.dumps(plain, default=str))
        return fields


class Need(NamedTuple):
    """Another setting, and the values of it that a setting goes with."""

    setting: str
    values: tuple[Any, ...]


NEEDS = {
    "stop_on_collapse": Need("scenario", ("adv", "both")),
    "memories": Need("bias", ("multimodal",)),
    "bias_layers": Need("bias", ("naive", "multimodal")),
    "apb_eps": Need("bias", ("naive", "multimodal")),
    "apb_direction": Need("bias", ("naive", "multimodal")),
    "fixed_examples": Need("scenario", ("adv", "both")),
    "pnil_at": Need("pnil", (True,)),
}

BIAS = frozenset({"bias", "memories", "bias_layers", "apb_eps", "apb_direction"})
NOISE = frozenset({"pnil", "pnil_at", "eot", "base_learning_rate"})

_first_paper = partial(
    Recipe,
    takes=BIAS | {"fixed_examples"},
    arch="lenet",
    batch_size=128,
    learning_rate=1e-3,
    schedule="constant",
)
_second_paper = partial(
    Recipe,
    takes=NOISE,
    scenario="adv",
    arch="cnn",
    batch_size=100,
    learning_rate=5e-3,
    schedule="cyclic",
)
RECIPES = {
    recipe.name: recipe
    for recipe in (
        _first_paper(name="clean", scenario="clean", takes=BIAS, summary="clean images only"),
        _first_paper(name="adv", scenario="adv", summary="FGSM examples only"),
        _first_paper(name="both", scenario="both", summary="clean images and FGSM examples, weighed equally"),
        _first_paper(
            name="apb",
            scenario="clean",
            bias="naive",
            takes=BIAS | {"fixed_examples", "scenario"},
            summary="adversarial perturbation bias, on clean images unless --scenario says otherwise",
        ),
        _second_paper(name="fgsm", examples="fgsm", summary="FGSM examples, as adv"),
        _second_paper(
            name="r+fgsm", examples="r+fgsm", takes=NOISE | {"step_size"}, summary="random signs, then a gradient step"
        ),
        _second_paper(
            name="rfgsm",
            examples="rfgsm",
            takes=NOISE | {"step_size"},
            summary="uniform start, one long step, projected",
        ),
        _second_paper(
            name="nfgsm",
            examples="nfgsm",
            takes=NOISE | {"step_size", "clip_examples"},
            summary="uniform noise, then a full step around the noisy point",
        ),
        _second_paper(
            name="pgd", examples="pgd", takes=NOISE | {"step_size", "pgd_steps"}, summary="ten projected steps"
        ),
    )
}
OPTIONAL = frozenset[str]().union(*(recipe.takes for recipe in RECIPES.values()))

# Where a data set wants something else than the recipe says. digits makes only a dozen batches an epoch: clean
# training stands still after 20 epochs, adversarial accuracy still climbs at 50.
FOR_DATASET: dict[str, Settings] = {
    "digits": {"epochs": 60},
    "cifar10": {"arch": "resnet11", "epochs": 30},
}


def recipe_for(dataset: str, name: str, **settings: Unpack[Settings]) -> Recipe:
    """The recipe ``name`` with the data set's own settings, and on top of them what was asked for.

    Raises:
        InputError: no such recipe, no such setting, a value that it cannot have, or one that does not go with the
            recipe or with another setting.
    """
    if not isinstance(name, str) or name not in RECIPES:
        raise InputError(f"unknown recipe {shown(name)}{near_match(str(name), RECIPES)}")
    asked = {key: allowed(key, value) for key, value in settings.items() if value is not None}
    if "arch" in asked:
        models.check_name(asked["arch"])
    _check_taken(RECIPES[name], asked)
    changes: dict[str, Any] = {**FOR_DATASET.get(dataset, {}), **asked}
    recipe = replace(RECIPES[name], **changes)
    _check_needs(recipe, asked)
    return recipe


def _check_taken(recipe: Recipe, asked: Iterable[str]) -> None:
    for setting in asked:
        if setting in OPTIONAL - recipe.takes:
            takers = ", ".join(other.name for other in RECIPES.values() if setting in other.takes)
            raise InputError(f"{flag(setting)} does not go with the recipe '{recipe.name}', only with {takers}")


def _check_needs(recipe: Recipe, asked: Iterable[str]) -> None:
    for setting in asked:
        need = NEEDS.get(setting)
        if need is not None and (value := getattr(recipe, need.setting)) not in need.values:
            if need.values == (True,):
                raise InputError(f"{flag(setting)} needs {flag(need.setting)} (recipe '{recipe.name}')")
            wanted = " or ".join(f"{need.setting} {wanted}" for wanted in need.values)
            raise InputError(
                f"{flag(setting)} does not go with {need.setting} {value} (recipe '{recipe.name}'), only with {wanted}"
            )
    if recipe.name == "apb" and recipe.bias == "plain":
        raise InputError(f"--bias plain does not go with the recipe 'apb': that is the recipe '{recipe.scenario}'")
