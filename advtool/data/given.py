"""Images and labels that a Python caller gives, as tensors of one kind.

A caller may give every kind of array: all types, byte orders, strides and memory layouts of NumPy and torch, lists of
arrays, and all that NumPy can read. What the caller owns is never changed. If nothing must be converted, the memory is
shared.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from advtool.errors import InputError, is_out_of_memory, reason
from advtool.threat import CLIP

PIXEL_ROUNDING = 1e-5  # a pixel this close to [0, 1] was rounded; further out, it was scaled in another way
_LARGEST_PIXEL_ROUNDING = 0.01  # more than the rounding of bfloat16 and float16
_LARGEST_LABEL = 2**31


def as_images(images: Any) -> Tensor:
    """Images as float32 (N, C, H, W) in [0, 1], contiguous, on the CPU.

    Args:
        images: floats (N, C, H, W) in [0, 1] of any float type, on any device: a tensor, an array, a list of (C, H, W),
            or a list of Pillow images, grey or RGB. Values outside [0, 1] by rounding are clipped.

    Raises:
        InputError: the images have another shape or different sizes, there are none, they are not floating point, they
            are sparse, complex or quantised, or values lie outside [0, 1].
    """
    with torch.inference_mode(mode=False):
        tensor = read_dense(images, "images")
        if tensor.ndim != 4 or 0 in tensor.shape:
            raise InputError(f"images must be a non-empty (N, C, H, W), not {shape_of(tensor)}{layout_hint(tensor)}")
        if not tensor.is_floating_point():
            remedy = "convert them to float32" if tensor.dtype is torch.bool else "divide by 255"
            raise InputError(f"images must be floating point in [0, 1], not {dtype_of(tensor)}: {remedy}")
        rounding = max(PIXEL_ROUNDING, min(torch.finfo(tensor.dtype).eps, _LARGEST_PIXEL_ROUNDING))
        plain = tensor.to(torch.float32).contiguous()
        low, high = pixel_range(plain, rounding=rounding)
        return plain.clamp(0, 1) if low < 0 or high > 1 else plain


def pixel_range(
    images: Tensor, clip: tuple[float, float] = CLIP, rounding: float = PIXEL_ROUNDING
) -> tuple[float, float]:
    """The lowest and the highest value of images that should lie in ``clip``. Reading them makes a GPU wait.

    Raises:
        InputError: one is NaN, or outside ``clip`` by more than ``rounding``.
    """
    low, high = (float(value) for value in images.aminmax())
    least, most = clip
    if not low <= high:
        raise InputError(f"images must lie in [{least:g}, {most:g}], these hold NaN: remove or replace it")
    if not (low >= least - rounding and high <= most + rounding):
        raise InputError(
            f"images must lie in [{least:g}, {most:g}], these span [{low:.4g}, {high:.4g}]: "
            "scale them, and put any normalisation inside the model"
        )
    return low, high


def as_labels(labels: Any, count: int) -> Tensor:
    """Labels as int64 (N,) on the CPU.

    Args:
        labels: class indices (N,) or (N, 1), integers of any type or floats that are whole numbers; or one-hot (N, K),
            with a single 1 in each row and 0 elsewhere.
        count: N, the number of images.

    Raises:
        InputError: there is not exactly one class index of at least 0 for each image.
    """
    with torch.inference_mode(mode=False):
        tensor = read_dense(labels, "labels")
        if tensor.ndim == 2 and len(tensor) == count and tensor.shape[1] > 1:
            tensor = _of_one_hot(tensor)
        if tensor.shape not in ((count,), (count, 1)):
            raise InputError(f"labels must be ({count},), one class index an image, not {shape_of(tensor)}")
        return _whole(tensor.reshape(count), "labels must be class indices")


def as_indices(indices: Any, count: int) -> list[int]:
    """The index of each image in its data set; None counts from 0.

    Args:
        indices: integers (N,) of any type, or None.
        count: N, the number of images.

    Raises:
        InputError: there is not exactly one integer of at least 0 for each image.
    """
    if indices is None:
        return list(range(count))
    with torch.inference_mode(mode=False):
        tensor = read_dense(indices, "indices")
        if tensor.shape != (count,):
            raise InputError(f"indices must be ({count},), one integer of at least 0 an image, not {shape_of(tensor)}")
        return [int(index) for index in _whole(tensor, "indices must be positions in the data set").tolist()]


def layout_hint(images: Tensor) -> str:
    """What to do if the axes of the images seem to be in another order; empty if they do not."""
    shape = tuple(images.shape)
    if len(shape) == 4 and shape[3] in (1, 3, 4) and shape[1] not in (1, 3, 4):
        return " (these look like (N, H, W, C): use permute(0, 3, 1, 2))"
    if len(shape) == 3 and (shape[0] in (1, 3) or shape[2] in (1, 3)):
        return " (one image alone? Put it into a batch: (1, C, H, W))"
    return " (grey images without a channel? Use images[:, None])" if len(shape) == 3 else ""


def _whole(tensor: Tensor, rule: str) -> Tensor:
    """A tensor of whole numbers of at least 0, of any real type, as int64."""
    if tensor.dtype is torch.bool:
        raise InputError(f"{rule}: integers of at least 0, not bool")
    if tensor.is_floating_point():
        exact = tensor.double()
        if not bool((exact.eq(exact.round()) & exact.abs().lt(_LARGEST_LABEL)).all()):  # NaN fails too
            raise InputError(f"{rule}: integers of at least 0, not fractions")
    integers = tensor.to(torch.int64)  # uint64 beyond int64 turns negative
    if len(integers) and int(integers.min()) < 0:
        raise InputError(f"{rule}: integers of at least 0, not {int(integers.min())}")
    return integers


def _of_one_hot(tensor: Tensor) -> Tensor:
    """The place of the single 1 in each row."""
    values = tensor.double()
    if not bool((values.eq(0) | values.eq(1)).all()) or not bool(values.sum(dim=1).eq(1).all()):
        raise InputError(
            f"labels of shape {shape_of(tensor)} are not one-hot (a single 1 in each row, 0 elsewhere): "
            "give one class index an image"
        )
    return values.argmax(dim=1)


def read_dense(value: Any, what: str) -> Tensor:
    """The numbers that ``value`` holds, as a dense real tensor on the CPU.

    Raises:
        InputError: ``value`` holds something else.
    """
    if isinstance(value, Tensor):
        return _from_tensor(value, what)
    if _is_pillow(value):
        return _from_pillow(value, what)
    if isinstance(value, list | tuple) and _holds_arrays(value):
        return _stacked([read_dense(item, what) for item in value], what)
    array = _array(value, what)
    if array.dtype.kind == "O" and array.ndim:  # objects may be numbers, arrays or images all the same
        items = array.tolist()
        return read_dense(items, what) if _holds_arrays(items) else _from_array(_array(items, what), what)
    return _from_array(array, what)


def _from_tensor(tensor: Tensor, what: str) -> Tensor:
    kinds = {
        "sparse": tensor.layout is not torch.strided or tensor.is_nested,
        "quantised": tensor.is_quantized,
        "complex": tensor.is_complex(),
        "without values (on the device 'meta')": tensor.is_meta,
    }
    if wrong := [kind for kind, holds in kinds.items() if holds]:
        raise InputError(f"{what} must be plain dense numbers, these are {wrong[0]}")
    plain = tensor.detach().cpu().as_subclass(Tensor)
    # A tensor made in inference mode can take part in a gradient only as a copy made outside of it.
    return plain.clone() if plain.is_inference() else plain


def _array(value: Any, what: str) -> NDArray[Any]:
    try:
        return np.asarray(value)
    except Exception as error:  # the caller's own classes may raise anything
        if is_out_of_memory(error):
            raise
        raise InputError(f"{what} cannot be read as an array: {reason(error)}") from error


def _from_array(array: NDArray[Any], what: str) -> Tensor:
    if array.dtype.kind not in "fiub":
        raise InputError(f"{what} must be numbers, not {_what_else(array)}")
    kind = np.dtype(np.float64) if array.dtype.kind == "f" and array.itemsize > 8 else array.dtype  # longdouble
    native = np.asarray(array, dtype=kind.newbyteorder("="), order="C")
    # torch warns of memory that is read-only, and refuses negative strides (those of an axis of length 1 remain).
    if not native.flags.writeable or min(native.strides, default=0) < 0:
        native = native.copy()
    return torch.from_numpy(native)


def _stacked(items: list[Tensor], what: str) -> Tensor:
    for number, item in enumerate(items):
        if item.shape != items[0].shape:
            raise InputError(
                f"{what} must have one shape, but number {number} has {shape_of(item)} and "
                f"number 0 {shape_of(items[0])}"
            )
        if item.is_floating_point() != items[0].is_floating_point():
            raise InputError(
                f"{what} must have one type, but number {number} is {dtype_of(item)} and number 0 {dtype_of(items[0])}"
            )
    if len({item.dtype for item in items}) > 1:
        items = [item.double() if item.is_floating_point() else item.long() for item in items]
    return torch.stack(items)


def _from_pillow(image: Any, what: str) -> Tensor:
    """float32 (C, H, W) in [0, 1]."""
    if image.mode not in ("L", "RGB"):
        raise InputError(f"{what} hold a Pillow image of mode '{image.mode}': use convert('RGB') or convert('L')")
    pixels = torch.from_numpy(np.array(image)).to(torch.float32) / 255
    return pixels.unsqueeze(0) if pixels.ndim == 2 else pixels.permute(2, 0, 1)


def _holds_arrays(value: Any) -> bool:
    """Whether a list holds tensors, arrays or images, at some depth, instead of plain numbers."""
    if isinstance(value, list | tuple):
        return any(_holds_arrays(item) for item in value)
    return isinstance(value, Tensor | np.ndarray) or _is_pillow(value)


def _is_pillow(value: Any) -> bool:
    if isinstance(value, int | float | Tensor | np.ndarray | np.generic | list | tuple):
        return False  # the usual types need no import of Pillow
    from PIL import Image  # noqa: PLC0415 - only unusual values need it

    return isinstance(value, Image.Image)


def _what_else(array: NDArray[Any]) -> str:
    if array.dtype.kind == "O":
        strange = (type(item).__name__ for item in array.flat if not isinstance(item, int | float))
        return next(strange, "integers beyond 64 bits")
    names = {"U": "text", "S": "text", "c": "complex"}
    return names.get(array.dtype.kind, f"of the type {array.dtype}")


def shape_of(tensor: Tensor) -> str:
    """``(3, 224, 224)``."""
    return "(" + ", ".join(map(str, tensor.shape)) + ("," if tensor.ndim == 1 else "") + ")"


def dtype_of(tensor: Tensor) -> str:
    """``float32``, without torch in front."""
    return str(tensor.dtype).removeprefix("torch.")
