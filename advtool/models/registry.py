"""The architectures by name. A new one is a file with a class, and a line in ``ARCHITECTURES``."""

from typing import NamedTuple, Protocol

from torch import nn

from advtool.checkpoints import Architecture
from advtool.errors import InputError, near_match
from advtool.models import cnn, lenet, resnet11


class Factory(Protocol):
    """Makes a model that maps float32 (N, C, H, W) in [0, 1] to logits (N, ``classes``)."""

    def __call__(self, input_shape: tuple[int, int, int], classes: int) -> nn.Module: ...


class Entry(NamedTuple):
    """How to make a model, and the fewest pixels that it takes on a side."""

    factory: Factory
    smallest: int


ARCHITECTURES: dict[str, Entry] = {
    "lenet": Entry(lenet.LeNet, lenet.SMALLEST),
    "cnn": Entry(cnn.CNN, cnn.SMALLEST),
    "resnet11": Entry(resnet11.ResNet11, resnet11.SMALLEST),
}


def build(architecture: Architecture) -> nn.Module:
    """A new model on the CPU, its weights drawn from torch's global generator.

    Raises:
        InputError: the name is unknown, the images are too small for it, or it has no such options.
    """
    name = architecture.name
    if name not in ARCHITECTURES:
        raise InputError(f"unknown model '{name}'{near_match(name, ARCHITECTURES)}")
    if architecture.options:
        raise InputError(f"the model '{name}' has no option '{next(iter(architecture.options))}'")
    factory, smallest = ARCHITECTURES[name]
    _, height, width = architecture.input_shape
    if min(height, width) < smallest:
        raise InputError(
            f"images of {height}x{width} pixels are too small for the model '{name}': "
            f"it takes {smallest}x{smallest} or more"
        )
    return factory(architecture.input_shape, architecture.classes)
