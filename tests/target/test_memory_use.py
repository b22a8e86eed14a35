"""The memory of an image is what autograd keeps, counted by hand for six kinds of model."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations
from torch.utils.checkpoint import checkpoint

from advtool.target import memory_use
from advtool.target.facts import Autograd
from advtool.target.memory_use import bytes_an_image, halving_on_out_of_memory

FLOAT = 4
SIDE = 16


class Functional(nn.Module):
    """Convolutions by functions: a hook on layers would see nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Parameter(torch.randn(8, 1, 3, 3))
        self.two = nn.Parameter(torch.randn(8, 8, 3, 3))
        self.last = nn.Parameter(torch.randn(5, 8 * SIDE**2))

    def forward(self, x: Tensor) -> Tensor:
        for weight in (self.one, self.two):
            x = functional.relu(functional.conv2d(x, weight, padding=1))
        return functional.linear(x.flatten(1), self.last)


class Attention(nn.Module):
    """Rows attend to rows. Autograd keeps the softmax (rows, rows), queries, keys and values."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.ParameterList([nn.Parameter(torch.randn(SIDE, SIDE) / 4) for _ in range(3)])
        self.last = nn.Linear(SIDE**2, 5)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (x[:, 0] @ weight for weight in self.weights)
        return self.last((torch.softmax(q @ k.transpose(1, 2), -1) @ v).flatten(1))


class Checkpointed(nn.Module):
    """Six checkpointed blocks. Autograd keeps their inputs, and the inside of one block at a time."""

    def __init__(self, *, reentrant: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.Conv2d(1, 1, 3, padding=1) for _ in range(6)])
        self.last, self.reentrant = nn.Linear(SIDE**2, 5), reentrant

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = checkpoint(lambda y, block=block: functional.relu(block(y)), x, use_reentrant=self.reentrant)
        return self.last(x.flatten(1))


def parametrised() -> nn.Module:
    """A model whose weights are computed anew at each pass, which takes no memory per image."""
    layer = parametrizations.weight_norm(nn.Conv2d(1, 8, 3, padding=1))
    return nn.Sequential(layer, nn.ReLU(), nn.Flatten(), nn.Linear(8 * SIDE**2, 5))


PLANE = SIDE**2 * FLOAT
KINDS: dict[str, tuple[Callable[[], nn.Module], Autograd, int]] = {
    "layers": (
        lambda: nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * SIDE**2, 5)),
        Autograd.grad,
        8 * PLANE,
    ),
    "functional": (Functional, Autograd.grad, 16 * PLANE),
    "attention": (Attention, Autograd.grad, 5 * PLANE),
    "checkpointed": (lambda: Checkpointed(reentrant=False), Autograd.grad, 6 * PLANE),
    "checkpointed, reentrant": (lambda: Checkpointed(reentrant=True), Autograd.backward, 7 * PLANE),
    "parametrised": (parametrised, Autograd.grad, 8 * PLANE),
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_takes_the_bytes_that_autograd_keeps(kind: str) -> None:
    build, autograd, expected = KINDS[kind]
    torch.manual_seed(0)
    model = build().eval().requires_grad_(False)
    found = bytes_an_image(model, torch.rand(1, 1, SIDE, SIDE), autograd)
    assert 0.8 * expected <= found <= 1.2 * expected, (found / PLANE, expected / PLANE)


def test_a_larger_network_makes_smaller_passes() -> None:
    sizes = [memory_use.images_a_pass(count, torch.device("cpu")) for count in (1000, 10_000, 10**9)]
    assert sizes == [65_536, 13_421, 1], "at most 65,536 images, 128 MiB, at least one image"


@pytest.mark.parametrize(
    "words",
    [
        "[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
        "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported at some other API call",
    ],
)
def test_out_of_memory_is_known_by_the_words_of_each_library(words: str) -> None:
    sizes = [4]

    def compute() -> int:
        if sizes[-1] > 2:
            raise RuntimeError(words)
        return sizes[-1]

    def halve() -> int:
        sizes.append(sizes[-1] // 2)
        return sizes[-1]

    assert halving_on_out_of_memory(compute, halve) == 2
