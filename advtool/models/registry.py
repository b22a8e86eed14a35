"""The architectures by name. A new architecture is a file with a class, and a line in ``ARCHITECTURES``."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import nn

from advtool import arguments
from advtool.checkpoints import Architecture
from advtool.errors import InputError, near_match
from advtool.models import cnn, gowal, lenet, resnet11
from advtool.models.noise import with_pnil

Factory = Callable[..., nn.Module]
"""From ``input_shape`` (C, H, W), ``classes`` and its own sizes to a model: float32 (N, C, H, W) in [0, 1] to
logits (N, ``classes``)."""


class Entry(NamedTuple):
    """How to make a model, the smallest height and width in pixels that it takes, and the sizes that can be chosen."""

    factory: Factory
    smallest: int
    sizes: tuple[str, ...] = ()


LARGEST_SIZE = 4096
"""A checkpoint of a stranger cannot ask for a network that fills the memory."""

ARCHITECTURES: dict[str, Entry] = {
    "lenet": Entry(lenet.LeNet, lenet.SMALLEST_SIDE),
    "cnn": Entry(cnn.CNN, cnn.SMALLEST_SIDE),
    "gowal": Entry(gowal.Gowal, gowal.SMALLEST_SIDE),
    "resnet11": Entry(resnet11.ResNet11, resnet11.SMALLEST_SIDE, ("width",)),
}


def build(architecture: Architecture) -> nn.Module:
    """A new model on the CPU, its weights drawn from torch's global generator.

    The options are the sizes of the model, e.g. ``{"width": 16}``, and ``{"pnil": ["", "conv2"]}``: a PNIL in front of
    each of these layers. The names are those of ``named_modules()`` of the model without a PNIL. The first name is
    always ``""``, the model itself.

    Raises:
        InputError: the name is unknown, the images are too small for it, or an option is unknown or malformed.
    """
    name = architecture.name
    check_name(name)
    check_sizes(name, architecture.sizes)
    factory, smallest, _ = ARCHITECTURES[name]
    _, height, width = architecture.input_shape
    if min(height, width) < smallest:
        raise InputError(
            f"images of {height}x{width} pixels are too small for the model '{name}': "
            f"it takes {smallest}x{smallest} or more"
        )
    model = factory(architecture.input_shape, architecture.classes, **architecture.sizes)
    if "pnil" in architecture.options:
        return with_pnil(model, architecture.input_shape, at=_pnil_positions(architecture.options["pnil"]))
    return model


def check_name(name: str) -> None:
    """Check that ``ARCHITECTURES`` has this name.

    Raises:
        InputError: it has not; the message gives the nearest name.
    """
    if name not in ARCHITECTURES:
        raise InputError(f"unknown model '{name}'{near_match(name, ARCHITECTURES)}")


def check_sizes(name: str, sizes: Mapping[str, Any]) -> None:
    """Check that the model ``name`` has these sizes, and that each is a positive integer.

    Raises:
        InputError: it has not; the message gives those that it has.
    """
    known = ARCHITECTURES[name].sizes
    for size, value in sizes.items():
        if size not in known:
            others = f"it has {', '.join(known)}" if known else "it has none"
            raise InputError(f"the model '{name}' has no option '{size}': {others}")
        arguments.count(f"the option '{size}' of the model '{name}'", value, most=LARGEST_SIZE)


def _pnil_positions(value: Any) -> list[str]:
    """The option, which came from a file, after a check: the layers without the model itself."""
    if isinstance(value, list) and value[:1] == [""] and all(isinstance(name, str) for name in value):
        return value[1:]
    raise InputError(f"the option 'pnil' lists layers and begins with '', the model itself; this is {value!r}")
