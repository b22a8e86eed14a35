"""Recipes as data: one from outside of the package, and what a recipe refuses."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from advtool import models, training
from advtool.cli.recipe_options import default_words
from advtool.data import Split
from advtool.errors import InputError
from advtool.settings import settings_of
from advtool.training import EXAMPLES, RECIPES, Recipe, Settings, register

GENTLE: dict[str, Any] = {
    "name": "gentle",
    "summary": "three projected steps",
    "takes": frozenset({"step_size", "pgd_steps"}),
    "scenario": "both",
    "examples": "pgd",
    "pgd_steps": 3,
    "arch": "cnn",
    "batch_size": 16,
    "learning_rate": 1e-3,
    "schedule": "constant",
}


@pytest.fixture(autouse=True)
def registries_as_before() -> Iterator[None]:
    recipes, kinds = dict(RECIPES), dict(EXAMPLES)
    yield
    for registry, before in ((RECIPES, recipes), (EXAMPLES, kinds)):
        registry.clear()
        registry.update(before)


def test_a_recipe_from_outside_trains_with_its_own_settings(tiny: Split) -> None:
    register(Recipe(**GENTLE))
    recipe = training.train(tiny, "gentle", epochs=1, step_size=0.01).header.recipe
    assert recipe == recipe | {"name": "gentle", "examples": "pgd", "pgd_steps": 3, "step_size": 0.01, "epochs": 1}
    assert not {"eot", "memories", "clip_examples"} & recipe.keys()
    with pytest.raises(InputError, match=r"--eot does not go with the recipe 'gentle', only with fgsm"):
        training.recipe_for("tiny", "gentle", eot=3)


def test_examples_from_outside_are_what_the_model_trains_on(tiny: Split) -> None:
    seen: list[float] = []

    def black(
        model: nn.Module, images: Tensor, labels: Tensor, *, eps: float, eot: int, generator: torch.Generator
    ) -> Tensor:
        seen.append(eps)
        return torch.zeros_like(images)

    EXAMPLES["black"] = black
    register(Recipe(**GENTLE | {"examples": "black", "takes": frozenset(), "scenario": "adv"}))
    metrics = training.train(tiny, "gentle", epochs=1, eps=0.125).header.metrics
    assert set(seen) == {0.125}
    assert metrics["one_step_accuracy"] <= 0.5  # all images look the same


def test_a_name_that_is_taken_and_examples_that_nobody_makes_are_refused(tiny: Split) -> None:
    with pytest.raises(InputError, match="there is a recipe 'nfgsm' already"):
        register(Recipe(**GENTLE | {"name": "nfgsm"}))
    register(Recipe(**GENTLE | {"examples": "pdg"}))
    with pytest.raises(InputError, match=r"unknown kind of examples 'pdg' \(did you mean 'pgd'\?\)"):
        training.train(tiny, "gentle", epochs=1)


def test_the_sizes_of_a_network_are_those_of_the_checkpoint(tiny: Split, tmp_path: Path) -> None:
    settings = {"arch": "resnet11", "arch_args": {"width": 4}, "epochs": 1, "pnil": True}
    path = tmp_path / "narrow.safetensors"
    header = training.train(tiny, "nfgsm", output=path, **settings).header
    assert header.architecture.options == {"width": 4, "pnil": [""]}
    assert models.load_checkpoint(path)(torch.zeros(1, *tiny.shape)).shape == (1, len(tiny.classes))
    with pytest.raises(InputError, match="values by name"):
        training.recipe_for("tiny", "nfgsm", arch_args=3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"learning_rate": 0.0}, "--learning-rate 0.0: it must be a positive number"),
        ({"epochs": 0}, "--epochs 0: it must be an integer of at least 1"),
        ({"scenario": "none"}, "--scenario 'none': it must be one of clean, adv, both"),
        ({"pnil": 1}, "--pnil 1: it must be True or False"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused_at_once(change: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Recipe(**GENTLE | change)


def test_a_new_recipe_shows_in_the_defaults_of_the_help() -> None:
    assert default_words("batch_size") == "100; 128 for clean, adv, both, apb"
    register(Recipe(**GENTLE))
    assert default_words("batch_size") == "100; 128 for clean, adv, both, apb; 16 for gentle"
    own = "gowal for ibp; resnet11 for cifar10; gowal for ibp on cifar10"
    assert default_words("arch") == f"cnn; lenet for clean, adv, both, apb; {own}"


def test_every_optional_setting_is_one() -> None:
    for recipe in RECIPES.values():
        assert recipe.takes <= settings_of(Settings).keys(), recipe.name
