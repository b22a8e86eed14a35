"""The images that the diagnostics of a cascade are about: the attacks see these in full, whatever fell before."""

import torch
from torch import Tensor

from advtool.attacks.pgd import PGD
from advtool.results import Outcomes

MASKING_MIN_DROP = 0.05
"""The smallest drop of accuracy between two attacks that earns a masking code."""
DIAGNOSED_IMAGES = 200
"""How many of the first images a cascade's diagnostics attack in full."""
BASELINE = PGD.name
"""The attack that others are compared with, in the settings of the run. PGD in other settings has another label."""


def diagnosed_of(outcomes: Outcomes, rows: slice) -> Tensor:
    """Which images of the shard at ``rows`` a cascade's diagnostics attack in full, bool (n,).

    These are the first images of the run. A shard is left out if fewer of its images survive PGD than the smallest
    drop that earns a masking code: no attack can beat PGD by that much.
    """
    clean = outcomes.clean[rows]
    first = torch.arange(len(outcomes))[rows] < DIAGNOSED_IMAGES
    if BASELINE in outcomes.stages:
        left = outcomes.survives(BASELINE)[rows][first]
        if left.sum() < MASKING_MIN_DROP * len(left):
            return torch.zeros_like(clean)
    return clean & first
