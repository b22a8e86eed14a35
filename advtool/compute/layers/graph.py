"""A network as a graph of layers."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from advtool.compute.layers.layer import Box, Layer


@dataclass(frozen=True)
class Node:
    """A layer with its place in the graph."""

    layer: Layer | None
    """None: the images"""
    inputs: tuple[int, ...]
    """places of earlier nodes"""
    shape: tuple[int, ...]
    """of the output, without N"""
    name: str
    """of the module in the model, for messages"""


@dataclass(frozen=True)
class LayerGraph:
    """Nodes in an order in which each comes after its inputs: the first is the images, the last the logits."""

    nodes: tuple[Node, ...]

    def __call__(self, x: Tensor) -> Tensor:
        """The logits (N, classes) of images (N, C, H, W)."""
        values = [x]
        for node in self.nodes[1:]:
            assert node.layer is not None
            values.append(node.layer(*(values[place] for place in node.inputs)))
        return values[-1]

    def interval(self, box: Box) -> Box:
        """A box (N, classes) of the logits of all images in a box, in exact arithmetic (Gowal et al. 2019, 3.1)."""
        return self.intervals(box)[-1]

    def intervals(self, box: Box) -> list[Box]:
        """A box for each node, in the same way."""
        boxes = [box]
        for node in self.nodes[1:]:
            assert node.layer is not None
            boxes.append(node.layer.interval(*(boxes[place] for place in node.inputs)))
        return boxes

    def to(self, dtype: torch.dtype, device: torch.device | str) -> "LayerGraph":
        """The graph with its tensors in another dtype and on another device.

        Until then numbers that the model's forward names, such as the ends of a clamp, lie on the CPU.
        """
        layers = (node.layer and node.layer.to(dtype, device) for node in self.nodes)
        return LayerGraph(tuple(replace(node, layer=layer) for node, layer in zip(self.nodes, layers, strict=True)))

    def users(self, place: int) -> list[Layer]:
        """The layers that take the output of the node at ``place``."""
        return [node.layer for node in self.nodes if place in node.inputs and node.layer is not None]
