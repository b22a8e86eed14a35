"""One operation of a model on its way to a layer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from advtool.compute.layers.graph import Node
from advtool.compute.layers.layer import Layer


class UnknownLayer(Exception):  # noqa: N818
    """A model, or a layer of it, that no bounds are known for. Its text is one line that names it."""


@dataclass(frozen=True)
class Place:
    """Stands for the output of the node at ``index``."""

    index: int


@dataclass(frozen=True)
class Operation:
    """One operation of the model, to be lowered."""

    nodes: list[Node]
    shape: tuple[int, ...]
    """of its output, without N"""
    where: str
    name: str

    def add(self, layer: Layer, *inputs: Place, shape: Sequence[int] | None = None) -> Place:
        """A new node; ``shape`` is that of its output if it is not the operation's."""
        if not all(isinstance(place, Place) for place in inputs):
            raise self.refuse("takes the images where only constants can stand")
        places = tuple(place.index for place in inputs)
        self.nodes.append(Node(layer, places, self.shape if shape is None else tuple(shape), self.where))
        return Place(len(self.nodes) - 1)

    def shape_of(self, place: Place) -> tuple[int, ...]:
        """The shape of a node's output, without N."""
        return self.nodes[place.index].shape

    def refuse(self, why: str) -> UnknownLayer:
        """The error of an operation that cannot be bounded in this use."""
        return UnknownLayer(f"{self.where} ({self.name}) {why}")

    def constant(self, value: Any, x: Place) -> Tensor:
        """A constant operand as a tensor that broadcasts against one image's ``x``."""
        like = next(each for each in (value, torch.zeros(())) if isinstance(each, Tensor))
        tensor = torch.as_tensor(value, device=like.device).float()
        if tensor.ndim == len(self.shape) + 1:
            if not bool((tensor == tensor[:1]).all()):
                raise self.refuse("treats the images of a batch differently")
            tensor = tensor[0]
        if self.shape != self.shape_of(x):
            raise self.refuse("has a constant that is larger than its input")
        return tensor.view(*[1] * (len(self.shape) - tensor.ndim), *tensor.shape) if tensor.ndim else tensor

    def inner(self, dims: Sequence[int] | int | None, rank: int) -> list[int]:
        """Dimensions of a batch as numbers >= 1; the batch's own is refused."""
        given = [dims] if isinstance(dims, int) else range(rank) if dims is None else dims
        places = [dim % rank for dim in given]
        if 0 in places:
            raise self.refuse("mixes the images of a batch")
        return places
