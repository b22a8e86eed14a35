"""Random small networks of every layer kind that has bounds, by a seed."""

import random
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

from tests.support.networks import Network, randomise

ACTIVATIONS: list[Callable[[int], nn.Module]] = [
    lambda _: nn.ReLU(),
    lambda _: nn.ReLU(),
    lambda _: nn.LeakyReLU(0.2),
    nn.PReLU,
    lambda _: nn.Sigmoid(),
    lambda _: nn.Tanh(),
    lambda _: nn.ReLU6(),
    lambda _: nn.Hardtanh(-0.5, 0.7),
]


class Residual(nn.Module):
    """x + body(x)."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.body(x)
        return y


class Joined(Residual):
    """x and body(x), one after the other along the channels."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((x, self.body(x)), 1)


def _activation(draw: random.Random, channels: int) -> nn.Module:
    return draw.choice(ACTIVATIONS)(channels)


def _convolution(draw: random.Random, channels: int) -> nn.Module:
    groups = draw.choice([1, 1, channels])
    return nn.Conv2d(
        channels,
        groups * draw.randint(1, 3),
        (draw.randint(1, 3), draw.randint(1, 3)),
        stride=(draw.choice([1, 1, 2]), draw.choice([1, 1, 2])),
        padding=(draw.randint(0, 2), draw.randint(0, 2)),
        dilation=draw.choice([1, 1, 1, 2]),
        groups=groups,
        bias=draw.random() < 0.7,
    )


def _same(draw: random.Random, channels: int) -> nn.Module:
    body = [nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels), _activation(draw, channels)]
    if draw.random() < 0.5:
        body.append(nn.Conv2d(channels, channels, 1))
    return nn.Sequential(*body)


BLOCKS: list[Callable[[random.Random, int], nn.Module]] = [
    _convolution,
    _convolution,
    lambda _, channels: nn.BatchNorm2d(channels),
    _activation,
    _activation,
    lambda draw, _: nn.MaxPool2d(2, stride=draw.choice([1, 2]), ceil_mode=draw.random() < 0.5),
    lambda draw, _: nn.MaxPool2d(3, stride=draw.choice([1, 2]), padding=1),
    lambda draw, _: nn.AvgPool2d(2, stride=draw.choice([1, 2]), ceil_mode=draw.random() < 0.5),
    lambda draw, channels: Residual(_same(draw, channels)),
    lambda draw, channels: Joined(_same(draw, channels)),
    lambda draw, channels: nn.ConvTranspose2d(channels, 2, 2, stride=draw.choice([1, 2])),
    lambda draw, _: nn.Upsample(scale_factor=2, mode=draw.choice(["nearest", "bilinear"])),
    lambda draw, _: nn.AdaptiveAvgPool2d(draw.randint(1, 3)),
    lambda draw, _: nn.ZeroPad2d(draw.randint(0, 2)),
    lambda *_: Network(lambda x: x - x.mean((2, 3), keepdim=True)),
    lambda *_: Network(lambda x: (1 - x) / 0.5),
]
LARGEST = 300
"""Numbers in a layer: what keeps the networks quick."""


def random_network(seed: int) -> tuple[nn.Module, tuple[int, int, int], int]:
    """A network in eval mode, the shape of its images and its number of classes."""
    draw = random.Random(seed)
    shape, classes = (draw.randint(1, 2), draw.randint(3, 6), draw.randint(3, 6)), draw.randint(2, 4)
    layers: list[nn.Module] = [Network(lambda x: (x - 0.5) / 0.3)] if draw.random() < 0.5 else []
    x = torch.zeros(1, *shape)
    for _ in range(draw.randint(1, 5)):
        layer = draw.choice(BLOCKS)(draw, x.shape[1])
        try:
            y = layer.eval()(x)
        except RuntimeError:  # the image is too small for it
            continue
        if y.numel() <= LARGEST:
            x = y
            layers.append(layer)
    layers += [nn.Flatten(), nn.Linear(x.numel(), 8), draw.choice(ACTIVATIONS)(1), nn.Linear(8, classes)]
    with torch.random.fork_rng():
        return randomise(nn.Sequential(*layers), seed), shape, classes


def random_piecewise(seed: int) -> tuple[nn.Module, tuple[int, int, int], int]:
    """A small fully connected ReLU network of 2 to 4 pixels."""
    draw = random.Random(seed)
    pixels, width, classes = draw.randint(2, 4), draw.randint(2, 8), draw.randint(2, 4)
    layers: list[nn.Module] = [nn.Flatten()]
    sizes = [pixels, *[width] * draw.randint(1, 3), classes]
    for one, other in pairwise(sizes):
        layers += [nn.Linear(one, other), nn.ReLU()]
    return randomise(nn.Sequential(*layers[:-1]), seed), (1, 1, pixels), classes
