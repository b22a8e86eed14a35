"""The architectures by name. A new architecture is a file with a class, and a line in ``ARCHITECTURES``."""

from typing import Any, NamedTuple, Protocol

from torch import nn

from advtool.checkpoints import Architecture
from advtool.errors import InputError, near_match
from advtool.models import cnn, gowal, lenet, resnet11
from advtool.models.noise import with_pnil


class Factory(Protocol):
    """Makes a model that maps float32 (N, C, H, W) in [0, 1] to logits (N, ``classes``)."""

    def __call__(self, input_shape: tuple[int, int, int], classes: int) -> nn.Module: ...


class Entry(NamedTuple):
    """How to make a model, and the smallest height and width in pixels that it takes."""

    factory: Factory
    smallest: int


ARCHITECTURES: dict[str, Entry] = {
    "lenet": Entry(lenet.LeNet, lenet.SMALLEST_SIDE),
    "cnn": Entry(cnn.CNN, cnn.SMALLEST_SIDE),
    "gowal": Entry(gowal.Gowal, gowal.SMALLEST_SIDE),
    "resnet11": Entry(resnet11.ResNet11, resnet11.SMALLEST_SIDE),
}


def build(architecture: Architecture) -> nn.Module:
    """A new model on the CPU, its weights drawn from torch's global generator.

    The only option is ``{"pnil": ["", "conv2"]}``: a PNIL in front of each of these layers. The names are those of
    ``named_modules()`` of the model without a PNIL. The first name is always ``""``, the model itself.

    Raises:
        InputError: the name is unknown, the images are too small for it, or an option is unknown or malformed.
    """
    name = architecture.name
    check_name(name)
    for option in architecture.options.keys() - {"pnil"}:
        raise InputError(f"the model '{name}' has no option '{option}'")
    factory, smallest = ARCHITECTURES[name]
    _, height, width = architecture.input_shape
    if min(height, width) < smallest:
        raise InputError(
            f"images of {height}x{width} pixels are too small for the model '{name}': "
            f"it takes {smallest}x{smallest} or more"
        )
    model = factory(architecture.input_shape, architecture.classes)
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


def _pnil_positions(value: Any) -> list[str]:
    """The option, which came from a file, after a check: the layers without the model itself."""
    if isinstance(value, list) and value[:1] == [""] and all(isinstance(name, str) for name in value):
        return value[1:]
    raise InputError(f"the option 'pnil' lists layers and begins with '', the model itself; this is {value!r}")
