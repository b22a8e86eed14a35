"""The learning rate: the triangle, the range test, and who moves which parameter."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from advtool import training
from advtool.data import Split, load
from advtool.errors import InputError
from advtool.models.bias import perturbation_parameters, with_perturbation_bias
from advtool.report import FORMATS, lr_range, plots
from advtool.training.range_test import propose
from advtool.training.schedule import Schedule, Updates, exponential, schedule_of, triangular
from tests.support.models import mlp


def rates(schedule: Schedule, steps: int) -> list[float]:
    return [schedule(step) for step in range(steps)]


def test_the_triangle_peaks_at_40_percent_and_its_ends_are_just_outside() -> None:
    seen = rates(triangular(low=1e-4, high=5e-3, steps=99), 100)
    assert seen[0] == pytest.approx(1e-4 + 4.9e-3 / 40)
    assert seen[39] == max(seen) == pytest.approx(5e-3)
    assert seen[19] == pytest.approx((1e-4 + 5e-3) / 2)
    assert seen[69] == pytest.approx((1e-4 + 5e-3) / 2)
    assert seen[98] == pytest.approx(1e-4 + 4.9e-3 / 60)
    assert seen[99] == pytest.approx(1e-4)


@pytest.mark.parametrize("steps", [1, 2, 3, 10])
def test_no_step_of_a_triangle_from_0_is_at_0_and_one_is_at_the_top(steps: int) -> None:
    seen = rates(triangular(low=0, high=1, steps=steps), steps)
    assert min(seen) > 0.09
    assert max(seen) == pytest.approx(1)


def test_a_training_of_one_batch_moves_the_weights(tiny: Split) -> None:
    one_batch = {"arch": "cnn", "epochs": 1, "batch_size": 36}
    trained = training.train(tiny, "nfgsm", **one_batch).model
    barely = training.train(tiny, "nfgsm", learning_rate=1e-12, **one_batch).model
    for name, tensor in trained.named_parameters():
        assert (tensor - dict(barely.named_parameters())[name]).abs().max() > 1e-3, name


def test_the_second_papers_recipes_are_cyclic_the_first_papers_constant() -> None:
    cyclic, constant = (training.recipe_for("mnist", name) for name in ("nfgsm", "adv"))
    assert (cyclic.batch_size, constant.batch_size) == (100, 128)
    seen = rates(schedule_of(cyclic, 10), 10)
    assert (seen[0], max(seen)) == pytest.approx((5e-3 / 4, 5e-3))
    assert set(rates(schedule_of(constant, 10), 10)) == {1e-3}


def test_adam_moves_by_the_rate_of_the_step() -> None:
    """Adam's steps have the size of its learning rate while the gradient stays the same (Kingma & Ba 2015)."""
    layer = nn.Linear(1, 1, bias=False)
    updates = Updates(layer, training.recipe_for("mnist", "nfgsm"), triangular(low=0, high=0.1, steps=9), 9)
    moves = []
    for _ in range(9):
        before = layer.weight.item()
        updates.step(layer.weight.sum())
        moves.append(before - layer.weight.item())
    assert moves == pytest.approx(rates(triangular(low=0, high=0.1, steps=9), 9), rel=1e-4)


def test_the_exponential_sweep_ends_where_it_should() -> None:
    seen = rates(exponential(low=1e-4, high=1.0, steps=5), 5)
    assert seen == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1, 1.0])


# Perturbation biases


@pytest.mark.parametrize(("direction", "sign"), [("descent", -1), ("ascent", 1)])
@pytest.mark.parametrize("bias", ["naive", "multimodal"])
def test_adam_never_moves_a_perturbation_and_its_step_is_eps(bias: str, direction: str, sign: int) -> None:
    torch.manual_seed(0)
    model = with_perturbation_bias(mlp(), bias=bias)
    recipe = training.recipe_for("mnist", "apb", bias=bias, apb_eps=0.07, apb_direction=direction)
    updates = Updates(model, recipe, schedule_of(recipe, 10), 10)
    for step in range(3):
        before = [p.detach().clone() for p in perturbation_parameters(model)]
        weight = model[1].weight.detach().clone()
        x, y = torch.rand(8, 1, 4, 4), torch.arange(8) % 4
        loss = nn.functional.cross_entropy(model(x), y)
        gradients = torch.autograd.grad(loss, perturbation_parameters(model), retain_graph=True)
        updates.step(loss)
        for p, old, gradient in zip(perturbation_parameters(model), before, gradients, strict=True):
            torch.testing.assert_close(p.detach(), old + sign * 0.07 * gradient.sign(), msg=f"step {step}")
        assert not torch.equal(model[1].weight, weight)


# The range test


def test_the_bounds_lie_where_the_descent_begins_and_ends() -> None:
    rates = [10 ** (-6 + 6 * step / 299) for step in range(300)]
    losses = [2.3 - 2.0 * min(1, max(0, (step - 100) / 100)) if step < 250 else 3.0 for step in range(300)]
    result = propose(rates, losses, "cyclic")
    assert result.base_learning_rate == pytest.approx(rates[110], rel=0.1)
    assert result.learning_rate == pytest.approx(rates[190], rel=0.1)


def test_a_loss_that_falls_once_more_at_a_higher_rate_changes_no_bound() -> None:
    rates = [10 ** (-6 + 6 * step / 299) for step in range(300)]
    losses = [*(2.3 - 1.5 * min(1, max(0, (step - 100) / 80)) for step in range(200)), *[1.4] * 50, *[0.1] * 50]
    result = propose(rates, losses, "cyclic")
    assert result.base_learning_rate == pytest.approx(rates[108], rel=0.15)
    assert result.learning_rate == pytest.approx(rates[172], rel=0.15)


def test_a_loss_that_never_falls_gives_no_bounds() -> None:
    with pytest.raises(InputError, match="does not fall"):
        propose([1e-6 * 1.1**step for step in range(50)], [2.3] * 50, "cyclic")


@pytest.mark.parametrize(
    ("recipe", "options"), [("clean", ["--learning-rate"]), ("nfgsm", ["--base-learning-rate", "--learning-rate"])]
)
def test_the_options_proposed_are_those_that_the_recipe_takes(tiny: Split, recipe: str, options: list[str]) -> None:
    tested = training.lr_range(tiny, recipe, arch="cnn", batch_size=16, lowest=1e-4, steps=60)
    proposed = dict(line.split() for line in FORMATS["table"](tested).splitlines())
    assert list(proposed) == options
    asked = {option.removeprefix("--").replace("-", "_"): float(value) for option, value in proposed.items()}
    assert training.recipe_for("tiny", recipe, **asked)


def test_the_bounds_on_digits_train_and_the_curve_is_drawn(tmp_path: Path) -> None:
    digits = load("digits", "train")
    result = training.lr_range(digits, "clean", arch="cnn", steps=80)
    assert 1e-5 < result.base_learning_rate < result.learning_rate < 0.3
    assert len(result.rates) == len(result.losses) == len(result.smoothed) <= 80
    assert result.rates[0] == 1e-6
    assert result == training.lr_range(digits, "clean", arch="cnn", steps=80)
    trained = training.train(digits, "clean", arch="cnn", epochs=4, learning_rate=result.learning_rate)
    assert trained.header.metrics["clean_accuracy"] > 0.8
    plots.save(lr_range.figure(result), tmp_path / "curve.svg")
    assert "learning rate" in (tmp_path / "curve.svg").read_text()


def test_the_test_ends_once_the_loss_is_four_times_the_first(tiny: Split) -> None:
    options = {"arch": "cnn", "batch_size": 18, "lowest": 1e-3, "highest": 1e3, "steps": 60}
    result = training.lr_range(tiny, "clean", **options)
    assert len(result.losses) == len(result.rates) < 60
    assert max(result.losses) < 4 * result.losses[0]


def test_the_range_test_of_bounds_stays_in_the_warm_up(tiny: Split) -> None:
    """Then it is the same whatever comes after the warm-up, however short that is."""
    found = [
        training.lr_range(tiny, "ibp", arch="cnn", eps=0.3, lowest=1e-5, steps=40, warm_up=warm_up, ramp=ramp)
        for warm_up, ramp in ((0.01, 0.02), (0.9, 0.1))
    ]
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lowest": 1.0, "highest": 0.1}, "--from 1.0 --to 0.1"),
        ({"steps": 5}, "--steps 5.*20 or more"),
        ({"epochs": 5}, "--epochs means nothing in a range test"),
        ({"keep": "pgd"}, "--keep means nothing in a range test"),
    ],
)
def test_bad_ranges(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        training.lr_range("digits", "clean", **options)
