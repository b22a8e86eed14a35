"""Convolutions whose input gradient a CPU computes quickly: attacks need little else."""

import inspect
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad, pixel_shuffle

LANES = 16
"""float32 numbers in a vector register: a convolution with fewer outputs leaves part of each empty."""


class QuickConv2d(nn.Conv2d):
    """``nn.Conv2d`` with the same numbers up to rounding, and on a CPU a faster gradient of its input.

    oneDNN's is slow where the input has few channels or the stride is above 1 (3 to 8 times, torch 2.15). The layer
    has no state of its own, so an ``nn.Conv2d`` becomes one by assigning its class. Where nothing is gained, for
    other types than float32 and float64, other devices, groups and dilation it is ``nn.Conv2d``.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self._pays_for(x):
            return super().forward(x)
        y: Tensor = _Convolution.apply(x, self.weight, self.bias, self)
        return y

    @property
    def block(self) -> int:
        """See :func:`block_side`; 1 too where it has not been worked out."""
        square = all(len(set(pair)) == 1 for pair in (self.kernel_size, self.stride, self.padding))
        plain = square and self.groups == self.dilation[0] == self.dilation[1] == 1 and self.padding_mode == "zeros"
        return block_side(self.in_channels, self.kernel_size[0], self.stride[0]) if plain else 1

    def kernels(self, weight: Tensor) -> "Kernels":
        """Those of :func:`input_gradient`; of a frozen weight they are made once."""
        if weight.requires_grad:
            return block_kernels(weight, self.stride[0], int(self.padding[0]), self.block)
        # Not by the tensor's version: fused optimisers change the values and not the version.
        known, kernels = _MADE.get(self, (None, None))
        if known is None or kernels is None or known.dtype != weight.dtype or not torch.equal(known, weight):
            kernels = block_kernels(weight, self.stride[0], int(self.padding[0]), self.block)
            _MADE[self] = weight.clone(), kernels
        return kernels

    def _pays_for(self, x: Tensor) -> bool:
        exact = x.dtype in (torch.float32, torch.float64) and not torch.is_autocast_enabled("cpu")
        return x.requires_grad and x.device.type == "cpu" and exact and self.block > 1


def in_torch_layers(model: nn.Module) -> nn.Module:
    """The same model, whose convolutions are torch's own again: for timings that others should be able to repeat."""
    for layer in model.modules():
        if isinstance(layer, QuickConv2d):
            layer.__class__ = nn.Conv2d
    return model


class Kernels(NamedTuple):
    """A convolution's kernels for the gradient of its input."""

    weight: Tensor
    """(C b b, O, m, m): C b b pixels of a block from m x m outputs"""
    first: int
    """the output, at most 0, that the first block meets first"""
    step: int
    """outputs from block to block"""
    block: int
    """the side b of a block"""


_MADE: "WeakKeyDictionary[QuickConv2d, tuple[Tensor, Kernels]]" = WeakKeyDictionary()
"""Each layer's kernels and the weight that they were made of; in the layer itself they would look like its state."""


def block_side(channels: int, kernel: int, stride: int) -> int:
    """The side b of the input's blocks; 1 where nothing is gained.

    Blocks of the stride's own side compute nothing in vain if the stride divides the kernel. Larger ones compute taps
    outside the kernel too, and pay as long as the b x b pixels of all channels fit into one vector register.
    """
    side = stride
    while channels * (2 * side) ** 2 <= LANES:
        side *= 2
    return side if side > stride or kernel % stride == 0 else 1


def block_kernels(weight: Tensor, stride: int, padding: int, block: int) -> Kernels:
    """From the ``weight`` (O, C, k, k) of a convolution; ``block`` is a multiple of the stride.

    The input's pixel i meets tap u in output t where ``i = stride t - padding + u``.
    """
    outputs, channels, size, _ = weight.shape
    first, last = -((size - 1 - padding) // stride), (block - 1 + padding) // stride
    t = torch.arange(first, last + 1, device=weight.device)
    u = torch.arange(block, device=weight.device)[:, None] + padding - stride * t
    there = ((u >= 0) & (u < size)).to(weight.dtype)
    taps = weight[:, :, u.clamp(0, size - 1)][..., u.clamp(0, size - 1)]  # O, C, b, m, b, m
    taps = taps * there[:, :, None, None] * there
    dense = taps.permute(1, 2, 4, 0, 3, 5).reshape(channels * block**2, outputs, len(t), len(t))
    return Kernels(dense, first, block // stride, block)


def input_gradient(g: Tensor, kernels: Kernels, height: int, width: int) -> Tensor:
    """The gradient (N, C, ``height``, ``width``) of a convolution's input; ``g`` is that of its output.

    The input's pixels are taken in blocks of b x b. A block's gradient depends on a square of ``g`` alone, so it is
    a convolution with C b b outputs, which are then put in place.
    """
    dense, first, step, block = kernels
    down, across = -(-height // block), -(-width // block)
    beyond = [2 * first + step * (blocks - 1) + dense.shape[-1] for blocks in (across, down)]
    missing = [max(0, beyond[0] - g.shape[3]), max(0, beyond[1] - g.shape[2])]
    if any(missing):
        g = pad(g, (0, missing[0], 0, missing[1]))
    blocks = conv2d(g, dense, stride=step, padding=-first)[:, :, :down, :across]
    return pixel_shuffle(blocks, block)[:, :, :height, :width]


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None, layer: QuickConv2d) -> Tensor:
        return conv2d(x, weight, bias, layer.stride, layer.padding)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        del output
        x, weight, _, ctx.layer = inputs
        ctx.save_for_backward(x, weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (g,) = gradients
        x, weight = ctx.saved_tensors
        of_x, *of_parameters = ctx.needs_input_grad[:3]
        g_weight = g_bias = None
        if any(of_parameters):
            stride, padding = ctx.layer.stride, ctx.layer.padding
            _, g_weight, g_bias = torch.ops.aten.convolution_backward(
                g, x, weight, [len(weight)], stride, padding, [1, 1], False, [0, 0], 1, [False, *of_parameters]
            )
        g_x = input_gradient(g, ctx.layer.kernels(weight), *x.shape[2:]) if of_x else None
        return g_x, g_weight, g_bias, None


# torch asks for it at every call, and working it out takes as long as a small convolution
_Convolution.forward.__signature__ = inspect.signature(_Convolution.forward)  # type: ignore[attr-defined]
