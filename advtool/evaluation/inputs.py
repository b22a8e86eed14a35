"""Is this a model, are these images? Said before anything is computed, in words."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from advtool import arguments
from advtool.arguments import shown
from advtool.errors import InputError


def as_eps(eps: Any) -> float:
    """The radius as a float.

    Raises:
        InputError: not a number in (0, 1].
    """
    radius = arguments.number(eps)
    if radius is None or not 0 < radius <= 1:
        raise InputError(f"eps={shown(eps)} is no number in (0, 1]: it is a fraction of the pixel range, e.g. 8/255")
    return radius


def as_count(name: str, value: Any, least: int = 1) -> int:
    """The value, if it is an integer from ``least`` to a million.

    Raises:
        InputError: it is not.
    """
    return arguments.count(f"{name}={shown(value)}", value, least)


def as_count_or_none(name: str, value: Any) -> int | None:
    """The same of at least 1, or None, which stands for a default."""
    return None if value is None else as_count(name, value)


def as_seed(seed: Any) -> int:
    """The seed, if it can be one.

    Raises:
        InputError: no integer from 0 to 2**63 - 1.
    """
    return arguments.seed(f"seed={shown(seed)}", seed)


def as_folder(name: str, folder: Any) -> Path | None:
    """The folder as a path; None stays None.

    Raises:
        InputError: it is neither text nor a path.
    """
    return None if folder is None else arguments.path(f"{name}={shown(folder)}", folder)


def as_list(name: str, values: Any) -> list[Any]:
    """The values of a list, a tuple, an array or the like.

    Raises:
        InputError: it is none.
    """
    if isinstance(values, Mapping | str | bytes) or not isinstance(values, Iterable):
        raise InputError(f"{name}={shown(values)} must be a list")
    try:
        return list(values)
    except TypeError:  # an array without dimensions
        raise InputError(f"{name}={shown(values)} must be a list") from None


def as_images(images: Any) -> Tensor:
    """Images as float32 (N, C, H, W) in [0, 1] on the CPU.

    Raises:
        InputError: not four dimensions, none at all, not floating point, or values outside [0, 1].
    """
    tensor = images.detach().cpu() if isinstance(images, Tensor) else torch.as_tensor(np.asarray(images))
    if tensor.ndim != 4 or len(tensor) == 0:
        raise InputError(f"images must be a non-empty (N, C, H, W), not {_shape(tensor)}")
    if not tensor.is_floating_point():
        raise InputError(f"images must be floating point in [0, 1], not {_dtype(tensor)}: divide by 255")
    low, high = tensor.aminmax()
    if not (low >= 0 and high <= 1):  # NaN fails too
        raise InputError(
            f"images must lie in [0, 1], these span [{low:.4g}, {high:.4g}]: "
            "scale them, and put any normalisation inside the model"
        )
    return tensor.float().clone() if tensor.is_inference() else tensor.float()


def as_labels(labels: Any, images: Tensor) -> Tensor:
    """Labels as int64 (N,), one an image.

    Raises:
        InputError: not one integer of at least 0 for each image.
    """
    tensor = labels.detach().cpu() if isinstance(labels, Tensor) else torch.as_tensor(np.asarray(labels))
    if tensor.shape != images.shape[:1]:
        raise InputError(f"labels must be ({len(images)},), one class index an image, not {_shape(tensor)}")
    if tensor.is_floating_point() or tensor.dtype is torch.bool or int(tensor.min()) < 0:
        raise InputError("labels must be class indices: integers of at least 0")
    return tensor.long()


def as_indices(indices: Any, images: Tensor) -> list[int]:
    """Of each image its index in the data set that it comes from; None counts from 0.

    Raises:
        InputError: not one integer of at least 0 for each image.
    """
    if indices is None:
        return list(range(len(images)))
    tensor = indices.detach().cpu() if isinstance(indices, Tensor) else torch.as_tensor(np.asarray(indices))
    integers = not (tensor.is_floating_point() or tensor.dtype is torch.bool)
    if tensor.shape != images.shape[:1] or not integers or int(tensor.min()) < 0:
        raise InputError(f"indices must be ({len(images)},), one integer of at least 0 an image")
    return [int(index) for index in tensor]


def check_weights(model: nn.Module) -> None:
    """Refuse weights that are NaN or infinite.

    Raises:
        InputError: one is; its name is given.
    """
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise InputError(f"the model's weights hold NaN or infinity (in '{name}'): its training diverged")


def count_classes(model: nn.Module, images: Tensor, labels: Tensor) -> int:
    """How many classes the model tells apart, found by asking it about two of the images (on its device).

    Raises:
        InputError: it does not take such images, changes them in place, gives no finite logits (N, classes), or lacks
            a label's class.
    """
    few = images[:2].clone()
    try:
        with torch.no_grad():
            logits = model(few)
    except (RuntimeError, ValueError, TypeError, IndexError, AssertionError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"the model does not take images of shape {_shape(images[0])}: {reason}") from error
    if not few.equal(images[:2]):
        raise InputError("the model changes its input in place, so no gradient reaches it: work on x.clone() instead")
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(few) or logits.shape[1] < 2:
        got = _shape(logits) if isinstance(logits, Tensor) else type(logits).__name__
        raise InputError(f"the model must map (N, C, H, W) to logits (N, classes); for {len(few)} images it gave {got}")
    if not bool(logits.isfinite().all()):
        raise InputError("the model's logits for the first images are NaN or infinite")
    classes = logits.shape[1]
    if int(labels.max()) >= classes:
        raise InputError(
            f"labels go up to {int(labels.max())}, but the model has {classes} classes (0 to {classes - 1})"
        )
    return classes


def _shape(tensor: Tensor) -> str:
    return "(" + ", ".join(map(str, tensor.shape)) + ")"


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
