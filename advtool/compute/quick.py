"""Layers of torch that have a quicker form on a CPU, in which attacks and trainings compute."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from advtool.compute.convolution import QuickConv2d
from advtool.compute.pooling import QuickMaxPool2d

QUICK: dict[type[nn.Module], type[nn.Module]] = {nn.Conv2d: QuickConv2d, nn.MaxPool2d: QuickMaxPool2d}
"""By torch's layer the quick one. Neither has a state of its own, so a layer becomes the other by its class."""
PLAIN = {quick: plain for plain, quick in QUICK.items()}


def make_quick(model: nn.Module) -> list[nn.Module]:
    """Turn the plain layers of ``model`` that have a quick form into it, and return these. A subclass stays."""
    layers = [module for module in model.modules() if type(module) in QUICK]
    for layer in layers:
        layer.__class__ = QUICK[type(layer)]
    return layers


@contextmanager
def quick_layers(model: nn.Module) -> Iterator[None]:
    """Within it, the plain layers of ``model`` are quick ones."""
    layers = make_quick(model)
    try:
        yield
    finally:
        for layer in layers:
            layer.__class__ = PLAIN[type(layer)]
