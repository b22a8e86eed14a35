"""The layers of a network as a graph of plain tensor functions, and what interval arithmetic says of them."""

from advtool.compute.layers.graph import LayerGraph, Node
from advtool.compute.layers.layer import Affine, Box, Layer, Nonlinear, Relaxation
from advtool.compute.layers.operation import UnknownLayer
from advtool.compute.layers.reading import read

__all__ = ["Affine", "Box", "Layer", "LayerGraph", "Node", "Nonlinear", "Relaxation", "UnknownLayer", "read"]
