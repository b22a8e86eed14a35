"""The optimizer, and how its learning rate and the loss change from step to step."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from advtool.models.bias import perturbation_parameters, perturbation_step, sign_gradients
from advtool.training.recipes import Recipe

Schedule = Callable[[int], float]
"""The learning rate of a step; the first step is number 0."""

STEPS_DONE = "steps done"
"""The name of the position in the state of updates; all others are those of the optimiser's tensors."""

RISING_SHARE = 0.4
"""The share of the steps in which a cyclic learning rate rises."""

MOMENTUM = 0.9
"""Of SGD."""


class Phase(NamedTuple):
    """The loss of one step of a training by interval bounds: the radius of its boxes, and the weight of clean images.

    Attributes:
        eps: a fraction of the pixel range; 0 in the warm-up.
        kappa: in [0, 1]; 1 in the warm-up.
    """

    eps: float
    kappa: float


class Updates:
    """One training step after another: the optimizer, its learning rate, and the step of the perturbation biases.

    A perturbation bias follows the sign of its gradient (Wen & Itti, Algorithm 2). The step is ``direct`` and the
    optimizer does not see the bias, or it goes through the ``optimizer``, whose gradient is then eps times the sign.
    Adam divides a gradient by its size, which cancels that eps; SGD multiplies it by its learning rate.

    Args:
        model: is trained in place.
        recipe: gives the optimizer and the step of the perturbation biases.
        schedule: gives the learning rate of every step.
        steps: of the whole training.
    """

    def __init__(self, model: nn.Module, recipe: Recipe, schedule: Schedule, steps: int) -> None:
        self._model = model
        self._steps = steps
        self._recipe = recipe
        direct = recipe.apb_step == "direct"
        own_step = {id(parameter) for parameter in perturbation_parameters(model) if direct}
        optimized = [parameter for parameter in model.parameters() if id(parameter) not in own_step]
        self._optimizer = _optimizer(recipe, optimized)
        self._rate, self._schedule = schedule, LambdaLR(self._optimizer, schedule)
        self.learning_rate = math.nan
        """of the last step; NaN before the first"""

    @property
    def done(self) -> float:
        """The share of the training's steps that are done, in [0, 1]."""
        return min(1.0, self._schedule.last_epoch / self._steps)

    def state(self) -> dict[str, Tensor]:
        """All that the next step depends on beyond the parameters: what the optimiser keeps of each, and the position.

        Copies, on the CPU.
        """
        kept = self._optimizer.state_dict()["state"]
        tensors = {f"{number}.{name}": value for number, own in kept.items() for name, value in own.items()}
        copies = {name: value.detach().clone().cpu() for name, value in tensors.items() if value is not None}
        return {STEPS_DONE: torch.tensor(self._schedule.last_epoch), **copies}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on after the step at which :meth:`state` was taken of updates of the same parameters.

        Raises:
            ValueError: the state is none of such updates.
        """
        parameters = [parameter for group in self._optimizer.param_groups for parameter in group["params"]]
        kept: dict[int, dict[str, Tensor]] = {}
        for key, value in state.items():
            number, _, name = key.partition(".")
            if key != STEPS_DONE:
                kept.setdefault(int(number), {})[name] = _like(parameters[int(number)], value)
        self._optimizer.load_state_dict(self._optimizer.state_dict() | {"state": kept})
        self._schedule = LambdaLR(self._optimizer, self._rate, last_epoch=int(state[STEPS_DONE]) - 1)  # makes a step

    def step(self, loss: Tensor) -> None:
        """Change the parameters once. The ``loss`` is a scalar with a graph to them."""
        self.learning_rate = float(self._schedule.get_last_lr()[0])
        self._optimizer.zero_grad()
        loss.backward()
        biased, direct = self._recipe.bias != "plain", self._recipe.apb_step == "direct"
        if biased and not direct:
            sign_gradients(self._model, self._recipe.apb_eps, self._recipe.apb_direction)
        self._optimizer.step()
        if biased and direct:
            perturbation_step(self._model, self._recipe.apb_eps, self._recipe.apb_direction)
        self._schedule.step()


def _optimizer(recipe: Recipe, parameters: Sequence[nn.Parameter]) -> Optimizer:
    """With the learning rate 1, by which LambdaLR multiplies the schedule."""
    if recipe.optimizer == "sgd":
        return SGD(parameters, lr=1.0, momentum=MOMENTUM, fused=True)
    return Adam(parameters, lr=1.0, betas=(0.9, 0.999), fused=True)


def _like(parameter: Tensor, kept: Tensor) -> Tensor:
    """What was kept of a parameter, laid out in memory as it is: fused optimisers read both side by side."""
    if kept.ndim == 0:  # a count of steps
        return kept
    if kept.shape != parameter.shape:
        raise ValueError(f"a tensor of shape {tuple(kept.shape)} for a parameter of shape {tuple(parameter.shape)}")
    return torch.empty_like(parameter, requires_grad=False).copy_(kept)


def schedule_of(recipe: Recipe, steps: int) -> Schedule:
    """The recipe's schedule for a training of that many steps."""
    if recipe.schedule == "cyclic":
        return triangular(low=recipe.base_learning_rate, high=recipe.learning_rate, steps=steps)
    if recipe.schedule == "falling":
        return falling(high=recipe.learning_rate, after=recipe.warm_up + recipe.ramp, steps=steps)
    return lambda _: recipe.learning_rate


def triangular(*, low: float, high: float, steps: int) -> Schedule:
    """One triangle (Smith 2017): it rises from ``low`` to ``high`` in 40 % of the ``steps``, then falls back.

    The ends of the triangle lie one step before the first step and one after the last: a step at a ``low`` of 0
    would train nothing.
    """
    end = steps + 1
    top = max(1, round(RISING_SHARE * end))
    return lambda step: float(np.interp(step + 1, (0, top, end), (low, high, low)))


def falling(*, high: float, after: float, steps: int) -> Schedule:
    """``high`` until the share ``after`` of the ``steps`` is done, then linearly to 0, which is one step past the end.

    A lower rate while the bounds still grow would leave the last of them untrained.
    """
    return lambda step: high * float(np.interp(step, (after * steps, steps), (1.0, 0.0)))


def exponential(*, low: float, high: float, steps: int) -> Schedule:
    """From ``low`` at the first of ``steps`` to ``high`` at the last; every step multiplies by the same factor."""
    factor = (high / low) ** (1 / (steps - 1))
    return lambda step: low * factor**step


def phase_of(recipe: Recipe, eps: float, done: float) -> Phase:
    """The phase when the share ``done`` of the steps is done (Gowal et al. 2019).

    After the warm-up the radius rises linearly from 0 to the recipe's ``train_eps``, and kappa falls linearly from 1
    to the recipe's. From the end of the ramp on both stay.

    Args:
        recipe: says how.
        eps: of the threat model.
        done: in [0, 1].
    """
    share = min(1.0, max(0.0, (done - recipe.warm_up) / recipe.ramp))
    return Phase(eps=share * recipe.radius(eps), kappa=1 - share * (1 - recipe.kappa))
