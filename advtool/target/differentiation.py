"""Whether autograd finds a model's gradient, and what it takes to get it."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn

from advtool.errors import is_out_of_memory, reason
from advtool.target.facts import Needs
from advtool.target.state import State
from advtool.target.target import Autograd, slope

CUT = "nothing leads from the outputs back to the input"


class CutError(Exception):
    """Nothing leads from the outputs back to the input."""


@dataclass(frozen=True)
class Differentiation:
    """What came of asking for a gradient."""

    autograd: Autograd
    because: str | None
    """why there is none"""
    inside: bool
    """the model computes a gradient in its forward pass"""
    needs: Needs
    """what the model needs, with what its gradient needs"""


ASKED = 2
"""Images whose gradient is asked for."""
TWICE = 2
"""So often, one time after the other: a model may keep the graph of its last call."""


def differentiate(build: Callable[[Needs], nn.Module], needs: Needs, images: Tensor, state: State) -> Differentiation:
    """Ask for a gradient, and in other ways until there is one.

    Args:
        build: makes the model with what it needs.
        needs: what is known of that.
        images: float32 (N, C, H, W); the first two count.
        state: the model's, before the first call.
    """
    few, refusals = images[:ASKED], list[str]()
    for update, way in _ways(images.device, state):
        asked = needs.model_copy(update=update)
        try:
            return Differentiation(way, None, _ask(build(asked), few, way), asked)
        except CutError:
            refusals.append(CUT)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            refusals.append(reason(error))
        finally:
            state.restore()
    return Differentiation(Autograd.none, refusals[0], False, needs)


def _ways(device: torch.device, state: State) -> Iterator[tuple[dict[str, bool], Autograd]]:
    """What may help a gradient through, the simplest first."""
    plain: dict[str, bool] = {}
    own, moves = {"own_input": True}, bool(state.changed())
    yield plain, Autograd.grad
    yield own, Autograd.grad  # it works in place on what it is given
    yield own, Autograd.backward  # as reentrant checkpointing demands
    if device.type == "cuda":
        yield {"no_cudnn": True}, Autograd.grad  # recurrent layers in eval mode
        yield {"no_cudnn": True, **own}, Autograd.backward
    if moves:
        yield {"rewinding": True}, Autograd.grad  # it keeps the graph of its last call, or an answer without one


@torch.enable_grad()
def _ask(model: nn.Module, images: Tensor, way: Autograd) -> bool:
    """Whether the model computes a gradient in its forward pass; an error if its own cannot be had."""
    slopes = []
    for _ in range(TWICE):
        x = images.clone().requires_grad_()
        with _watch_for_autograd() as seen:
            logits = model(x)
        if not logits.requires_grad:
            raise CutError
        slopes.append(slope(logits.logsumexp(1).sum(), x, way))
    if bool(slopes[0].any()) and not bool(slopes[-1].any()):
        raise CutError  # it gave the answer of its last call, which led to other images
    return bool(seen)


@contextmanager
def _watch_for_autograd() -> Iterator[list[str]]:
    """The names of autograd's entrances as they are called by Python code, however they were imported."""
    entrances = {torch.autograd.grad.__code__, torch.autograd.backward.__code__}
    seen: list[str] = []

    def watch(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code in entrances:
            seen.append(frame.f_code.co_name)

    before: Any = sys.getprofile()
    sys.setprofile(watch)
    try:
        yield seen
    finally:
        sys.setprofile(before if callable(before) else None)
        if hasattr(before, "enable"):  # before Python 3.12 cProfile's is no callable that could be set again
            before.enable()
