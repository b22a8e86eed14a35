"""Room for rounding, so that a bound holds for the model as it computes in float32, not for an ideal one.

A layer of the model computes fl(f(a)) = f(a) + d. For W a + b with n terms |d| is at most n u (|W||a| + |b|) / (1 - n
u) in any order of summation, with fused multiply-adds or without (Higham 2002, section 3.1); u = 2**-24. The bounds
treat d as a further unknown of the node. They are computed in float32 themselves, and their own rounding has the same
form: that of A W is at most m u |A||W||a|, and that of interval arithmetic 2 n u (|W||a| + |b|). So one allowance for
each node covers both. Sums over a whole node are taken in float64. docs/certification.md has the proof.
"""

from math import inf

from torch import Tensor

from advtool.compute.layers import Affine, Box, Layer, Nonlinear

UNIT = 2.0**-24
"""Unit roundoff of float32."""
FEW = 40
"""Roundings of single operations: products with slopes, sums of branches, the offsets of lines, short sums."""
UNDERFLOW = 2.0**-100
"""Room for results below float32's smallest normal number."""
PIXELS = 64 * UNIT
"""Room around the ball: for the ends of its box, and for what counts as inside (see ``advtool.threat``)."""
LARGEST = 2.0**100
"""A model whose values stay below this does not overflow in float32."""


def allowance(layer: Layer, inputs: list[Box], *, interval: bool = False) -> Tensor | None:
    """How far a node's output, and a bound through it, may be off by rounding, (N, ...); None if it only moves numbers.

    Args:
        layer: of the node.
        inputs: the boxes of its inputs, float32.
        interval: the bound is by interval arithmetic, not by coefficients of the output.
    """
    magnitudes = [box.magnitude for box in inputs]
    if isinstance(layer, Affine):
        if layer.terms == 0:
            return None
        size, bias = layer.spread(*magnitudes), layer.bias()
        summed = layer.terms if interval else layer.terms_back
        return _units(layer.terms + summed + FEW) * (size if bias is None else size + bias.abs()) + UNDERFLOW
    assert isinstance(layer, Nonlinear)
    (box,), (magnitude,) = inputs, magnitudes
    output = layer.interval(box).magnitude
    scale = magnitude if output.shape == magnitude.shape else output
    own = _units(layer.terms_back + FEW) * (scale + output)
    return 2 * UNIT * layer.float32_error(magnitude) + own + UNDERFLOW


def _units(count: int) -> float:
    """So many units, with room for terms of higher order and for rounding what they are multiplied with."""
    relative = count * UNIT
    return relative / (1 - 4 * relative) if relative < 1 / 8 else inf
