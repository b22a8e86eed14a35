"""Recipes train on the methods of ``advtool.perturb``."""

from typing import Any
from unittest.mock import patch

import pytest
import torch

from advtool import perturb
from advtool.threat import ThreatModel
from advtool.training import EXAMPLES, RECIPES
from advtool.training.examples import craft
from tests.support.models import mlp
from tests.support.trainings import batch, draws

SETTINGS: dict[str, dict[str, Any]] = {
    "fgsm": {},
    "r+fgsm": {"step_size": 0.02},
    "rfgsm": {"step_size": 0.2},
    "nfgsm": {"clip": False},
    "pgd": {"steps": 3},
}


@pytest.mark.parametrize("kind", EXAMPLES)
def test_what_trains_is_what_perturb_gives_without_a_second_look_at_the_images(kind: str) -> None:
    model, (x, y) = mlp(), batch((8, 1, 4, 4), classes=4)
    method = getattr(perturb, kind.replace("+", "_"))
    expected = method(model, x, y, eps=0.1, eot=2, generator=draws(), **SETTINGS[kind])
    with patch("torch.Tensor.aminmax", side_effect=AssertionError("a look at the images makes a GPU wait")):
        x_adv = craft(model, x, y, kind, threat_model=ThreatModel(eps=0.1), generator=draws(), eot=2, **SETTINGS[kind])
    assert torch.equal(x_adv, expected)


def test_nfgsm_trains_on_algorithm_1_unless_it_is_told_to_clip() -> None:
    assert RECIPES["nfgsm"].example_settings["clip"] is False
