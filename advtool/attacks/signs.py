"""Random signs: the corners of a ball in L-infinity, and the directions of SPSA."""

import torch
from torch import Tensor


def random_signs(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """-1 or 1 at random, float32 of this shape on the generator's device."""
    bits = torch.randint(0, 2, shape, generator=generator, device=generator.device, dtype=torch.int8)
    return bits.float().mul_(2).sub_(1)
