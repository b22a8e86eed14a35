"""What a run's numbers come from: code, weights and images by their fingerprints, the machine by name."""

import hashlib
import inspect
import platform
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import advtool
from advtool.attacks.estimator import EOTClassifier

PLAIN = (bool, int, float, complex, str, bytes, tuple, type(None))
"""Attributes of these types say how a module computes: a scale, a padding, a number of levels."""


@cache
def code() -> str:
    """The version, and a fingerprint of every source file whose change could change a number."""
    root = Path(advtool.__file__).parent
    rooms = ("*.py", *(f"{package}/**/*.py" for package in ("data", "models", "attacks", "evaluation")))
    content = hashlib.sha256(b"".join(path.read_bytes() for room in rooms for path in sorted(root.glob(room))))
    return f"{advtool.__version__}+{content.hexdigest()[:8]}"


def model(model: nn.Module) -> str:
    """A fingerprint of all weights and buffers, of each module's plain attributes and of its class's source."""
    digest = hashlib.sha256(repr(model).encode())
    for name, module in model.named_modules():
        settings = {key: value for key, value in vars(module).items() if isinstance(value, PLAIN) and key != "training"}
        source = _source(type(module))  # type: ignore[arg-type]  # mypy takes no type for hashable
        digest.update(f"{name} {source} {sorted(settings.items())}".encode())
    for name, tensor in model.state_dict().items():
        digest.update(name.encode() + str((tensor.dtype, tuple(tensor.shape))).encode() + _bytes(tensor))
    return digest.hexdigest()[:16]


def tensors(*values: Tensor) -> str:
    """A fingerprint of images and labels."""
    return _fingerprint(map(_bytes, values))


def image_ids(x: Tensor, y: Tensor) -> list[str]:
    """A fingerprint of each image with its label.

    Args:
        x: images (N, C, H, W).
        y: labels (N,).
    """
    rows = zip(x.cpu().contiguous().numpy(), y.cpu().numpy(), strict=True)
    return [_fingerprint((image.tobytes(), label.tobytes())) for image, label in rows]


def searched_in(estimator: EOTClassifier) -> str:
    """The precision of the search."""
    return str(getattr(estimator.search_form, "precision", "float32"))


def machine(device: torch.device) -> dict[str, Any]:
    """Versions, device and threads: where numbers come from."""
    cuda = device.type == "cuda"
    return {
        "advtool": advtool.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "art": version("adversarial-robustness-toolbox"),
        "device": torch.cuda.get_device_name(device) if cuda else f"cpu ({platform.machine()})",
        "threads": torch.get_num_threads(),
    }


def environment(estimator: EOTClassifier) -> dict[str, Any]:
    """Where this is computed: on the same, the same command gives the same numbers bit for bit."""
    return machine(estimator.device) | {
        "numpy": np.__version__,
        "randomness": estimator.randomness.value,
        "images_a_pass": estimator.batch_size,
        "search_precision": searched_in(estimator),
    }


@cache
def _source(cls: type) -> str:
    try:
        return inspect.getsource(cls)
    except (OSError, TypeError):  # typed into an interpreter, or compiled
        return cls.__qualname__


def _fingerprint(contents: Iterable[bytes]) -> str:
    return hashlib.sha256(b"".join(contents)).hexdigest()[:16]


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes() if tensor.numel() else b""
