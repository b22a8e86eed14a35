"""PGD straight through rounding: what has no useful gradient is taken for the identity on the way back."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from advtool.attacks.base import Found, StepReport
from advtool.attacks.pgd import PGD
from advtool.attacks.pgd_temperature import tempered_cross_entropy

FLAT = ("round", "floor", "ceil", "trunc", "fix", "clamp", "clip", "clamp_min", "clamp_max", "hardtanh", "relu6")
"""Functions of torch that follow their input by and large, and whose gradient is zero here and there or everywhere."""


class StraightThroughPGD(PGD):
    """:class:`PGD` with the backward pass of Athalye et al. 2018 (BPDA) for rounding and clamping.

    While the model runs, ``round``, ``floor``, ``clamp`` and their like give their value forward and the
    identity's gradient backward, wherever in the model they are called. Of a model that calls none of them the
    images come back as they are. See :class:`PGD` for the arguments.
    """

    loss = staticmethod(tempered_cross_entropy)

    def search(self, x: Tensor, y: Tensor, generator: torch.Generator, report: StepReport) -> Found:
        if not self._is_flat(x[:1]):
            return Found.at_once(x.clone(), step=0, queries=1)
        return super().search(x, y, generator, report)

    def _is_flat(self, x: Tensor) -> bool:
        """Whether the model calls any of these functions; if not, there is nothing to step over."""
        with torch.enable_grad(), _StraightThrough() as mode:
            self.estimator.scores_and_gradient(x, torch.zeros(len(x), dtype=torch.long, device=x.device))
        return bool(mode.calls)

    def slope(self, x: Tensor, y: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        with _StraightThrough():
            return super().slope(x, y, generator)


class _StraightThrough(TorchFunctionMode):
    """Within it, a call of a function in ``FLAT`` has the gradient 1 with respect to its first argument."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: int = 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        named = kwargs or {}
        given = args[0] if args else named.get("input")
        if func not in _FUNCTIONS or not isinstance(given, Tensor) or not given.requires_grad:
            return func(*args, **named)
        self.calls += 1
        before = given.clone()  # what works in place overwrites it
        value = func(*args, **named)
        nought = (before - before.detach()).nan_to_num(nan=0.0)  # where it is infinite the difference is NaN
        straight = value.detach() + nought
        return given.copy_(straight) if value is given else straight


_FUNCTIONS = {
    function
    for home in (torch, Tensor, torch.nn.functional)
    for name in FLAT
    for spelling in (name, f"{name}_")
    if (function := getattr(home, spelling, None)) is not None
}
