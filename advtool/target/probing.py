"""How a model's answers vary: from call to call, with an image's place in the batch, with the rest of the batch."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from advtool import seeding
from advtool.target.facts import Randomness

IDENTICAL_CALLS = 5
"""Calls with the same images. Five calls find noise that shows in every fifth call in two of three models."""
EQUAL_CALL_ROUNDING = 1e-5
"""Two equal calls may differ by this share of the largest logit, because sums may run in another order."""
OTHER_BATCH_ROUNDING = 1e-3
"""Answers may differ by this share of the largest logit in a batch of another size, because sums run otherwise."""
COPIES_OF_AN_IMAGE = 4
"""Copies of one image in a batch, to see whether they draw the same noise."""
DRAWS_A_MEAN = 14
"""A random model's mean answer is taken over so many draws."""
MIN_STANDARD_ERRORS = 10
"""Two means differ if they lie so far apart. Equal means do so a few times in 10^7 comparisons."""


def differ(first: Tensor, second: Tensor, allowed: float = EQUAL_CALL_ROUNDING) -> bool:
    """Whether two sets of logits (N, classes) differ by more than rounding.

    Args:
        first: logits of one call.
        second: logits of the other call.
        allowed: share of the largest logit by which they may differ. A class whose logit is the same for all images in
            both calls does not count: a mask of -1e9 says nothing of the rounding of the other classes.
    """
    difference = (first - second).nan_to_num(nan=0.0)
    largest = first[:, _varying(first, difference)].abs().nan_to_num(posinf=0.0).amax().clamp_min(1e-6)
    return bool(difference.abs().max() > allowed * largest)


def _varying(logits: Tensor, difference: Tensor) -> Tensor:
    """The classes, bool (classes,), whose logits vary with the row or differ to another call; all if none does.

    Args:
        logits: of one call, (N, classes).
        difference: to those of the other call, (N, classes).
    """
    varying = ((logits != logits[:1]) | (difference != 0)).any(0)
    return varying if varying.any() else ~varying


@torch.no_grad()
def randomness(model: nn.Module, images: Tensor) -> Randomness:
    """Whether two identical calls differ, and if so, whether copies of an image in one batch differ too.

    A model that draws its noise once a call gives all copies in a batch the same draw. An average over such copies
    averages over no noise.

    Args:
        model: in eval mode.
        images: a few images (N, C, H, W) on the model's device.
    """
    copies = images[:1].repeat(COPIES_OF_AN_IMAGE, 1, 1, 1)
    if not (_calls_differ(model, images) or _calls_differ(model, copies)):
        return Randomness.none
    one_call = model(copies)
    return Randomness.each_image if differ(one_call, one_call[:1].expand_as(one_call)) else Randomness.each_call


def _calls_differ(model: nn.Module, x: Tensor) -> bool:
    first = model(x).clone()
    return any(differ(first, model(x)) for _ in range(IDENTICAL_CALLS - 1))


@torch.no_grad()
def depends_on_the_batch(model: nn.Module, few: Tensor) -> bool:
    """Whether a deterministic model's answer for an image changes in another place of the batch, or without the rest.

    Args:
        model: in eval mode.
        few: a few images (N, C, H, W) on the model's device.
    """
    together, shifted, alone = model(few).clone(), model(few.roll(1, 0)).roll(-1, 0), model(few[:1])
    return differ(together, shifted, OTHER_BATCH_ROUNDING) or differ(together[:1], alone, OTHER_BATCH_ROUNDING)


def mean_depends_on_the_batch(model: nn.Module, few: Tensor) -> bool:
    """Whether a random model's mean answer for the first image changes in another place, or beside other images.

    Each draw gives both calls the same seed. A model that draws noise in the order of the images then gives the first
    image the same noise, and only the other images can make a difference. Other noise averages out.

    Args:
        model: in eval mode.
        few: a few images (N, C, H, W), at least 2, on the model's device.
    """
    pair = few[:2]
    ways = (
        lambda: model(pair[:1].expand_as(pair).clone())[0],  # beside another image
        lambda: model(pair.flip(0))[1],  # in another place
        lambda: model(pair[:1])[0],
    )
    usual = _draws(lambda: model(pair)[0], few.device)
    return any(_differ_in_mean(usual, _draws(way, few.device)) for way in ways)


@torch.no_grad()
def _draws(ask: Callable[[], Tensor], device: torch.device) -> Tensor:
    answers = []
    for draw in range(DRAWS_A_MEAN):
        with seeding.global_streams(device, draw, "batch"):
            answers.append(ask().clone())
    return torch.stack(answers)


def _differ_in_mean(one: Tensor, other: Tensor) -> bool:
    """Whether the means of paired answers (draws, classes) differ by more than both rounding and noise explain."""
    difference = (one - other).double().nan_to_num(nan=0.0)
    mean, error = difference.mean(0).abs(), difference.std(0) / len(difference) ** 0.5
    allowed = OTHER_BATCH_ROUNDING * one[:, _varying(one, difference)].abs().amax().clamp_min(1e-6)
    return bool(((mean > allowed) & (mean > MIN_STANDARD_ERRORS * error)).any())
