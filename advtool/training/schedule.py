"""Adam, and how its learning rate changes from step to step."""

from collections.abc import Callable

import numpy as np
from torch import Tensor, nn
from torch.optim import Adam
from torch.optim.lr_scheduler import LambdaLR

from advtool.models.bias import perturbation_parameters, perturbation_step
from advtool.training.recipes import Recipe

Schedule = Callable[[int], float]
"""The learning rate of a step; the first step is number 0."""

RISING_SHARE = 0.4
"""The share of the steps in which a cyclic learning rate rises."""


class Updates:
    """One training step after another: Adam, its learning rate, and the step of the perturbation biases.

    A perturbation bias takes a sign step instead of Adam's (Wen & Itti, Algorithm 2): Adam divides a gradient by its
    size, which would cancel their eps.

    Args:
        model: is trained in place.
        recipe: gives the step of the perturbation biases.
        schedule: gives the learning rate of every step.
    """

    def __init__(self, model: nn.Module, recipe: Recipe, schedule: Schedule) -> None:
        self._model = model
        self._recipe = recipe
        own_step = {id(parameter) for parameter in perturbation_parameters(model)}
        ordinary = [parameter for parameter in model.parameters() if id(parameter) not in own_step]
        # LambdaLR multiplies the schedule by this learning rate.
        self._optimizer = Adam(ordinary, lr=1.0, betas=(0.9, 0.999), fused=True)
        self._schedule = LambdaLR(self._optimizer, schedule)

    def step(self, loss: Tensor) -> None:
        """Change the parameters once. The ``loss`` is a scalar with a graph to them."""
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        if self._recipe.bias != "plain":
            perturbation_step(self._model, self._recipe.apb_eps, self._recipe.apb_direction)
        self._schedule.step()


def schedule_of(recipe: Recipe, steps: int) -> Schedule:
    """The recipe's schedule for a training of that many steps."""
    if recipe.schedule == "cyclic":
        return triangular(low=recipe.base_learning_rate, high=recipe.learning_rate, steps=steps)
    return lambda _: recipe.learning_rate


def triangular(*, low: float, high: float, steps: int) -> Schedule:
    """One triangle (Smith 2017): it rises from ``low`` to ``high`` in 40 % of the ``steps``, then falls back.

    The ends of the triangle lie one step before the first step and one after the last: a step at a ``low`` of 0
    would train nothing.
    """
    end = steps + 1
    top = max(1, round(RISING_SHARE * end))
    return lambda step: float(np.interp(step + 1, (0, top, end), (low, high, low)))


def exponential(*, low: float, high: float, steps: int) -> Schedule:
    """From ``low`` at the first of ``steps`` to ``high`` at the last; every step multiplies by the same factor."""
    factor = (high / low) ** (1 / (steps - 1))
    return lambda step: low * factor**step
