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
from advtool.target.target import Autograd, slope

CUT = "nothing leads from the outputs back to the input"


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


def differentiate(build: Callable[[Needs], nn.Module], needs: Needs, images: Tensor) -> Differentiation:
    """Ask for one gradient, again as long as the refusal says what would help.

    Args:
        build: makes the model with what it needs.
        needs: what is known of that.
        images: float32 (N, C, H, W).
    """
    way = Autograd.grad
    while True:
        try:
            return _ask(build(needs), needs, images, way)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            words = str(error)
            if "leaf Variable that requires grad" in words and not needs.own_input:
                needs = needs.model_copy(update={"own_input": True})
            elif "cudnn RNN backward" in words and not needs.no_cudnn:
                needs = needs.model_copy(update={"no_cudnn": True})
            elif "Checkpointing is not compatible" in words and way is Autograd.grad:
                way = Autograd.backward
            else:
                return Differentiation(Autograd.none, reason(error), False, needs)


@torch.enable_grad()
def _ask(model: nn.Module, needs: Needs, images: Tensor, way: Autograd) -> Differentiation:
    x = images.clone().requires_grad_()
    with _watch_for_autograd() as seen:
        logits = model(x)
    if not logits.requires_grad:
        return Differentiation(Autograd.none, CUT, bool(seen), needs)
    slope(logits.logsumexp(1).sum(), x, way)
    return Differentiation(way, None, bool(seen), needs)


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
