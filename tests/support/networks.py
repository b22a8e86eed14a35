"""One small network for each layer that can be bounded, with random weights, and targets made of networks."""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from advtool.compute.layers import LayerGraph, read
from advtool.target.target import Target

SHAPE = (2, 6, 5)
"""One image's"""
CLASSES = 3


class Network(nn.Module):
    """A function of the images and of some layers."""

    def __init__(self, function: Callable[..., Tensor], *layers: nn.Module) -> None:
        super().__init__()
        self.function, self.layers = function, nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, *self.layers)


def randomise(model: nn.Module, seed: int = 0) -> nn.Module:
    """Random weights and batch statistics, eval mode, no gradients."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        for name, tensor in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)):
            drawn = torch.randn(tensor.shape, generator=generator)
            if isinstance(module, nn.PReLU):
                drawn = drawn.sigmoid()
            elif isinstance(module, nn.modules.batchnorm._BatchNorm):
                drawn = {"running_var": drawn.abs() + 0.2, "weight": 1 + drawn / 2}.get(name, drawn / 2)
            elif tensor.ndim > 1:
                drawn *= (2 / tensor[0].numel()) ** 0.5
            tensor.data.copy_(drawn.to(tensor.dtype) if name != "num_batches_tracked" else torch.tensor(0))
    return model.eval().requires_grad_(False)


def target_of(model: nn.Module, shape: tuple[int, ...] = SHAPE, classes: int = CLASSES) -> Target:
    return Target(model, input_shape=shape, classes=classes)


def graph_of(model: nn.Module, shape: tuple[int, ...] = SHAPE, dtype: torch.dtype = torch.float64) -> LayerGraph:
    return read(model, torch.rand(1, *shape)).to(dtype, "cpu")


def images(count: int, shape: tuple[int, ...] = SHAPE, seed: int = 0) -> Tensor:
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(seed))


def _added_back(x: Tensor, convolution: nn.Module, relu: nn.Module) -> Tensor:
    z: Tensor = convolution(x)
    z += x
    y: Tensor = relu(z)
    return y


def _different_strides(x: Tensor, wide: nn.Module, strided: nn.Module) -> Tensor:
    y: Tensor = wide(x.relu()) + strided(x.relu())
    return y.relu()


CONSTANT = torch.linspace(-1, 2, 5)
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "conv1d": lambda: nn.Sequential(nn.Flatten(2), nn.Conv1d(2, 3, 4, stride=3, padding=2, dilation=2)),
    "conv2d": lambda: nn.Conv2d(2, 3, 3),
    "conv2d stride": lambda: nn.Conv2d(2, 3, 2, stride=3),
    "conv2d uneven": lambda: nn.Conv2d(2, 3, (3, 2), stride=(2, 1), padding=(2, 1), dilation=(1, 2), bias=False),
    "conv2d groups": lambda: nn.Conv2d(2, 4, 3, padding=1, groups=2),
    "conv2d same": lambda: nn.Conv2d(2, 3, (3, 5), padding="same", dilation=(2, 1)),
    "conv2d valid": lambda: nn.Conv2d(2, 3, 2, padding="valid"),
    "conv3d": lambda: nn.Sequential(nn.Unflatten(1, (1, 2)), nn.Conv3d(1, 2, (2, 3, 2), stride=(1, 2, 2), padding=1)),
    "transposed conv1d": lambda: nn.Sequential(nn.Flatten(2), nn.ConvTranspose1d(2, 3, 3, stride=2)),
    "transposed conv2d": lambda: nn.ConvTranspose2d(2, 4, 3, stride=2, padding=1, output_padding=1, groups=2),
    "transposed conv2d dilated": lambda: nn.ConvTranspose2d(2, 3, 2, dilation=2, output_padding=1),
    "transposed conv3d": lambda: nn.Sequential(nn.Unflatten(1, (1, 2)), nn.ConvTranspose3d(1, 2, 2, stride=(1, 2, 1))),
    "linear": lambda: nn.Sequential(nn.Flatten(), nn.Linear(60, 3)),
    "linear on the last dimension": lambda: nn.Linear(5, 4, bias=False),
    "matmul": lambda: Network(lambda x, m: x.flatten(1) @ m.weight.T, nn.Linear(60, 3)),
    "addmm": lambda: Network(lambda x, m: torch.addmm(m.bias, x.flatten(1), m.weight.T), nn.Linear(60, 3)),
    "batch norm 1d": lambda: nn.Sequential(nn.Flatten(), nn.BatchNorm1d(60)),
    "batch norm 2d": lambda: nn.BatchNorm2d(2),
    "batch norm without weights": lambda: nn.BatchNorm2d(2, affine=False),
    "relu": lambda: Network(lambda x: (x - 0.5).relu()),
    "relu in place": lambda: Network(_added_back, nn.Conv2d(2, 2, 3, padding=1), nn.ReLU(inplace=True)),
    "leaky relu": lambda: Network(lambda x: functional.leaky_relu(x - 0.5, 0.3)),
    "prelu": lambda: Network(lambda x, m: m(x - 0.5), nn.PReLU(2)),
    "relu6": lambda: Network(lambda x: functional.relu6(20 * x - 8)),
    "hardtanh": lambda: Network(lambda x: functional.hardtanh(3 * x - 1)),
    "clamp": lambda: Network(lambda x: x.clamp(0.25, 0.75)),
    "clamp below": lambda: Network(lambda x: x.clamp(min=0.5)),
    "clamp above": lambda: Network(lambda x: x.clamp(max=0.5)),
    "clamp to infinity": lambda: Network(lambda x: x.clamp(0.5, torch.inf)),
    "sigmoid": lambda: Network(lambda x: (8 * x - 4).sigmoid()),
    "tanh": lambda: Network(lambda x: (8 * x - 4).tanh()),
    "average pooling": lambda: nn.AvgPool2d(2),
    "average pooling at edges": lambda: nn.AvgPool2d((3, 2), stride=2, padding=1, ceil_mode=True),
    "average pooling of pixels": lambda: nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False),
    "average pooling by 5": lambda: nn.AvgPool2d(2, divisor_override=5),
    "adaptive average pooling": lambda: nn.AdaptiveAvgPool2d((4, 2)),
    "adaptive average pooling upwards": lambda: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.AdaptiveAvgPool2d((3, 7))),
    "adaptive average pooling 1d": lambda: nn.Sequential(nn.Flatten(2), nn.AdaptiveAvgPool1d(7)),
    "max pooling": lambda: nn.MaxPool2d(2),
    "max pooling at edges": lambda: nn.MaxPool2d((3, 2), stride=(1, 2), padding=1, ceil_mode=True),
    "max pooling dilated": lambda: nn.MaxPool2d(2, stride=1, dilation=(3, 2)),
    "mean": lambda: Network(lambda x: x.mean((2, 3))),
    "sum": lambda: Network(lambda x: x.sum(1, keepdim=True)),
    "view": lambda: Network(lambda x: x.view(-1, 3, 20)),
    "permute": lambda: Network(lambda x: x.permute(0, 3, 1, 2)),
    "transpose": lambda: Network(lambda x: x.transpose(-1, 1)),
    "squeeze": lambda: Network(lambda x: x.mean((2, 3), keepdim=True).squeeze()),
    "slice": lambda: Network(lambda x: x[:, :, 1::2, :-1]),
    "select": lambda: Network(lambda x: x[:, -1]),
    "pad": lambda: nn.ZeroPad2d((1, 2, 0, 3)),
    "pad cuts": lambda: Network(lambda x: functional.pad(x, (-1, 2, 1, -2))),
    "nearest": lambda: nn.Upsample(scale_factor=2),
    "nearest to a size": lambda: nn.Upsample(size=(9, 4)),
    "nearest by a factor": lambda: nn.Upsample(scale_factor=1.4),
    "bilinear": lambda: nn.Upsample(scale_factor=2, mode="bilinear"),
    "bilinear to corners": lambda: nn.Upsample(size=(9, 3), mode="bilinear", align_corners=True),
    "bilinear by a factor": lambda: nn.Upsample(scale_factor=1.4, mode="bilinear"),
    "cat": lambda: Network(lambda x, m: torch.cat([x, m(x)], 1), nn.Conv2d(2, 3, 1)),
    "residual": lambda: Network(lambda x, m: x + m(x), nn.Conv2d(2, 2, 3, padding=1)),
    "residual of an image with itself": lambda: Network(lambda x: x + x),
    "scaled residual": lambda: Network(lambda x, m: torch.sub(x, m(x), alpha=0.3), nn.Conv2d(2, 2, 3, padding=1)),
    "broadcast sum": lambda: Network(lambda x: x - x.mean((2, 3), keepdim=True)),
    "branches of different strides": lambda: Network(
        _different_strides, nn.Conv2d(2, 3, (4, 3)), nn.Conv2d(2, 3, 2, stride=2, padding=(0, 1))
    ),
    "add": lambda: Network(lambda x: 3 + x),
    "subtract": lambda: Network(lambda x: 1 - x),
    "multiply": lambda: Network(lambda x: CONSTANT * x * -2),
    "divide": lambda: Network(lambda x: x / torch.tensor([0.25, -3.0]).view(1, 2, 1, 1)),
    "negate": lambda: Network(lambda x: -x),
    "normalise": lambda: Network(lambda x: (x - torch.tensor([[0.4], [0.5]])[..., None]) / 0.25),
    "a matrix made in the forward": lambda: Network(lambda x: x * torch.arange(5.0).softmax(0)),
    "dropout in eval mode": lambda: nn.Sequential(nn.Dropout(), nn.Dropout2d(), nn.Conv2d(2, 1, 2)),
    "a convolution without images far out": lambda: nn.Sequential(nn.ReLU(), nn.Conv2d(2, 2, 3, padding=4)),
}
"""By the name of what is in it, with SHAPE images."""


def each(name: str) -> nn.Module:
    """One of the networks."""
    return randomise(NETWORKS[name]())


@cache
def graph_of_each(name: str) -> LayerGraph:
    """Its graph in float64."""
    return graph_of(each(name))
