"""What a model is like, found out by asking it: the facts behind the diagnostics' warnings."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn

from advtool import seeding
from advtool.attacks.estimator import EOTClassifier
from advtool.attacks.pgd_margin import negative_margin
from advtool.errors import InputError

ROUNDING = 1e-3
"""Share of the largest logit by which answers may differ because a batch of another shape sums in another order."""
NEAR = 0.02
"""A pixel so close to an end of the clip range counts as lying there."""
VANISHING = 1e-12
SOME = 32
"""Images whose pixels at the ends of the range are asked for their gradients: thousands of pixels."""
DRAWS = 32
STANDARD_ERRORS = 8
"""How far two means over so many draws must lie apart: by chance about once in 10^8 comparisons."""


@dataclass(frozen=True)
class Inspection:
    """Facts about a model, on up to 200 images. Shares are fractions in [0, 1]."""

    train_mode: bool
    """it was handed over with modules in train mode"""
    batch_dependent: bool
    """the answer for an image depends on its place in the batch, or on the other images; of a random model, its mean"""
    probabilities: bool
    """its outputs are not below 0 and sum to 1"""
    differentiates: bool
    """it computes a gradient inside its forward pass"""
    no_gradient: bool
    """its outputs hang on nothing that autograd could follow back to the input"""
    ends_ignored: bool
    """pixels at the ends of the clip range have no gradient, and would have one further inside"""
    saturated: float
    """share of images whose largest softmax output is exactly 1 in float32"""
    vanishing: float
    """share of images whose gradient of the cross entropy is zero everywhere"""


def inspect(estimator: EOTClassifier, model: nn.Module, x: Tensor, y: Tensor, *, train_mode: bool) -> Inspection:
    """Ask the model; it is in eval mode, on the device of ``x`` (N, C, H, W) and ``y`` (N,).

    The caller seeds the global generators.

    Raises:
        InputError: autograd refuses an operation of the model.
    """
    few = x[:8]
    with _watch_for_autograd() as seen, torch.enable_grad():
        answer = model(few.clone().requires_grad_())
    logits = estimator.logits(x)
    gradient = _gradient(estimator, x, y)
    return Inspection(
        train_mode=train_mode,
        batch_dependent=(_mean_depends_on_the_batch if estimator.randomised else _depends_on_the_batch)(model, few),
        probabilities=bool((logits.amin() >= 0) & ((logits.sum(1) - 1).abs().max() < 1e-4)),
        differentiates=bool(seen),
        no_gradient=not answer.requires_grad,
        ends_ignored=_ignores_the_ends(estimator, x[:SOME], y[:SOME]),
        saturated=_share(logits.softmax(1).amax(1) == 1),
        vanishing=_share(gradient.abs().flatten(1).amax(1) < VANISHING),
    )


def _gradient(estimator: EOTClassifier, x: Tensor, y: Tensor) -> Tensor:
    try:
        return estimator.scores_and_gradient(x, y, eot=1)[1]
    except RuntimeError as error:
        if "derivative for" not in str(error):
            raise
        raise InputError(
            f"the model cannot be differentiated ({error}): use an operation that can be, e.g. torch.floor(x / a) "
            "for x // a, or put it behind x.detach()"
        ) from None


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


def _depends_on_the_batch(model: nn.Module, few: Tensor) -> bool:
    with torch.no_grad():
        together, shifted, alone = model(few), model(few.roll(1, 0)).roll(-1, 0), model(few[:1])
    allowed = ROUNDING * together.abs().max().clamp_min(1e-6)
    return bool((together - shifted).abs().max() > allowed or (together[:1] - alone).abs().max() > allowed)


def _mean_depends_on_the_batch(model: nn.Module, few: Tensor) -> bool:
    """The same of a random model, by the mean of its answers for the first image over many draws.

    Each draw seeds both calls alike: a model that takes its noise in the order of the images then gives the first
    one the same, and the difference is the companions' alone. Other noise averages out.
    """
    ways = (
        lambda: model(few[:1].expand_as(few).clone())[0],  # among other images
        lambda: model(few.roll(len(few) // 2, 0))[len(few) // 2],  # in another place
        lambda: model(few[:1])[0],
    )
    usual = _draws(lambda: model(few)[0], few)
    return any(_differ_in_mean(usual, _draws(way, few)) for way in ways)


def _draws(ask: Callable[[], Tensor], few: Tensor) -> Tensor:
    answers = []
    for draw in range(DRAWS):
        with torch.no_grad(), seeding.global_streams(few.device, draw, "batch"):
            answers.append(ask())
    return torch.stack(answers)


def _differ_in_mean(one: Tensor, other: Tensor) -> bool:
    """Whether the means of paired answers (draws, classes) differ by more than rounding, and than noise ever would."""
    difference = (one - other).double()
    mean, error = difference.mean(0).abs(), difference.std(0) / len(difference) ** 0.5
    allowed = ROUNDING * one.abs().max().clamp_min(1e-6)
    return bool(((mean > allowed) & (mean > STANDARD_ERRORS * error)).any())


def _ignores_the_ends(estimator: EOTClassifier, x: Tensor, y: Tensor) -> bool:
    """Nearly every pixel at an end of the range is without gradient, and most are not once they are moved inside."""
    at_end = (x < NEAR) | (x > 1 - NEAR)
    if not bool(at_end.any()):
        return False

    def dead(at: Tensor) -> float:
        return _share(estimator.scores_and_gradient(at, y, negative_margin, eot=1)[1][at_end] == 0)

    return dead(x) > 0.99 and dead(0.25 + 0.5 * x) < 0.5


def _share(of: Tensor) -> float:
    return float(of.float().mean())
