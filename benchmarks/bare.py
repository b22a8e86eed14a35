"""The physical limit: how fast a model computes when nothing but the model runs."""

import copy
import time
from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from advtool.compute.precision import Precision, autocast, has_bfloat16_units

BATCHES = (32, 64, 128, 256, 512, 1024, 4096, 16384)
LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
SECONDS = 0.5
"""That long each combination is timed."""
TOO_SLOW = 1.0
"""Seconds a call after which no larger batch is tried."""
SIDE = {"cpu": 2048, "cuda": 8192}
"""Of the square matrices whose product tells the peak."""


class Rate(NamedTuple):
    """What a model does bare, and how."""

    images_a_second: float
    batch: int
    layout: str
    precision: Precision
    of_peak: float
    """the share of the matrix product's peak in this precision"""


def limit(model: nn.Module, x: Tensor, *, gradient: bool) -> Rate:
    """The best rate over layouts, precisions and batch sizes.

    Args:
        model: in eval mode, frozen.
        x: images (N, C, H, W) on its device, repeated to fill a batch.
        gradient: of forward passes with the input's gradient; else of forward passes.
    """
    precisions: tuple[Precision, ...] = ("float32", "bfloat16") if has_bfloat16_units(x.device) else ("float32",)
    found = []
    for layout, precision in product(LAYOUTS, precisions):
        arranged = copy.deepcopy(model).to(memory_format=LAYOUTS[layout])
        for batch in BATCHES:
            call = _call(arranged, _fill(x, batch, layout), precision, gradient=gradient)
            if (seconds := seconds_a_call(call, x.device)) > TOO_SLOW and batch > BATCHES[0]:
                break
            found.append((batch / seconds, batch, layout, precision))
    best = max(found)
    reached = best[0] * flops(model, x[:1], gradient=gradient)
    return Rate(*best, of_peak=reached / peak(x.device, TYPES[best[3]]))


def again(model: nn.Module, x: Tensor, rate: Rate, *, gradient: bool) -> float:
    """Images a second of the best way once more: the machine is not equally fast from one minute to the next."""
    arranged = copy.deepcopy(model).to(memory_format=LAYOUTS[rate.layout])
    return rate.batch / seconds_a_call(
        _call(arranged, _fill(x, rate.batch, rate.layout), rate.precision, gradient=gradient), x.device
    )


def _fill(x: Tensor, batch: int, layout: str) -> Tensor:
    return x.repeat(-(-batch // len(x)), 1, 1, 1)[:batch].contiguous(memory_format=LAYOUTS[layout])


def _call(model: nn.Module, x: Tensor, precision: Precision, *, gradient: bool) -> Callable[[], object]:
    labels = torch.zeros(len(x), dtype=torch.long, device=x.device)

    def forward() -> Tensor:
        with torch.no_grad(), autocast(precision, x.device):
            return model(x)

    def forward_and_gradient() -> Tensor:
        point = x.detach().requires_grad_()
        with autocast(precision, x.device):
            loss = cross_entropy(model(point).float(), labels, reduction="sum")
        return torch.autograd.grad(loss, point)[0]

    return forward_and_gradient if gradient else forward


def seconds_a_call(call: Callable[[], object], device: torch.device) -> float:
    """The mean over at least half a second, after one call to warm up."""
    call()
    calls, start = 0, time.perf_counter()
    while True:
        call()
        calls += 1
        if device.type == "cuda":
            torch.cuda.synchronize()
        if (elapsed := time.perf_counter() - start) > SECONDS:
            return elapsed / calls


def flops(model: nn.Module, image: Tensor, *, gradient: bool) -> int:
    """Floating point operations of a pass for one image (1, C, H, W), counted in torch's own layers.

    The input's gradient takes as many again: each layer's is the same product with its weight transposed.
    """
    with FlopCounterMode(display=False) as counter:
        _call(model, image, "float32", gradient=False)()
    return counter.get_total_flops() * (2 if gradient else 1)


def peak(device: torch.device, dtype: torch.dtype) -> float:
    """Floating point operations a second of a product of large square matrices."""
    side = SIDE[device.type]
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    return 2 * side**3 / seconds_a_call(lambda: a @ b, device)
