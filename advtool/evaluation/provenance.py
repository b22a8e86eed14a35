"""The sources of a run's numbers: fingerprints of the code and the images, and the machine."""

import hashlib
import platform
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from advtool.target.facts import Facts
from advtool.target.target import Target

OUTSIDE = frozenset({"cli", "gates", "perturb", "public", "report", "reproduce", "studies", "training"})
"""The rooms whose code changes no number of a run: an evaluation imports none of them. Every other one counts."""


@cache
def code() -> str:
    """The version, and a fingerprint of all source files that can change a number of a run."""
    content = hashlib.sha256(b"".join(path.read_bytes() for path in sources()))
    return f"{version('advtool')}+{content.hexdigest()[:8]}"


def sources() -> list[Path]:
    """The source files that can change a number of a run, in order."""
    root = Path(__file__).parents[1]
    rooms = {path: path.relative_to(root).parts[0].removesuffix(".py") for path in root.rglob("*.py")}
    return sorted(path for path, room in rooms.items() if room not in OUTSIDE)


def tensors(*values: Tensor) -> str:
    """One fingerprint of all these tensors, such as images and labels."""
    return _fingerprint(map(_bytes, values))


def image_ids(x: Tensor, y: Tensor) -> list[str]:
    """A fingerprint of each image with its label.

    Args:
        x: images, float32 (N, C, H, W).
        y: labels, int64 (N,).
    """
    rows = zip(x.cpu().contiguous().numpy(), y.cpu().numpy(), strict=True)
    return [_fingerprint((image.tobytes(), label.tobytes())) for image, label in rows]


def machine(device: torch.device) -> dict[str, Any]:
    """Versions, device and threads, as plain JSON data."""
    cuda = device.type == "cuda"
    return {
        "advtool": version("advtool"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "art": version("adversarial-robustness-toolbox"),
        "device": torch.cuda.get_device_name(device) if cuda else f"cpu ({platform.machine()})",
        "threads": torch.get_num_threads(),
    }


def environment(target: Target, facts: Facts) -> dict[str, Any]:
    """The machine, and how the model computes there."""
    return machine(target.device) | {
        "numpy": np.__version__,
        "randomness": target.randomness.value,
        "search_precision": facts.search_precision,
    }


def _fingerprint(contents: Iterable[bytes | memoryview]) -> str:
    content = hashlib.sha256()
    for part in contents:
        content.update(part)
    return content.hexdigest()[:16]


def _bytes(tensor: Tensor) -> bytes | memoryview:
    """The bytes of a tensor, without a copy if it is on the CPU and contiguous: it may be a whole data set."""
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data if tensor.numel() else b""
