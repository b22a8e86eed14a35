"""Plants an adversarial example in a copy of the model: the copy changes its class only near the top of its ball.

An image gets a random linear readout of the logits, larger at a random point of the ball's surface than at the image.
Two short searches look for the point where it is largest. One has no gradient to be misled by, the other follows the
readout's own gradient, which no softmax flattens. The best of these points, b, is what is planted. The copy's class
changes at ``CLOSENESS`` of the way from the readout at the image to the readout at b. So an adversarial example exists
for sure, and random points hardly ever hit one. The copy is as sure of the clean image as the model is, so a model that
hides its gradient hides it here too.

The figures below were chosen on two models alone (docs/strength.md) and are fixed.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from advtool.attacks.pgd_losses import MarginPGD
from advtool.attacks.registry import draws_in_a_cascade
from advtool.attacks.square import Square
from advtool.evaluation.planting.readout import CLEAN_CLASS, PLANTED_CLASS, Readout
from advtool.target.scores import finite, margin, predictions
from advtool.target.target import Target
from advtool.threat import ThreatModel

BOUNDARY_POINTS = 100
"""How many corners of the ball the search without a gradient tries."""
GRADIENT_STEPS = 3
"""How many steps the search along the readout's gradient takes."""
CLOSENESS = (0.95, 0.8, 0.6, 0.4)
"""Where the class changes, as a share of the way to b: the first at which the votes are sure of both. That is the very
first one, unless the model is random."""
OUT_OF_REACH = 10.0
"""While b is searched, the class changes so many times the size of the logits away, so that no search stops early."""
MIN_RISE, MIN_MARGIN = 1e-5, 1e-3
"""Shares of an image's largest logit. A smaller rise of the readout in the ball is rounding, and nothing is planted. A
smaller margin of the clean image counts as this one."""


class Planted(NamedTuple):
    """What was planted for n images."""

    target: Target
    """the changed copy"""
    sure: Tensor
    """bool (n,): the clean image is classified right and the planted example is not, by the votes of the run"""
    examples: Tensor
    """float32 (n, C, H, W): the planted examples, inside the ball"""


def plant(target: Target, x: Tensor, y: Tensor, threat_model: ThreatModel, generator: torch.Generator) -> Planted:
    """Plant an adversarial example for each of n images whose balls do not overlap.

    Args:
        target: the model.
        x: the images, float32 (n, C, H, W) in the clip range, on the device.
        y: their labels for the model, int64 (n,).
        threat_model: what the attacker may do.
        generator: the source of the planter's randomness.
    """
    clean = _mean_logits(target, x)
    size = clean.abs().amax(1).clamp_min(torch.finfo(torch.float32).tiny)
    first = _surface_point(x, threat_model, generator)
    weight = torch.randn(clean.shape, generator=generator, device=x.device)
    weight = torch.where(((_mean_logits(target, first) - clean) * weight).sum(1) < 0, -weight.T, weight.T).T
    start = (weight * clean).sum(1)
    aim = Readout(x, weight, start + OUT_OF_REACH * size, 1 / size).on(target)
    points = [first, *_searched(aim, x, threat_model, generator)]
    rises = torch.stack([(weight * _mean_logits(target, each)).sum(1) - start for each in points])
    rise, best = rises.nan_to_num(nan=-torch.inf).max(0)
    examples = torch.stack(points)[best, torch.arange(len(x), device=x.device)]
    able = rise > MIN_RISE * size
    lead = margin(clean, y).abs().maximum(MIN_MARGIN * size)
    copy, sure, closeness = aim, torch.zeros_like(able), torch.zeros_like(rise)
    for share in CLOSENESS:
        closeness = closeness.where(sure, torch.full_like(rise, share))
        way = torch.where(able, closeness * rise, size)
        copy = Readout(x, weight, start + way, lead / way).on(target)
        sure = able & _is_sure(copy, x, CLEAN_CLASS) & _is_sure(copy, examples, PLANTED_CLASS)
        if sure.equal(able):
            break
    return Planted(copy, sure, examples)


def _surface_point(x: Tensor, threat_model: ThreatModel, generator: torch.Generator) -> Tensor:
    """A random point on the surface of each ball, moved into the clip range."""
    way = threat_model.random_point(x, generator) - x
    return threat_model.project(threat_model.step(x, way, threat_model.eps), x)


def _searched(aim: Target, x: Tensor, threat_model: ThreatModel, generator: torch.Generator) -> list[Tensor]:
    """The points where the searches lead the readout highest, each (n, C, H, W)."""
    labels = torch.full((len(x),), CLEAN_CLASS, device=x.device)
    draws = draws_in_a_cascade(Square, aim.eot)
    searches = (
        Square(aim, threat_model, queries=BOUNDARY_POINTS, eot=draws),
        MarginPGD(aim, threat_model, steps=GRADIENT_STEPS),
    )
    return [search.search(x, labels, generator).x for search in searches]


def _mean_logits(target: Target, x: Tensor) -> Tensor:
    """The mean logits over the votes of the run, (n, classes)."""
    return torch.stack([finite(target.logits(x)) for _ in range(target.votes)]).mean(0)


def _is_sure(copy: Target, x: Tensor, wanted: int) -> Tensor:
    """Whether the copy gives the images this class, bool (n,); of a random model, whether new votes will too."""
    labels = torch.full((len(x),), wanted, device=x.device)
    right = predictions(copy.scores(x)) == labels
    return right & copy.surely_wrong(x, 1 - labels) if copy.randomised and copy.knows_what_fell else right
