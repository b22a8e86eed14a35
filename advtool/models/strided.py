"""The strided convolution of the small CNN, with a gradient that a CPU computes quickly."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

KERNEL, STRIDE, PADDING = 4, 2, 1

BY_PARITY = torch.arange(KERNEL**2).view(2, STRIDE, 2, STRIDE).flip(0, 2).permute(1, 3, 0, 2).flatten()
"""The taps (2t + i, 2u + j) of a kernel in the order i, j, then t and u falling."""


class StridedConv2d(nn.Conv2d):
    """``nn.Conv2d(inputs, outputs, 4, stride=2, padding=1)``: the same layer, and the same numbers up to rounding.

    Input: (N, ``inputs``, H, W). Output: (N, ``outputs``, H // 2, W // 2). On a CPU the gradient of its input was
    up to five times faster this way than oneDNN's (torch 2.15), and examples need little else.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, KERNEL, stride=STRIDE, padding=PADDING)

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu" or x.dtype == torch.bfloat16 or torch.is_autocast_enabled("cpu"):
            return super().forward(x)
        y: Tensor = _Convolution.apply(x, self.weight, self.bias)
        return y


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return conv2d(x, weight, bias, STRIDE, PADDING)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (g,) = gradients
        x, weight = ctx.saved_tensors
        of_x, *of_parameters = ctx.needs_input_grad
        g_weight = g_bias = None
        if any(of_parameters):
            wanted = [False, *of_parameters]
            _, g_weight, g_bias = torch.ops.aten.convolution_backward(
                g, x, weight, [len(weight)], [STRIDE] * 2, [PADDING] * 2, [1, 1], False, [0, 0], 1, wanted
            )
        return input_gradient(g, weight, *x.shape[2:]) if of_x else None, g_weight, g_bias


def input_gradient(g: Tensor, weight: Tensor, height: int, width: int) -> Tensor:
    """The gradient (N, C, ``height``, ``width``) of the input; ``g`` is that of the output, ``weight`` (O, C, 4, 4).

    With t and u in {0, 1}, the padded input's pixel (2a + i, 2b + j) meets the taps (2t + i, 2u + j) alone, in the
    outputs (a - t, b - u). So the pixels of each parity (i, j) are an ordinary 2x2 convolution of ``g``, and the
    four of them interleave.
    """
    outputs, inputs = weight.shape[:2]
    taps = weight.reshape(outputs, inputs, KERNEL**2).index_select(2, BY_PARITY.to(weight.device))
    kernels = taps.view(outputs, inputs, 4, 4).permute(1, 2, 0, 3).reshape(inputs * 4, outputs, 2, 2)
    if height % 2 or width % 2:
        g = pad(g, (0, width % 2, 0, height % 2))
    return _interleave(conv2d(g, kernels, padding=1))[:, :, :height, :width].contiguous()


def _interleave(parities: Tensor) -> Tensor:
    """The parts (N, 4 C, a + 1, b + 1) of the padded image as one image (N, C, 2 a, 2 b), its border cut off."""
    y = parities.unflatten(1, (-1, STRIDE, STRIDE))  # N, C, i, j, a, b
    first, last = slice(None, -1), slice(1, None)
    # A complex number is two neighbours in memory: nothing in torch interleaves faster.
    rows = [torch.complex(y[:, :, i, 1, at, first], y[:, :, i, 0, at, last]) for i, at in ((1, first), (0, last))]
    return torch.view_as_real(torch.stack(rows, 3)).flatten(4).flatten(2, 3)
