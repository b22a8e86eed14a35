"""How many images a shard of a run has: what a kill loses, and what fills a pass."""

from collections.abc import Sequence

from advtool.attacks.base import TensorAttack

BYTES_A_SHARD = {"cpu": 240_000 * 2**20, "cuda": 40_000 * 2**30}
"""Activations of all passes of a shard's dearest attack, about: minutes, which is what a kill loses."""
IMAGES_A_SHARD = {"cpu": 1000, "cuda": 4000}
"""At most: enough to fill a pass when most of them have fallen."""


def shard_size(attacks: Sequence[TensorAttack], bytes_an_image: int, device_type: str) -> int:
    """Images of a shard of a run with these attacks.

    Args:
        attacks: of the run.
        bytes_an_image: what autograd keeps of an image in a pass.
        device_type: ``cpu`` or ``cuda``.
    """
    queries = BYTES_A_SHARD[device_type] // bytes_an_image
    return max(1, min(IMAGES_A_SHARD[device_type], queries // max(attack.most_queries for attack in attacks)))
