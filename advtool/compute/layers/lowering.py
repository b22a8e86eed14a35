"""What each operation of torch is as a layer. A new operation is one function here, named by ``lowers``.

A function gets the operation's arguments under the names of torch's schema, ``self`` and ``input`` as ``x``.
"""

from collections.abc import Callable, Sequence
from math import inf, prod
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool1d, adaptive_avg_pool2d, avg_pool2d, interpolate, pad

from advtool.compute.layers.activations import LeakyReLU, Sigmoid, Tanh
from advtool.compute.layers.affine import Convolution, Linear, LogSoftmax, Mix, Scale, Sum
from advtool.compute.layers.operation import Operation, Place
from advtool.compute.layers.pooling import MaxPool

BATCH_NORM_TERMS = 8
"""Torch may subtract the mean first or fold it into the bias: so many roundings of all terms cover either."""
Lowering = Callable[..., Place]
LOWERINGS: dict[str, Lowering] = {}
"""The function of each operation, by its name in torch's namespace ``aten``."""


def lowers(*names: str) -> Callable[[Lowering], Lowering]:
    """Enter a function under the names of operations."""

    def enter(lowering: Lowering) -> Lowering:
        LOWERINGS.update(dict.fromkeys(names, lowering))
        return lowering

    return enter


@lowers("linear")
def _linear(op: Operation, x: Place, weight: Tensor, bias: Tensor | None) -> Place:
    return op.add(Linear(weight, bias), x)


@lowers("mm", "matmul")
def _matmul(op: Operation, x: Place, **other: Any) -> Place:
    (weight,) = other.values()
    if not isinstance(x, Place) or not isinstance(weight, Tensor) or weight.ndim != 2:
        raise op.refuse("is no product of images with a fixed matrix")
    return op.add(Linear(weight.T), x)


@lowers("addmm")
def _addmm(op: Operation, x: Any, mat1: Any, mat2: Tensor, beta: float, alpha: float) -> Place:
    if isinstance(x, Place) or (beta, alpha) != (1, 1):
        raise op.refuse("is no product of images with a fixed matrix")
    return op.add(Linear(mat2.T, x), mat1)


@lowers("conv1d", "conv2d", "conv3d")
def _convolution(
    op: Operation, x: Place, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any, dilation: Any, groups: int
) -> Place:
    dims = weight.ndim - 2
    wide = _each(dilation, dims)
    if isinstance(padding, str):
        reach = [(size - 1) * d for size, d in zip(weight.shape[2:], wide, strict=True)]
        if padding == "same" and any(each % 2 for each in reach):
            raise op.refuse("pads the two sides differently")
        padding = [each // 2 for each in reach] if padding == "same" else 0
    pad = _each(padding, dims)
    return op.add(Convolution(weight, bias, _each(stride, dims), pad, wide, False, (0,) * dims, groups), x)


@lowers("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def _transposed(
    op: Operation,
    x: Place,
    weight: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
) -> Place:
    stride, padding, dilation, rest = (_each(e, weight.ndim - 2) for e in (stride, padding, dilation, output_padding))
    return op.add(Convolution(weight, bias, stride, padding, dilation, True, rest, groups), x)


@lowers("batch_norm")
def _batch_norm(
    op: Operation,
    x: Place,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    eps: float,
    **_: Any,
) -> Place:
    if training or running_mean is None or running_var is None:
        raise op.refuse("normalises by the batch")
    rank = len(op.shape) - 1
    factor = (running_var.double() + eps).rsqrt() * (1 if weight is None else weight)
    centred = op.add(Scale(None, -_wide(running_mean, rank), BATCH_NORM_TERMS), x)
    return op.add(Scale(_wide(factor, rank), None if bias is None else _wide(bias, rank), BATCH_NORM_TERMS), centred)


@lowers("relu", "relu_")
def _relu(op: Operation, x: Place) -> Place:
    return op.add(LeakyReLU(), x)


@lowers("leaky_relu", "leaky_relu_")
def _leaky_relu(op: Operation, x: Place, negative_slope: float) -> Place:
    if not 0 <= negative_slope <= 1:
        raise op.refuse("has a slope outside [0, 1]")
    return op.add(LeakyReLU(float(negative_slope)), x)


@lowers("prelu")
def _prelu(op: Operation, x: Place, weight: Tensor) -> Place:
    if not bool(((weight >= 0) & (weight <= 1)).all()):
        raise op.refuse("has a slope outside [0, 1]")
    return op.add(LeakyReLU(_wide(weight, len(op.shape) - 1)), x)


@lowers("hardtanh", "hardtanh_", "relu6", "relu6_", "clamp", "clamp_", "clamp_min", "clamp_max")
def _clamp(op: Operation, x: Place, **ends: Any) -> Place:
    """max(x, a) = a + ReLU(x - a), and min(x, b) = b - ReLU(b - x)."""
    low = ends.get("min_val", ends.get("min", 0.0 if "relu6" in op.name else None))
    high = ends.get("max_val", ends.get("max", 6.0 if "relu6" in op.name else None))
    if not all(isinstance(end, float | int | None) for end in (low, high)):
        raise op.refuse("clamps to a tensor")
    low, high = None if low == -inf else low, None if high == inf else high
    if low is not None:
        above = op.add(LeakyReLU(), _scaled(op, x, 1.0, -low))
        x = _scaled(op, above, 1.0, low)
    if high is not None:
        below = op.add(LeakyReLU(), _scaled(op, x, -1.0, high))
        x = _scaled(op, below, -1.0, high)
    return x


@lowers("sigmoid", "sigmoid_")
def _sigmoid(op: Operation, x: Place) -> Place:
    return op.add(Sigmoid(), x)


@lowers("tanh", "tanh_")
def _tanh(op: Operation, x: Place) -> Place:
    return op.add(Tanh(), x)


@lowers("log_softmax")
def _log_softmax(op: Operation, x: Place, dim: int, **_: Any) -> Place:
    if dim % (len(op.shape) + 1) != 1 or len(op.shape) != 1:
        raise op.refuse("is no log softmax over the classes")
    return op.add(LogSoftmax(), x)


@lowers("max_pool2d")
def _max_pool(
    op: Operation, x: Place, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> Place:
    kernel = _each(kernel_size, 2)
    return op.add(
        MaxPool(kernel, _each(stride or kernel, 2), _each(padding, 2), _each(dilation, 2), bool(ceil_mode)), x
    )


@lowers("avg_pool2d")
def _avg_pool(op: Operation, x: Place, kernel_size: Any, **how: Any) -> Place:
    kernel = _each(kernel_size, 2)
    how["stride"] = how["stride"] or kernel
    if (how["divisor_override"] or 1) < 0:
        raise op.refuse("divides by a number below 0")
    return op.add(Mix(lambda z: avg_pool2d(z, kernel, **how), prod(kernel) + 1), x)


@lowers("adaptive_avg_pool2d", "adaptive_avg_pool1d")
def _adaptive_avg_pool(op: Operation, x: Place, output_size: Any) -> Place:
    before = op.shape_of(x)
    pool = adaptive_avg_pool2d if "2d" in op.name else adaptive_avg_pool1d
    terms = prod(before[1:]) + 1
    return op.add(Mix(lambda z: pool(z, output_size), terms, terms + prod(op.shape[1:])), x)


@lowers("mean", "sum")
def _reduce(op: Operation, x: Place, dim: Any, keepdim: bool, **_: Any) -> Place:
    before = op.shape_of(x)
    dims = op.inner(dim, len(before) + 1)
    way = torch.mean if "mean" in op.name else torch.sum
    return op.add(Mix(lambda z: way(z, dims, keepdim), prod(before[each - 1] for each in dims) + 1), x)


@lowers("flatten", "view", "reshape", "_unsafe_view", "squeeze", "unsqueeze", "unflatten", "view_copy")
def _reshape(op: Operation, x: Place, **_: Any) -> Place:
    """The order of the entries stays, and the batch comes first, so each image keeps its own."""
    shape = op.shape
    return op.add(Mix(lambda z: z.reshape(len(z), *shape), keeps_boxes=True), x)


@lowers("permute")
def _permute(op: Operation, x: Place, dims: Sequence[int]) -> Place:
    rank = len(dims)
    order = [0, *op.inner(dims[1:], rank)]
    return op.add(Mix(lambda z: z.permute(order), keeps_boxes=True), x)


@lowers("transpose", "transpose_", "swapaxes")
def _transpose(op: Operation, x: Place, **dims: int) -> Place:
    a, b = op.inner(list(dims.values()), len(op.shape) + 1)
    return op.add(Mix(lambda z: z.transpose(a, b), keeps_boxes=True), x)


@lowers("slice")
def _slice(op: Operation, x: Place, dim: int, start: int | None, end: int | None, step: int) -> Place:
    rank = len(op.shape) + 1
    if dim % rank == 0:
        if op.shape != op.shape_of(x) or (start or 0) != 0 or step != 1:
            raise op.refuse("takes some images of a batch")
        return x  # the whole batch: its size is checked in reading.py
    place = [slice(None)] * (dim % rank) + [slice(start, end, step)]
    return op.add(Mix(lambda z: z[tuple(place)], keeps_boxes=True), x)


@lowers("select")
def _select(op: Operation, x: Place, dim: int, index: int) -> Place:
    (place,) = op.inner(dim, len(op.shape_of(x)) + 1)
    return op.add(Mix(lambda z: z.select(place, index), keeps_boxes=True), x)


@lowers("constant_pad_nd", "pad")
def _pad(op: Operation, x: Place, value: float | None = None, mode: str = "constant", **sizes: Sequence[int]) -> Place:
    (sides,) = (list(each) for each in sizes.values())
    if mode != "constant" or value or len(sides) > 2 * len(op.shape):
        raise op.refuse("pads with something else than zeros")
    return op.add(Mix(lambda z: pad(z, sides), keeps_boxes=True), x)


@lowers("upsample_nearest2d", "upsample_bilinear2d")
def _upsample(op: Operation, x: Place, **how: Any) -> Place:
    before, after = op.shape_of(x)[1:], op.shape[1:]
    factors = how.get("scale_factors") or [how.get("scales_h"), how.get("scales_w")]
    # Torch takes the places of pixels from the factors if there are any, and from the sizes otherwise.
    way: dict[str, Any] = {"size": after} if None in factors else {"scale_factor": tuple(factors)}
    near = [4 * (there // here) + 6 for here, there in zip(before, after, strict=True)]  # at most so many read a pixel
    if "nearest" in op.name:
        return op.add(Mix(lambda z: interpolate(z, **way), 1, prod(near)), x)
    way |= {"mode": "bilinear", "align_corners": bool(how["align_corners"])}
    # The weights are rounded too, by as much as the places of pixels are large.
    return op.add(Mix(lambda z: interpolate(z, **way), 8 + 8 * max(before), prod(near) + 8 * max(before)), x)


@lowers("cat", "concat")
def _cat(op: Operation, tensors: Sequence[Any], dim: int) -> Place:
    if not all(isinstance(each, Place) for each in tensors):
        raise op.refuse("joins the images' features with constants")
    (place,) = op.inner(dim, len(op.shape) + 1)
    return op.add(Mix(lambda *parts: torch.cat(parts, place)), *tensors)


@lowers("add", "add_")
def _add(op: Operation, x: Any, other: Any, alpha: float = 1) -> Place:
    return _sum(op, x, other, alpha)


@lowers("sub", "sub_", "subtract")
def _sub(op: Operation, x: Any, other: Any, alpha: float = 1) -> Place:
    return _sum(op, x, other, -alpha)


@lowers("rsub")
def _rsub(op: Operation, x: Any, other: Any, alpha: float = 1) -> Place:
    return _sum(op, other, x, -alpha)


def _sum(op: Operation, a: Any, b: Any, alpha: float) -> Place:
    """A + alpha b."""
    if not isinstance(b, Place):
        return op.add(Scale(None, alpha * op.constant(b, a), 1), a)
    if not isinstance(a, Place):
        return op.add(Scale(torch.tensor(float(alpha)), op.constant(a, b)), b)
    if len(op.shape_of(a)) != len(op.shape_of(b)):
        raise op.refuse("adds features of different dimensions")
    scaled = b if alpha == 1 else op.add(Scale(torch.tensor(float(alpha)), None, 1), b, shape=op.shape_of(b))
    smaller = min(prod(op.shape_of(a)), prod(op.shape_of(b)))
    equal = op.shape_of(a) == op.shape_of(b)
    return op.add(Sum() if equal else Mix(lambda x, y: x + y, 1, prod(op.shape) // max(1, smaller)), a, scaled)


@lowers("mul", "mul_", "multiply")
def _mul(op: Operation, x: Any, other: Any) -> Place:
    if isinstance(x, Place) and isinstance(other, Place):
        raise op.refuse("multiplies two functions of the images")
    place, factor = (x, other) if isinstance(x, Place) else (other, x)
    return op.add(Scale(op.constant(factor, place), None, 1), place)


@lowers("div", "div_", "divide")
def _div(op: Operation, x: Any, other: Any, rounding_mode: str | None = None) -> Place:
    if not isinstance(x, Place) or isinstance(other, Place) or rounding_mode is not None:
        raise op.refuse("divides by a function of the images, or rounds")
    return op.add(Scale(1 / op.constant(other, x).double(), None, 2), x)


@lowers("neg", "neg_")
def _neg(op: Operation, x: Place) -> Place:
    return op.add(Scale(torch.tensor(-1.0), None, 1), x)


@lowers("dropout", "dropout_", "feature_dropout", "alpha_dropout", "feature_alpha_dropout")
def _dropout(op: Operation, x: Place, train: bool, **_: Any) -> Place:
    if train:
        raise op.refuse("is random")
    return x


@lowers("clone", "contiguous", "detach", "detach_", "alias", "lift_fresh_copy", "to", "_to_copy", "type_as")
def _same(_op: Operation, x: Place, **_: Any) -> Place:
    return x


def _wide(of_channels: Tensor, dims: int) -> Tensor:
    """A number for each channel as a tensor that broadcasts against (C, ...)."""
    return of_channels.view(-1, *[1] * dims)


def _scaled(op: Operation, x: Place, factor: float, shift: float) -> Place:
    return op.add(Scale(torch.tensor(factor), torch.tensor(shift)), x) if factor != 1 or shift else x


def _each(value: Any, dims: int) -> tuple[int, ...]:
    """One number for each dimension, from one number, a list of one, or a list."""
    numbers = (value,) if isinstance(value, int) else tuple(value)
    return numbers * dims if len(numbers) == 1 else numbers
