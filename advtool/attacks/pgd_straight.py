"""PGD straight through rounding: what has no useful gradient is taken for the identity on the way back."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from advtool.attacks.base import Guide
from advtool.attacks.losses import tempered_cross_entropy
from advtool.attacks.pgd import PGD

ROUNDING_AND_CLAMPING = (
    "round",
    "floor",
    "ceil",
    "trunc",
    "fix",
    "clamp",
    "clip",
    "clamp_min",
    "clamp_max",
    "hardtanh",
    "relu6",
)
"""Functions of torch that roughly follow their input, though their gradient is zero in places or everywhere."""


class StraightThroughPGD(PGD):
    """PGD with a gradient that skips rounding and clamping (BPDA).

    While the model runs, ``round``, ``floor``, ``clamp`` and their like give their value forward and the
    identity's gradient backward, wherever in the model they are called.

    Source: Athalye, Carlini and Wagner 2018, "Obfuscated gradients give a false sense of security", arXiv 1802.00420:
    the straight-through estimator of BPDA.
    """

    name = "pgd-straight"
    guide = Guide.straight_gradient
    loss = staticmethod(tempered_cross_entropy)
    fewer_draws = 4

    def is_moot(self, x: Tensor, y: Tensor) -> bool:
        """Whether the model calls none of the functions for these images: then this is PGD with a temperature."""
        with _StraightThrough() as straight:
            self.target.scores_and_gradient(x, y, self.loss, eot=1)
        return not straight.met

    def slope(self, x: Tensor, y: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        with _StraightThrough():
            return super().slope(x, y, generator)


class _StraightThrough(TorchFunctionMode):
    """Within it, a call of a function in ``ROUNDING_AND_CLAMPING`` has gradient 1 at its first argument."""

    def __init__(self) -> None:
        super().__init__()
        self.met = False
        """whether there was such a call"""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        named = kwargs or {}
        given = args[0] if args else named.get("input")
        if func not in _STRAIGHTENED or not isinstance(given, Tensor) or not given.requires_grad:
            return func(*args, **named)
        self.met = True
        before = given.clone()  # what works in place overwrites it
        value = func(*args, **named)
        nought = (before - before.detach()).nan_to_num(nan=0.0)  # where it is infinite the difference is NaN
        straight = value.detach() + nought
        return given.copy_(straight) if value is given else straight


_STRAIGHTENED = {
    function
    for home in (torch, Tensor, torch.nn.functional)
    for name in ROUNDING_AND_CLAMPING
    for spelling in (name, f"{name}_")
    if (function := getattr(home, spelling, None)) is not None
}
