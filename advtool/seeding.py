"""Random streams: every draw of a run comes from a stream named by its place, never by its turn."""

import hashlib
import pickle
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def derive(seed: int, *place: str | int) -> int:
    """A 63-bit seed for the stream at ``place``, e.g. ``derive(0, "pgd", 3)`` for shard 3 of PGD.

    Streams of different places are independent for all practical purposes (SHA-256), so a shard gives the
    same result whatever ran before it, in which process or on which machine.
    """
    text = "\x1f".join(str(part) for part in (seed, *place))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(device: torch.device, seed: int, *place: str | int) -> torch.Generator:
    """A torch generator on ``device`` for the stream at ``place``."""
    return torch.Generator(device=device).manual_seed(derive(seed, *place))


@contextmanager
def global_streams(device: torch.device, seed: int, *place: str | int) -> Iterator[None]:
    """Seed every global generator for the stream at ``place``, and put the old states back afterwards.

    Models of users draw from torch's global generators, and ART's attacks from NumPy's and Python's.
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


def global_states(device: torch.device) -> bytes:
    """The states of the global generators that a model may draw from: equal as long as nothing is drawn."""
    cuda = torch.cuda.get_rng_state(device).numpy() if device.type == "cuda" else None
    return pickle.dumps((random.getstate(), np.random.get_state(), torch.get_rng_state().numpy(), cuda))
