"""The architectures, and how a checkpoint becomes a model."""

from pathlib import Path

import torch
from torch import Tensor, nn

from advtool import arguments, checkpoints
from advtool.errors import InputError, reason
from advtool.models.registry import ARCHITECTURES, build, check_name, check_sizes

FLOATS = frozenset({torch.float16, torch.bfloat16, torch.float32, torch.float64})
"""The types in which a file may hold weights."""

__all__ = ["ARCHITECTURES", "build", "check_images", "check_name", "check_sizes", "from_checkpoint", "load_checkpoint"]


def load_checkpoint(path: str | Path) -> nn.Module:
    """The model of a checkpoint, on the CPU and in eval mode.

    It maps float32 images (N, C, H, W) in [0, 1] to logits (N, classes).

    Raises:
        InputError: there is no such file; it is a pickle, damaged or not ours; or its tensors do not fit the
            architecture.
    """
    header, tensors = checkpoints.read(arguments.path(f"path={arguments.shown(path)}", path))
    try:
        return from_checkpoint(header, tensors)
    except InputError as error:
        raise InputError(f"'{path}': {error}") from None


def from_checkpoint(header: checkpoints.Header, tensors: dict[str, Tensor]) -> nn.Module:
    """A model with the header's architecture and these tensors, on the CPU and in eval mode.

    Raises:
        InputError: the architecture is unknown, or the tensors do not fit it or hold NaN or infinity.
    """
    name = header.architecture.name
    try:
        with torch.random.fork_rng(devices=[]):  # the weights drawn here are replaced
            with torch.device("meta"):  # without memory: a file may name sizes that it does not have
                _check_fit(name, build(header.architecture).state_dict(), tensors)
            model = build(header.architecture)
        model.load_state_dict(tensors)
    except (RuntimeError, ValueError, TypeError) as error:
        raise InputError(f"its header names no model '{name}' that can be built ({reason(error)})") from None
    return model.eval()


def check_images(architecture: checkpoints.Architecture, shape: tuple[int, int, int]) -> None:
    """Check that images of ``shape`` (C, H, W) have the shape that the model takes.

    Raises:
        InputError: they have another shape.
    """
    if shape != architecture.input_shape:
        given, wanted = ("x".join(map(str, sizes)) for sizes in (shape, architecture.input_shape))
        raise InputError(f"the images are {given}, the model takes {wanted}: give --dataset images of that size")


def _check_fit(name: str, expected: dict[str, Tensor], given: dict[str, Tensor]) -> None:
    for key in sorted(expected.keys() ^ given.keys()):
        fault = "is missing" if key in expected else "does not belong there"
        raise InputError(f"the tensors are not those of the model '{name}': '{key}' {fault}")
    for key, tensor in given.items():
        if tensor.shape != expected[key].shape:
            raise InputError(
                f"the tensor '{key}' is of shape {tuple(tensor.shape)}; "
                f"the model '{name}' takes {tuple(expected[key].shape)}"
            )
        if tensor.dtype not in (FLOATS if expected[key].dtype in FLOATS else {expected[key].dtype}):
            raise InputError(f"the tensor '{key}' is of type {tensor.dtype}; '{name}' takes {expected[key].dtype}")
        if not tensor.isfinite().all():
            raise InputError(f"the tensor '{key}' holds NaN or infinity: the training went wrong, train again")
