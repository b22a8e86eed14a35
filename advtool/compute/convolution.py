"""Convolutions with a quick input gradient on a CPU, on which attacks and adversarial training spend most time."""

import inspect
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad, pixel_shuffle

FLOATS_PER_REGISTER = 16
"""float32 numbers in a vector register of 512 bits. A convolution with fewer outputs leaves part of it empty."""


class QuickConv2d(nn.Conv2d):
    """``nn.Conv2d`` with the same numbers up to rounding, and on a CPU with a quicker gradient of its input.

    oneDNN computes this gradient 3 to 8 times slower where the input has few channels or the stride is above 1 (torch
    2.15). The layer has no state of its own, so ``layer.__class__ = QuickConv2d`` makes one of an ``nn.Conv2d``. It is
    torch's where :attr:`block` is 1, on other devices, and for other inputs than batches of float32 or float64.
    """

    def forward(self, x: Tensor) -> Tensor:
        exact = x.dtype in (torch.float32, torch.float64) and not torch.is_autocast_enabled("cpu")
        if not (x.requires_grad and x.device.type == "cpu" and x.ndim == 4 and exact and self.block > 1):
            return super().forward(x)
        y: Tensor = _QuickGradient.apply(super().forward(x.detach()), x, self.weight, self)
        return y

    @property
    def block(self) -> int:
        """The side b of the input's blocks, a multiple of the stride; 1 where blocks do not pay.

        With the stride's own side no product is wasted if the stride divides the kernel. Larger blocks multiply zeros
        too, and still pay as long as the b x b pixels of all channels fit into one vector register.
        """
        shape = kernel, stride, padding = self.kernel_size[0], self.stride[0], self.padding[0]
        square = (self.kernel_size, self.stride, self.padding) == tuple((side, side) for side in shape)
        if not square or self.dilation != (1, 1) or self.groups > 1 or self.padding_mode != "zeros":
            return 1
        side = stride
        while self.in_channels * (2 * side) ** 2 <= FLOATS_PER_REGISTER:
            side *= 2
        return side if int(padding) < kernel and (side > stride or kernel % stride == 0) else 1

    def input_gradient(self, g: Tensor, weight: Tensor, height: int, width: int) -> Tensor:
        """The gradient (N, C, ``height``, ``width``) of the input from the gradient ``g`` (N, O, h, w) of the output.

        That of a block of b x b pixels depends on a square of ``g`` alone. So it is a convolution of ``g`` with C b b
        outputs, whose pixels are then put into their places.
        """
        kernels, padding, step = self._kernels(weight), -self._first_output, self.block // self.stride[0]
        down, across = -(-height // self.block), -(-width // self.block)
        sides = zip((across, down), (g.shape[3], g.shape[2]), strict=True)
        missing = [step * (blocks - 1) + kernels.shape[-1] - 2 * padding - side for blocks, side in sides]
        if max(missing) > 0:
            g = pad(g, (0, max(0, missing[0]), 0, max(0, missing[1])))
        pixels = conv2d(g, kernels, stride=step, padding=padding)[:, :, :down, :across]
        return _in_their_places(pixels, self.block)[:, :, :height, :width]

    @property
    def _first_output(self) -> int:
        """The first output, at most 0, that the first block has a part in."""
        return -((self.kernel_size[0] - 1 - int(self.padding[0])) // self.stride[0])

    def _kernels(self, weight: Tensor) -> Tensor:
        """:meth:`_block_kernels`; those of a frozen weight are made once."""
        if weight.requires_grad:
            return self._block_kernels(weight)
        made_of, kernels = _KERNELS.get(self, (None, None))
        # The tensor's version does not tell: fused optimisers change the values and leave the version.
        if made_of is None or kernels is None or made_of.dtype != weight.dtype or not torch.equal(made_of, weight):
            kernels = self._block_kernels(weight)
            _KERNELS[self] = weight.clone(), kernels
        return kernels

    def _block_kernels(self, weight: Tensor) -> Tensor:
        """From ``weight`` (O, C, k, k) the outputs (C b b, O, m, m) for each pixel of a block, set to 1 alone."""
        channels, block, kernel, stride = self.in_channels, self.block, self.kernel_size[0], self.stride[0]
        before = int(self.padding[0]) - stride * self._first_output
        outputs = (block - 1 + before) // stride + 1
        after = stride * (outputs - 1) + kernel - before - block
        pixels = torch.eye(channels * block**2, dtype=weight.dtype, device=weight.device)
        alone = pad(pixels.view(-1, channels, block, block), (before, after, before, after))
        return conv2d(alone, weight, stride=stride)


def _in_their_places(pixels: Tensor, block: int) -> Tensor:
    """``pixel_shuffle``: (N, C b b, h, w) to (N, C, h b, w b). Torch's (2.15) is quick in channels last alone."""
    if not pixels.is_contiguous() and pixels.is_contiguous(memory_format=torch.channels_last):
        return pixel_shuffle(pixels, block)
    columns = torch.stack(pixels.unflatten(1, (-1, block, block)).unbind(3), -1)  # (N, C, b, h, w, b)
    return torch.stack(columns.unbind(2), 3).flatten(4).flatten(2, 3)


_KERNELS: "WeakKeyDictionary[QuickConv2d, tuple[Tensor, Tensor]]" = WeakKeyDictionary()
"""Each layer's frozen weight and its kernels. As attributes of the layer they would look like its state."""


class _QuickGradient(torch.autograd.Function):
    """Passes a convolution's output on. Its gradient goes to the output and, the quick way, to the input."""

    @staticmethod
    def forward(y: Tensor, *_: Any) -> Tensor:
        return y

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _, x, weight, ctx.layer = inputs
        ctx.mark_dirty(output)
        ctx.save_for_backward(weight)
        ctx.sides = x.shape[2:]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (g,), (weight,) = gradients, ctx.saved_tensors
        return g, ctx.layer.input_gradient(g, weight, *ctx.sides), None, None


# torch asks for it at every call, and working it out takes as long as a small convolution
_QuickGradient.forward.__signature__ = inspect.signature(_QuickGradient.forward)  # type: ignore[attr-defined]
