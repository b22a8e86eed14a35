"""What a caller hands over, checked before anything is computed."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec

import torch
from torch import Tensor

from advtool import arguments
from advtool.arguments import shown
from advtool.data.given import dtype_of, pixel_range
from advtool.errors import InputError
from advtool.perturb.watched import Watched, kept_buffers
from advtool.threat import ThreatModel

P = ParamSpec("P")

FLOATS = (torch.float32, torch.float64)
INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def with_checks(method: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """Check the arguments of a method, take its images and labels out of autograd and inference mode, watch its model.

    A training of advtool calls what is :func:`unchecked`: it knows its images, and a look at them makes a GPU wait.
    """
    parameters = inspect.signature(method)

    @functools.wraps(method)
    def checked(*args: P.args, **kwargs: P.kwargs) -> Tensor:
        given = parameters.bind(*args, **kwargs)
        given.apply_defaults()
        with torch.inference_mode(mode=False):
            given.arguments.update(_right(given.arguments))
            watched = Watched(given.arguments["model"], given.arguments["labels"])
            given.arguments["model"] = watched
            with kept_buffers(watched):
                x_adv = method(*given.args, **given.kwargs)
            watched.warn()
            return x_adv

    setattr(checked, "unchecked", method)  # noqa: B010 - a function does not declare it
    return checked


def unchecked(method: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The method behind :func:`with_checks`; a function without checks is given back as it is."""
    behind: Callable[..., Tensor] = getattr(method, "unchecked", method)
    return behind


def _right(given: dict[str, Any]) -> dict[str, Any]:
    """The arguments as a method takes them.

    Raises:
        InputError: one of them is wrong.
    """
    arguments.module(given["model"])
    if any(parameter.is_inference() for parameter in given["model"].parameters()):
        raise InputError("the model was made under torch.inference_mode and has no gradients: make it outside")
    images = _images(given["images"])
    labels = _labels(given["labels"], images)
    _check_generator(given["generator"], images.device)
    others = {name: check(given[name]) for name, check in OTHERS.items() if name in given}
    return {"images": images, "labels": labels, **others}


def _images(images: Any) -> Tensor:
    if not isinstance(images, Tensor):
        raise InputError(f"images must be a tensor, not {type(images).__name__}")
    if images.dtype not in FLOATS:
        remedy = "images.float(); torch.autocast lowers the precision inside the model"
        remedy = remedy if images.is_floating_point() else "images.float() / 255"
        raise InputError(f"images must be float32 in [0, 1], not {dtype_of(images)}: give {remedy}")
    if images.is_meta:
        raise InputError("the images are on 'meta', which holds no values: give them on the device of the model")
    if images.numel() == 0:
        raise InputError("images: there are none")
    if images.ndim == 0:
        raise InputError("images must be (N, ...), not a single number")
    plain = _plain(images)
    pixel_range(plain)
    return plain


def _labels(labels: Any, images: Tensor) -> Tensor:
    if not isinstance(labels, Tensor) or labels.dtype not in INTEGERS or labels.shape != (len(images),):
        given = f"{dtype_of(labels)} {tuple(labels.shape)}" if isinstance(labels, Tensor) else type(labels).__name__
        raise InputError(f"labels must be class indices, integers ({len(images)},), not {given}")
    if labels.device != images.device:
        raise InputError(f"the labels are on '{labels.device}' and the images on '{images.device}'")
    return _plain(labels.long())


def _check_generator(generator: Any, device: torch.device) -> None:
    if generator is None:
        return
    if not isinstance(generator, torch.Generator):
        raise InputError(f"generator={shown(generator)} must be a torch.Generator on '{device}', or None")
    if generator.device.type != device.type:
        raise InputError(f"the generator is on '{generator.device}' and the images on '{device}'")


def _eps(eps: Any) -> float:
    return ThreatModel.of(eps).eps


def _step_size(step_size: Any) -> float | None:
    size = None if step_size is None else arguments.number(step_size)
    if step_size is not None and not (size is not None and 0 < size <= 1):
        raise InputError(f"step_size={shown(step_size)} must lie in (0, 1], a fraction of the pixel range")
    return size


def _count(name: str) -> Callable[[Any], int]:
    return lambda value: arguments.count(f"{name}={shown(value)}", value)


def _clip(clip: Any) -> bool:
    return arguments.flag(f"clip={shown(clip)}", clip)


OTHERS: dict[str, Callable[[Any], Any]] = {
    "eps": _eps,
    "step_size": _step_size,
    "steps": _count("steps"),
    "eot": _count("eot"),
    "clip": _clip,
}
"""What another argument must be, by its name."""


def _plain(tensor: Tensor) -> Tensor:
    """The same values for autograd, which refuses a tensor that was made in inference mode."""
    return tensor.clone() if tensor.is_inference() else tensor.detach()
