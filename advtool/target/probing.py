"""How a model's answers vary: from call to call, with an image's place in the batch, with its companions."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from advtool import seeding
from advtool.target.target import Randomness

CALLS = 5
"""Noise that shows in one call of five is found in two models of three, and more often by two batches."""
SAME_CALL = 1e-5
"""Share of the largest logit by which two equal calls may differ through the order of sums alone."""
OTHER_BATCH = 1e-3
"""Share of the largest logit by which answers may differ because a batch of another shape sums in another order."""
COPIES = 4
"""of one image in a batch: do they draw the same noise?"""
DRAWS = 14
STANDARD_ERRORS = 10
"""How far two means over so many draws must lie apart: by chance a few times in 10^7 comparisons."""


def differ(first: Tensor, second: Tensor, allowed: float = SAME_CALL) -> bool:
    """Whether two sets of logits (N, classes) differ by more than rounding."""
    most = first.abs().nan_to_num(posinf=0.0).max().clamp_min(1e-6)
    return bool((first - second).nan_to_num(nan=0.0).abs().max() > allowed * most)


@torch.no_grad()
def randomness(model: nn.Module, images: Tensor) -> Randomness:
    """Whether two identical calls differ, and if so whether two copies in one batch differ too.

    A model that draws its noise once a call gives all copies in a batch the same draw: averaging over them
    would average over nothing.

    Args:
        model: in eval mode.
        images: a few images (N, C, H, W) on its device.
    """
    copies = images[:1].repeat(COPIES, 1, 1, 1)
    if not (_calls_differ(model, images) or _calls_differ(model, copies)):
        return Randomness.none
    one_call = model(copies)
    return Randomness.each_image if differ(one_call, one_call[:1].expand_as(one_call)) else Randomness.each_call


def _calls_differ(model: nn.Module, x: Tensor) -> bool:
    first = model(x).clone()
    return any(differ(first, model(x)) for _ in range(CALLS - 1))


@torch.no_grad()
def depends_on_the_batch(model: nn.Module, few: Tensor) -> bool:
    """Whether a deterministic model answers otherwise for an image in another place, or alone."""
    together, shifted, alone = model(few).clone(), model(few.roll(1, 0)).roll(-1, 0), model(few[:1])
    return differ(together, shifted, OTHER_BATCH) or differ(together[:1], alone, OTHER_BATCH)


def mean_depends_on_the_batch(model: nn.Module, few: Tensor) -> bool:
    """The same of a random model, by the mean of its answers for the first image over many draws.

    Each draw seeds both calls alike: a model that takes its noise in the order of the images then gives the first
    one the same, and the difference is the companions' alone. Other noise averages out.
    """
    pair = few[:2] if len(few) > 1 else few.repeat(2, 1, 1, 1)
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
    for draw in range(DRAWS):
        with seeding.global_streams(device, draw, "batch"):
            answers.append(ask().clone())
    return torch.stack(answers)


def _differ_in_mean(one: Tensor, other: Tensor) -> bool:
    """Whether the means of paired answers (draws, classes) differ by more than rounding, and than noise ever would."""
    difference = (one - other).double().nan_to_num(nan=0.0)
    mean, error = difference.mean(0).abs(), difference.std(0) / len(difference) ** 0.5
    allowed = OTHER_BATCH * one.abs().max().clamp_min(1e-6)
    return bool(((mean > allowed) & (mean > STANDARD_ERRORS * error)).any())
