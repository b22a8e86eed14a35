"""The recipes as plain data.

A new recipe is one entry in ``RECIPES``. Code outside of this package calls :func:`register` instead.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

from advtool.arguments import shown
from advtool.errors import InputError, near_match
from advtool.settings import Need, checked, option_name, settings_of
from advtool.training.settings import BY_BOUNDS, Keep, Scenario, Settings

CLEAN_WEIGHT: dict[Scenario, float] = {"clean": 1.0, "adv": 0.0, "both": 0.5}


@dataclass(frozen=True, kw_only=True)
class Recipe(Settings):
    """How a model is trained: its optimizer on ``w L(F(x), y) + (1 - w) L(F(x'), y)``.

    L is the mean cross entropy of a batch, w the ``CLEAN_WEIGHT`` of the scenario, and x' the adversarial examples. A
    recipe by bounds has worst-case logits instead of F(x'), and a w that falls (:mod:`advtool.training.bounds`).

    Attributes:
        name: by which it is asked for.
        summary: what it is, in some words.
        takes: its special settings. If a setting is special to some recipes, the others refuse it.
        for_dataset: settings that a data set needs with this recipe, on top of ``FOR_DATASET``.
    """

    name: str
    summary: str
    takes: frozenset[str] = frozenset()
    for_dataset: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def by_bounds(self) -> bool:
        """Whether bounds of all examples train, and none of them."""
        return self.examples == BY_BOUNDS

    def radius(self, eps: float) -> float:
        """``train_eps``; if it is None, 4/3 of the threat model's ``eps``: Gowal et al. train with 0.4 for 0.3."""
        return min(1.0, eps * 4 / 3) if self.train_eps is None else self.train_eps

    @property
    def clean_weight(self) -> float:
        """The weight w of the clean images, in [0, 1]."""
        return CLEAN_WEIGHT[self.scenario]

    @property
    def kept_by(self) -> Keep:
        """``keep``; if it is None, the accuracy of what trains: certified by bounds, on clean images alone, or PGD."""
        own: Keep = "certified" if self.by_bounds else "clean" if self.scenario == "clean" else "pgd"
        return self.keep or own

    @property
    def example_settings(self) -> dict[str, Any]:
        """The keyword arguments of the recipe's kind of examples."""
        names = {"step_size": "step_size", "pgd_steps": "steps", "clip_examples": "clip"}
        return {own: getattr(self, name) for name, own in names.items() if name in self.takes}

    def to_dict(self) -> dict[str, Any]:
        """The settings that matter for this recipe, for a checkpoint's header, as JSON's types."""
        moot = {"summary", "takes", "for_dataset", "arch", "arch_args"} | (
            special_settings() - self.takes - {"scenario"}
        )
        moot |= {name for name, setting in settings_of(Settings).items() if not self.meets(setting.about.needs)}
        given = {"name": self.name, "scenario": self.scenario, **asdict(self), "keep": self.kept_by}
        plain = {name: value for name, value in given.items() if name not in moot and value is not None}
        fields: dict[str, Any] = json.loads(json.dumps(plain, default=str))
        return fields

    def meets(self, need: Need | None) -> bool:
        """Whether the other settings are such that one with this need means something."""
        return need is None or getattr(self, need.setting) in need.values


FIRST_PAPER = frozenset({"optimizer", "bias", "memories", "bias_layers", "apb_eps", "apb_direction", "apb_step"})
NOISE = frozenset({"pnil", "pnil_at", "eot", "base_learning_rate"})

_first_paper = partial(Recipe, arch="lenet", batch_size=128, learning_rate=1e-3, schedule="constant")
_second_paper = partial(
    Recipe, scenario="adv", arch="cnn", batch_size=100, learning_rate=5e-3, schedule="cyclic", takes=NOISE
)

RECIPES = {
    recipe.name: recipe
    for recipe in (
        _first_paper(name="clean", scenario="clean", takes=FIRST_PAPER, summary="clean images only"),
        _first_paper(name="adv", scenario="adv", takes=FIRST_PAPER | {"fixed_examples"}, summary="FGSM examples only"),
        _first_paper(
            name="both",
            scenario="both",
            takes=FIRST_PAPER | {"fixed_examples"},
            summary="clean images and FGSM examples, weighed equally",
        ),
        _first_paper(
            name="apb",
            scenario="clean",
            bias="naive",
            takes=FIRST_PAPER | {"fixed_examples", "scenario"},
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
        Recipe(
            name="ibp",
            scenario="both",
            examples=BY_BOUNDS,
            takes=frozenset({"train_eps", "kappa", "warm_up", "ramp"}),
            arch="gowal",
            for_dataset={"cifar10": {"arch": "gowal"}},
            epochs=50,
            batch_size=100,
            learning_rate=2e-3,
            schedule="falling",
            summary="clean images and interval bounds of all examples: robustness that can be proved",
        ),
    )
}
"""The recipes by name."""

# digits has only a dozen batches in an epoch: clean training stops improving after 20 epochs, the adversarial
# accuracy still climbs at 50.
FOR_DATASET: dict[str, dict[str, Any]] = {
    "digits": {"epochs": 60},
    "cifar10": {"arch": "resnet11", "epochs": 30},
}
"""Settings that a data set needs instead of the recipe's."""

FOR_OPTIMIZER: dict[str, dict[str, Any]] = {"sgd": {"learning_rate": 0.01}}
"""Settings that an optimizer needs instead of the recipe's."""


def register(recipe: Recipe) -> Recipe:
    """Make a recipe known by its name, e.g. to :func:`advtool.training.train`.

    Raises:
        InputError: the name is taken.
    """
    if recipe.name in RECIPES:
        raise InputError(f"there is a recipe '{recipe.name}' already: give yours another name")
    RECIPES[recipe.name] = recipe
    return recipe


def recipe_for(dataset: str, name: str, **settings: Any) -> Recipe:
    """The recipe ``name`` with the data set's own settings, and on top of them the settings that are asked for.

    Args:
        dataset: a name; data sets that are not in ``FOR_DATASET`` have no settings of their own.
        name: of the recipe.
        settings: fields of :class:`Settings`; None: not asked for.

    Raises:
        InputError: there is no such recipe or setting, a value is wrong, or a setting does not go with the recipe
            or with another setting.
    """
    if not isinstance(name, str) or name not in RECIPES:
        raise InputError(f"unknown recipe {shown(name)}{near_match(str(name), RECIPES)}")
    asked = checked(Settings, {key: value for key, value in settings.items() if value is not None})
    _check_taken(RECIPES[name], asked)
    of_dataset = {**FOR_DATASET.get(dataset, {}), **RECIPES[name].for_dataset.get(dataset, {})}
    of_optimizer = FOR_OPTIMIZER.get(asked.get("optimizer", RECIPES[name].optimizer), {})
    recipe = replace(RECIPES[name], **{**of_dataset, **of_optimizer, **asked})
    if "arch" in asked or recipe.arch_args:
        from advtool import models  # noqa: PLC0415 - it imports torch

        models.check_name(recipe.arch)
        models.check_sizes(recipe.arch, recipe.arch_args or {})
    _check_needs(recipe, asked)
    return recipe


def special_settings() -> frozenset[str]:
    """The settings that are special to some recipes."""
    return frozenset[str]().union(*(recipe.takes for recipe in RECIPES.values()))


def takers(setting: str) -> list[Recipe]:
    """The recipes that take a setting."""
    everyone = list(RECIPES.values())
    return [recipe for recipe in everyone if setting in recipe.takes] or everyone


def _check_taken(recipe: Recipe, asked: Iterable[str]) -> None:
    for setting in asked:
        if recipe not in takers(setting):
            names = ", ".join(taker.name for taker in takers(setting))
            raise InputError(f"{option_name(setting)} does not go with the recipe '{recipe.name}', only with {names}")


def _check_needs(recipe: Recipe, asked: Iterable[str]) -> None:
    for setting in asked:
        need = settings_of(Settings)[setting].about.needs
        if need is None or recipe.meets(need):
            continue
        if need.values == (True,):
            raise InputError(f"{option_name(setting)} needs {option_name(need.setting)} (recipe '{recipe.name}')")
        wanted = " or ".join(f"{need.setting} {value}" for value in need.values)
        raise InputError(
            f"{option_name(setting)} does not go with {need.setting} {getattr(recipe, need.setting)} "
            f"(recipe '{recipe.name}'), only with {wanted}"
        )
    if "apb_eps" in asked and recipe.apb_step == "optimizer" and recipe.optimizer == "adam":
        raise InputError(
            "--apb-eps does nothing with --apb-step optimizer and --optimizer adam, which divides a gradient by its "
            "size: give --optimizer sgd or --apb-step direct"
        )
    if recipe.keep == "certified" and not recipe.by_bounds:
        names = ", ".join(one.name for one in RECIPES.values() if one.by_bounds)
        raise InputError(f"--keep certified does not go with the recipe '{recipe.name}', only with {names}")
    if recipe.name == "apb" and recipe.bias == "plain":
        raise InputError(f"--bias plain does not go with the recipe 'apb': that is the recipe '{recipe.scenario}'")
