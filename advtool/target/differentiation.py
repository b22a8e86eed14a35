"""The gradient of a model: how autograd gives it, whether it does, and what the model needs for it."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn

from advtool.errors import is_out_of_memory, reason
from advtool.target.facts import Autograd, Needs
from advtool.target.state import State

GRAPH_IS_CUT = "nothing leads from the outputs back to the input"
GRADIENT_IMAGES = 2
"""The gradient is asked for so many images."""
GRADIENT_CALLS = 2
"""The gradient is asked for so often: the second call shows whether the model keeps the graph of the first one."""


class CutError(Exception):
    """The model has a forward pass, but nothing leads from the outputs back to the input."""


@dataclass(frozen=True)
class Differentiation:
    """What was found out about the model's gradient."""

    autograd: Autograd
    """how to ask for the gradient"""
    no_gradient_because: str | None
    """why autograd gives no gradient; None if it gives one"""
    differentiates: bool
    """the model computes a gradient in its forward pass"""
    needs: Needs
    """all that the model needs, for its gradient too"""


def slope(value: Tensor, x: Tensor, way: Autograd = Autograd.grad) -> Tensor:
    """The gradient of the scalar ``value`` at the leaf ``x``; zero if nothing leads from ``value`` back to ``x``."""
    if not value.requires_grad:
        return torch.zeros_like(x)
    if way is Autograd.grad:
        return torch.autograd.grad(value, x, allow_unused=True, materialize_grads=True)[0]
    value.backward()
    return torch.zeros_like(x) if x.grad is None else x.grad


def differentiate(build: Callable[[Needs], nn.Module], needs: Needs, images: Tensor, state: State) -> Differentiation:
    """Try one way after another to get the model's gradient, until one works.

    Args:
        build: makes the model that gets the given needs.
        needs: what the model needs for its forward pass.
        images: float32 (N, C, H, W) on the model's device; the first two are used.
        state: the model's state before its first call. It is restored after each try.
    """
    images, refusals = images[:GRADIENT_IMAGES], list[str]()
    for update, way in _ways(images.device, state):
        more_needs = needs.model_copy(update=update)
        try:
            differentiates = _differentiates(build(more_needs), images, way)
            return Differentiation(way, None, differentiates, more_needs)
        except CutError:
            refusals.append(GRAPH_IS_CUT)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            refusals.append(reason(error))
        finally:
            state.restore()
    return Differentiation(Autograd.none, refusals[0], False, needs)


def _ways(device: torch.device, state: State) -> Iterator[tuple[dict[str, bool], Autograd]]:
    """More needs, and ways to ask, that may give a gradient; the simplest first."""
    nothing: dict[str, bool] = {}
    own_input, state_moves = {"own_input": True}, bool(state.changed())
    yield nothing, Autograd.grad
    yield own_input, Autograd.grad  # for models that work in place on their input
    yield own_input, Autograd.backward  # for reentrant checkpointing
    if device.type == "cuda":
        yield {"no_cudnn": True}, Autograd.grad  # for recurrent layers in eval mode
        yield {"no_cudnn": True, **own_input}, Autograd.backward
    if state_moves:
        yield {"rewinding": True}, Autograd.grad  # for models that keep the graph or the answer of their last call


@torch.enable_grad()
def _differentiates(model: nn.Module, images: Tensor, way: Autograd) -> bool:
    """Ask for the model's gradient, and say whether the model computes one itself in its forward pass.

    Raises:
        CutError: nothing leads from the outputs back to the input.
        Exception: whatever autograd or the model raises.
    """
    slopes = []
    for _ in range(GRADIENT_CALLS):
        x = images.clone().requires_grad_()
        with _watch_for_autograd() as seen:
            logits = model(x)
        if not logits.requires_grad:
            raise CutError
        slopes.append(slope(logits.logsumexp(1).sum(), x, way))
    if bool(slopes[0].any()) and not bool(slopes[-1].any()):
        raise CutError  # the model gave the answer of its last call again, and the graph of that leads to other images
    return bool(seen)


@contextmanager
def _watch_for_autograd() -> Iterator[list[str]]:
    """Watch for calls of ``torch.autograd.grad`` and ``backward``, under whatever name Python code calls them.

    Yields:
        A list that receives the name of the function at each call.
    """
    functions = {torch.autograd.grad.__code__, torch.autograd.backward.__code__}
    seen: list[str] = []

    def watch(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code in functions:
            seen.append(frame.f_code.co_name)

    before: Any = sys.getprofile()
    sys.setprofile(watch)
    try:
        yield seen
    finally:
        sys.setprofile(before if callable(before) else None)
        if hasattr(before, "enable"):  # cProfile's profiler is not callable before Python 3.12
            before.enable()
