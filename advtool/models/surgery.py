"""Copies of a model in which some of its layers are replaced."""

import copy
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from torch import nn

Layer = TypeVar("Layer", bound=nn.Module)


def replaced(model: nn.Module, replacements: Mapping[Layer, Callable[[Layer], nn.Module]]) -> nn.Module:
    """A deep copy of ``model`` in which ``replacements[layer](copy of the layer)`` replaces each such layer.

    The model itself may be one of the layers, and layers may contain each other. A layer that is used in several places
    stays one layer, tied weights stay tied, and ``model`` stays as it was.
    """
    waiting = {id(layer): layer for layer in replacements}
    memo: dict[int, Any] = {}  # deepcopy uses an object's copy that is already here
    # Backwards, and with every mention of a shared layer, so that the inner layers are replaced first.
    for _, module in reversed(list(model.named_modules(remove_duplicate=False))):
        layer = waiting.pop(id(module), None)
        if layer is not None:
            memo[id(layer)] = replacements[layer](copy.deepcopy(layer, memo))
    return copy.deepcopy(model, memo)
