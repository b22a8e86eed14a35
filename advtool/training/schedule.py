"""Adam, and how its learning rate moves from batch to batch."""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import ConstantLR, CyclicLR, ExponentialLR, LRScheduler

from advtool.models.bias import perturbation_parameters, perturbation_step
from advtool.training.recipes import Recipe

Schedule = Callable[[Optimizer], LRScheduler]

RISE = 0.4
"""The share of the steps after which a cyclic learning rate is highest."""


class Updates:
    """One step of training after another: Adam, its schedule, and the perturbation biases beside it.

    The biases of Wen & Itti take a sign step of their own (Algorithm 2): Adam, which divides a gradient by its
    size, would cancel their eps.

    Args:
        model: what is trained, in place.
        recipe: gives the learning rates and the biases' step.
        schedule: makes the learning rate's schedule, which advances with every step.
    """

    def __init__(self, model: nn.Module, recipe: Recipe, schedule: Schedule) -> None:
        self._model = model
        self._recipe = recipe
        own_step = {id(parameter) for parameter in perturbation_parameters(model)}
        ordinary = [parameter for parameter in model.parameters() if id(parameter) not in own_step]
        self._optimizer = Adam(ordinary, lr=recipe.learning_rate, betas=(0.9, 0.999), fused=True)
        self._schedule = schedule(self._optimizer)

    def step(self, loss: Tensor) -> None:
        """Move the parameters once; ``loss`` is a scalar with a graph to them."""
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        if self._recipe.bias != "plain":
            perturbation_step(self._model, self._recipe.apb_eps, self._recipe.apb_direction)
        self._schedule.step()


def schedule_of(recipe: Recipe, steps: int) -> Schedule:
    """The recipe's schedule, laid out over that many steps in all."""
    if recipe.schedule == "cyclic":
        return partial(triangular, low=recipe.base_learning_rate, high=recipe.learning_rate, steps=steps)
    return partial(ConstantLR, factor=1.0)


def triangular(optimizer: Optimizer, *, low: float, high: float, steps: int) -> LRScheduler:
    """One triangle (Smith 2017): from ``low`` to ``high`` in 40 % of the ``steps``, and back in the rest.

    The two ends lie one step before the first and one after the last: with a ``low`` of 0 a step there would
    train nothing.
    """
    up = max(1, round(RISE * (steps + 1)))
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] = low
    return CyclicLR(
        optimizer,
        base_lr=low,
        max_lr=high,
        step_size_up=up,
        step_size_down=steps + 1 - up,
        cycle_momentum=False,
        last_epoch=0,  # its first rate is then that of step 1
    )


def exponential(optimizer: Optimizer, *, low: float, high: float, steps: int) -> LRScheduler:
    """From ``low`` at the first of ``steps`` to ``high`` at the last, each step by the same factor."""
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] = low
    return ExponentialLR(optimizer, gamma=(high / low) ** (1 / (steps - 1)))
