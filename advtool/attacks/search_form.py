"""The form of a model in which attacks search it: the same function up to rounding, computed faster.

What a search finds is verified with the model itself, so speed is all that is asked of this form.
"""

import copy

import torch
from torch import Tensor, nn

from advtool import seeding
from advtool.convolution import QuickConv2d
from advtool.precision import Precision, autocast, layout

CLOSE = 1e-3
"""Share of an image's largest logit, or gradient, by which the form may differ in float32: rounding stays far below."""
COARSE = 0.25
"""Rounding of a logit in bfloat16 that hides no step of a search. Logits of hundreds, which rounding moves by more, are
searched in float32."""


def search_form(model: nn.Module, images: Tensor, precision: Precision = "float32") -> nn.Module:
    """A copy of ``model`` with quick convolutions, in the layout and precision that are fastest on the device.

    A model that cannot be copied, does not run so, or then computes something else is returned as it is. bfloat16 is
    not taken where it is too coarse for the model's logits.

    Args:
        model: in eval mode, parameters frozen; left as it was.
        images: a few images (N, C, H, W) on its device, to compare the two on.
        precision: float32 or bfloat16.
    """
    for arrangement in dict.fromkeys([(layout(model), True), (layout(model), False), (torch.contiguous_format, False)]):
        try:
            quick = _Arranged(copy.deepcopy(model), *arrangement)
            if not _agree(model, quick, images):
                continue
            if precision == "bfloat16" and not _is_coarse(model, quick, images):
                quick.precision = precision
            return quick
        except Exception:  # whatever a user's model does when it is copied or arranged otherwise
            continue
    return model


class _Arranged(nn.Module):
    """The model in a memory layout, its plain convolutions become quick ones, its ReLUs at will in place."""

    def __init__(self, model: nn.Module, memory_format: torch.memory_format, in_place: bool) -> None:
        super().__init__()
        self.layout = memory_format
        self.inner = model.to(memory_format=memory_format)
        self.precision: Precision = "float32"
        for module in model.modules():
            if type(module) is nn.Conv2d:
                module.__class__ = QuickConv2d
            if type(module) is nn.ReLU:
                module.inplace = in_place or module.inplace

    def forward(self, x: Tensor) -> Tensor:
        x = x.contiguous(memory_format=self.layout)
        if self.precision == "float32":
            return self.inner(x)  # type: ignore[no-any-return]
        with autocast(self.precision, x.device):
            return self.inner(x)  # type: ignore[no-any-return]


def _agree(model: nn.Module, other: nn.Module, images: Tensor) -> bool:
    """Whether the two give the same logits and gradients for each image, under the same draws of torch's generators."""
    answers = [_logits_and_gradient(each, images) for each in (model, other)]
    return all(bool((_largest(b - a) <= CLOSE * _largest(a)).all()) for a, b in zip(*answers, strict=True))


def _is_coarse(model: nn.Module, quick: _Arranged, images: Tensor) -> bool:
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


def _logits_and_gradient(model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    x = images.detach().clone().requires_grad_()
    with seeding.global_streams(x.device, 0, "search form"):
        logits = model(x)
        gradient = torch.autograd.grad(logits.logsumexp(1).sum(), x)[0] if logits.requires_grad else torch.zeros_like(x)
    return logits.detach(), gradient
