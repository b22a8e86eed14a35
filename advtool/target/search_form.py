"""The form of a model in which attacks search it: the same function up to rounding, computed faster.

What a search finds is verified with the model itself, so speed is all that is asked of this form.
"""

import copy
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from advtool import seeding
from advtool.compute.convolution import QuickConv2d
from advtool.compute.precision import Precision, autocast, layout
from advtool.target.rewriting import rewritten

CLOSE = 1e-3
"""Share of an image's largest logit, or gradient, by which the form may differ in float32: rounding stays far below."""
FEW = 4
"""Images whose logits and gradients are compared."""
CALLS = 4
"""So often the two are asked: a model may compute something else from call to call."""
COARSE = 0.25
"""Rounding of a logit in bfloat16 that hides no step of a search. Logits of hundreds, which rounding moves by more, are
searched in float32."""


class _Arrangement(NamedTuple):
    """What is done to a model beside giving it quick convolutions."""

    layout: torch.memory_format
    rewritten: bool
    """see :mod:`advtool.target.rewriting`"""
    in_place: bool
    """its ReLUs, for all those that are not"""


def _arrangements(model: nn.Module) -> Iterator[_Arrangement]:
    """From the fastest to the one that every copy bears."""
    yield _Arrangement(layout(model), rewritten=True, in_place=True)
    yield _Arrangement(layout(model), rewritten=True, in_place=False)
    yield _Arrangement(layout(model), rewritten=False, in_place=True)
    yield _Arrangement(layout(model), rewritten=False, in_place=False)
    if layout(model) != torch.contiguous_format:
        yield _Arrangement(torch.contiguous_format, rewritten=False, in_place=False)


@torch.inference_mode(False)
@torch.enable_grad()
def search_form(model: nn.Module, images: Tensor, precision: Precision = "float32") -> nn.Module:
    """A copy of ``model`` with quick convolutions and less to compute, in the fastest layout and precision.

    A model that cannot be copied, does not run so, or then computes something else is returned as it is. bfloat16 is
    not taken where it is too coarse for the model's logits.

    Args:
        model: in eval mode, parameters frozen; left as it was.
        images: a few images (N, C, H, W) on its device, to compare the two on.
        precision: float32 or bfloat16.
    """
    for arrangement in _arrangements(model):
        try:
            quick = Arranged(_copy(model), arrangement, images.device)
            if not agree(model, quick, images, gradient=True):
                continue
            if precision == "bfloat16" and not _is_coarse(model, quick, images):
                quick.precision = precision
            return quick
        except Exception:  # whatever a user's model does when it is copied or arranged otherwise
            continue
    return model


def _copy(model: nn.Module) -> nn.Module:
    """A copy that shares no module and no parameter, whatever the model makes of being copied.

    Raises:
        ValueError: it shares one.
    """
    twin = copy.deepcopy(model)
    ours, theirs = ({id(part) for part in (*each.modules(), *each.parameters())} for each in (model, twin))
    if ours & theirs:
        raise ValueError("the copy is the model in part")
    return twin


class Arranged(nn.Module):
    """The model in an arrangement, its plain convolutions become quick ones."""

    def __init__(self, model: nn.Module, arrangement: _Arrangement, device: torch.device) -> None:
        super().__init__()
        self.layout = arrangement.layout
        self.precision: Precision = "float32"
        inner = rewritten(model, device) if arrangement.rewritten else model
        self.inner = inner.to(memory_format=arrangement.layout)
        for module in inner.modules():
            if type(module) is nn.Conv2d:
                module.__class__ = QuickConv2d
            if type(module) is nn.ReLU:
                module.inplace = arrangement.in_place or module.inplace

    def forward(self, x: Tensor) -> Tensor:
        x = x.contiguous(memory_format=self.layout)
        if self.precision == "float32":
            return self.inner(x)  # type: ignore[no-any-return]
        with autocast(self.precision, x.device):
            return self.inner(x)  # type: ignore[no-any-return]


def agree(model: nn.Module, other: nn.Module, images: Tensor, *, gradient: bool) -> bool:
    """Whether the two give each image the same logits and ``gradient`` under equal draws, from call to call."""
    asked = [images[:FEW], *[images[:2]] * (CALLS - 1)]
    for call, x in enumerate(asked):
        answers = [_answers(each, x, call, gradient=gradient and call == 0) for each in (model, other)]
        if not all(bool((_largest(b - a) <= CLOSE * _largest(a)).all()) for a, b in zip(*answers, strict=True)):
            return False
    return True


def _is_coarse(model: nn.Module, quick: Arranged, images: Tensor) -> bool:
    """Whether bfloat16 rounds logits so much, or loses them, that small steps do not show."""
    rounding = torch.finfo(torch.bfloat16).eps / 2
    quick.precision = "bfloat16"
    try:
        finite = bool(quick(images).isfinite().all())
    finally:
        quick.precision = "float32"
    return not finite or float(model(images).abs().max()) * rounding > COARSE


def _largest(values: Tensor) -> Tensor:
    """Of each image, (N,)."""
    return values.abs().flatten(1).amax(1)


def _answers(model: nn.Module, images: Tensor, call: int, *, gradient: bool) -> list[Tensor]:
    with seeding.global_streams(images.device, call, "search form"):
        if not gradient:
            with torch.no_grad():
                return [model(images)]
        x = images.detach().clone().requires_grad_()
        logits = model(x)
        slope = torch.autograd.grad(logits.logsumexp(1).sum(), x)[0] if logits.requires_grad else torch.zeros_like(x)
    return [logits.detach(), slope]
