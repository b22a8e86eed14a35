"""Random streams. A stream has a name, so that its draws do not depend on what was drawn before."""

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def derive(seed: int, *place: str | int) -> int:
    """A 63-bit seed for the stream named ``place``, e.g. ``derive(0, "pgd", 3)`` for shard 3 of PGD.

    SHA-256 makes the streams of different names independent for all practical purposes. So a shard gives the same
    result in every process and on every machine, whatever ran before it.
    """
    text = "\x1f".join(str(part) for part in (seed, *place))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(device: torch.device, seed: int, *place: str | int) -> torch.Generator:
    """A torch generator on ``device`` for the stream named ``place``."""
    return torch.Generator(device=device).manual_seed(derive(seed, *place))


@contextmanager
def global_streams(device: torch.device, seed: int, *place: str | int) -> Iterator[None]:
    """Seed the global generators for the stream named ``place``; afterwards they have their old states again.

    Users' models draw from torch's global generators, ART's attacks from those of NumPy and Python.
    """
    stream = derive(seed, *place)
    python_state, numpy_state = random.getstate(), np.random.get_state()
    cuda = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if cuda else []):
        torch.default_generator.manual_seed(stream)  # torch.manual_seed would touch every GPU of the machine
        if cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(stream)
        np.random.seed(stream % 2**32)
        random.seed(stream)
        try:
            yield
        finally:
            np.random.set_state(numpy_state)
            random.setstate(python_state)
