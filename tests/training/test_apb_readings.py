"""Algorithm 2 in each of its readings: the optimizer and the sign step against a transcription, laws, and refusals."""

import copy
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from advtool import training
from advtool.cli.recipe_options import default_words
from advtool.data import Split
from advtool.errors import InputError
from advtool.models.bias import perturbation_parameters, sign_gradients, with_perturbation_bias
from advtool.training.schedule import Updates, schedule_of
from tests.support.models import mlp
from tests.support.trainings import equal, short

STEPS = 5
READINGS = list(product(("sgd", "adam"), ("direct", "optimizer"), ("descent", "ascent"), ("naive", "multimodal")))


def batches() -> Iterator[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(5)
    for _ in range(STEPS):
        yield torch.rand(8, 1, 4, 4, generator=generator), torch.randint(4, (8,), generator=generator)


def model(bias: str) -> nn.Module:
    torch.manual_seed(0)
    return with_perturbation_bias(mlp(), bias=bias)


def trained(start: nn.Module, **settings: Any) -> nn.Module:
    """After the steps of a training with these settings."""
    asked = {name: value for name, value in settings.items() if value is not None}
    after, recipe = copy.deepcopy(start), training.recipe_for("mnist", "apb", **asked)
    updates = Updates(after, recipe, schedule_of(recipe, STEPS), STEPS)
    for x, y in batches():
        updates.step(nn.functional.cross_entropy(after(x), y))
    return after


def transcribed(start: nn.Module, optimizer: str, step: str, direction: str, eps: float, rate: float) -> nn.Module:
    """The same, written out: SGD with momentum 0.9, or Adam (Kingma & Ba 2015, Algorithm 1), on each parameter."""
    after = copy.deepcopy(start).double()
    signed = {id(p) for p in perturbation_parameters(after)}
    parameters = list(after.parameters())
    first, second = ([torch.zeros_like(p) for p in parameters] for _ in range(2))
    for t, (x, y) in enumerate(batches(), start=1):
        gradients = torch.autograd.grad(nn.functional.cross_entropy(after(x.double()), y), parameters)
        for place, (p, gradient) in enumerate(zip(parameters, gradients, strict=True)):
            d = gradient
            if id(p) in signed:  # "d delta_AP" and "d m_AP" of Algorithm 2
                d = (eps if direction == "descent" else -eps) * gradient.sign()
            if optimizer == "sgd":
                first[place] = 0.9 * first[place] + d
                change = rate * first[place]
            else:
                first[place] = 0.9 * first[place] + 0.1 * d
                second[place] = 0.999 * second[place] + 0.001 * d**2
                mean, square = first[place] / (1 - 0.9**t), second[place] / (1 - 0.999**t)
                change = rate * mean / (square.sqrt() + 1e-8)
            p.data -= d if id(p) in signed and step == "direct" else change
    return after


@pytest.mark.parametrize(("optimizer", "step", "direction", "bias"), READINGS)
def test_each_reading_is_a_transcription_of_algorithm_2(optimizer: str, step: str, direction: str, bias: str) -> None:
    start = model(bias)
    moot = (optimizer, step) == ("adam", "optimizer")
    given: dict[str, Any] = {"optimizer": optimizer, "apb_step": step, "apb_direction": direction, "bias": bias}
    ours = trained(start, **given, apb_eps=None if moot else 0.07)
    theirs = transcribed(start, optimizer, step, direction, eps=0.07, rate=0.01 if optimizer == "sgd" else 0.001)
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(p.double(), q, atol=2e-6, rtol=2e-5, msg=name)
    moved = [(p - q).abs().max() for p, q in zip(ours.parameters(), start.parameters(), strict=True)]
    assert min(moved) > 1e-4, "every parameter takes part"


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(("optimizer", "eps", "moved"), [("adam", 0.01, 3), ("adam", 2.0, 3), ("sgd", 0.5, 2.805)])
def test_adam_cancels_eps_and_momentum_sums_it_up(optimizer: str, eps: float, moved: float, side: int) -> None:
    """Three steps with one sign: Adam moves by its rate each time, SGD by its rate times eps (1 + 1.9 + 2.71)."""
    direction = "descent" if side == 1 else "ascent"
    given = {"optimizer": optimizer, "apb_step": "optimizer", "apb_direction": direction, "learning_rate": 0.001}
    recipe = replace(training.recipe_for("mnist", "apb", **given), apb_eps=eps)
    layer = with_perturbation_bias(nn.Linear(2, 3), bias="naive")
    start, updates = layer.bias.detach().clone(), Updates(layer, recipe, schedule_of(recipe, 3), 3)
    for _ in range(3):
        updates.step(layer(torch.ones(4, 2)).sum())
    torch.testing.assert_close(start - layer.bias, torch.full((3,), side * 0.001 * moved), atol=1e-7, rtol=1e-3)


def test_a_sign_gradient_has_the_size_of_eps_and_the_side_of_its_direction() -> None:
    x, y = next(batches())
    start = model("multimodal")
    nn.functional.cross_entropy(start(x), y).backward()
    signs = [p.grad.sign() for p in perturbation_parameters(start)]
    for direction, side in (("descent", 1), ("ascent", -1)):
        found = copy.deepcopy(start)
        for p, sign in zip(perturbation_parameters(found), signs, strict=True):
            p.grad = sign * 17
        sign_gradients(found, 0.25, direction)
        assert all(map(torch.equal, [p.grad for p in perturbation_parameters(found)], [side * 0.25 * s for s in signs]))
    with pytest.raises(InputError, match="it must be a positive number"):
        sign_gradients(start, 0.0)


def test_the_defaults_are_adam_and_the_direct_step(digits: Split) -> None:
    asked = {"arch": "lenet", "bias": "multimodal", "limit": 64, "epochs": 1}
    plain = short(digits, "apb", **asked)
    assert plain.header.recipe["optimizer"] == "adam"
    assert plain.header.recipe["apb_step"] == "direct"
    assert equal(plain, short(digits, "apb", **asked, optimizer="adam", apb_step="direct"))
    for other in ({"optimizer": "sgd"}, {"apb_step": "optimizer"}):
        found = short(digits, "apb", **asked, **other)
        assert other.items() <= found.header.recipe.items()
        assert not equal(plain, found)


def test_sgd_has_a_rate_of_its_own_unless_one_is_asked_for() -> None:
    assert training.recipe_for("mnist", "apb", optimizer="sgd").learning_rate == 0.01
    assert training.recipe_for("mnist", "clean", optimizer="sgd", learning_rate=0.5).learning_rate == 0.5
    assert training.recipe_for("mnist", "apb", optimizer="adam").learning_rate == 0.001
    assert (default_words("learning_rate") or "").endswith("; 0.01 with sgd")


@pytest.mark.parametrize(
    ("recipe", "settings", "words"),
    [
        ("nfgsm", {"optimizer": "sgd"}, "--optimizer does not go with the recipe 'nfgsm', only with clean, adv, both"),
        (
            "clean",
            {"apb_step": "direct"},
            "--apb-step does not go with bias plain .*, only with bias naive or bias mul",
        ),
        (
            "apb",
            {"apb_step": "optimizer", "apb_eps": 0.1},
            "--apb-eps does nothing with --apb-step optimizer and --opt",
        ),
        ("apb", {"apb_step": "adam"}, "--apb-step 'adam': it must be one of direct, optimizer"),
        ("apb", {"optimizer": "lion"}, "--optimizer 'lion': it must be one of adam, sgd"),
    ],
)
def test_what_contradicts_itself_is_refused(recipe: str, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        training.recipe_for("mnist", recipe, **settings)
