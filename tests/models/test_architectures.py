"""Architectures by their published sizes, and the way back from a checkpoint's tensors."""

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
import torch
import torch.nn.functional as f
from torch import Tensor, nn

from advtool import models
from advtool.checkpoints import Architecture, Header
from advtool.errors import InputError
from advtool.threat import ThreatModel

MNIST = (1, 28, 28)
CIFAR = (3, 32, 32)


def build(name: str, shape: tuple[int, int, int] = MNIST, classes: int = 10) -> nn.Module:
    return models.build(Architecture(name=name, input_shape=shape, classes=classes)).eval()


def header(name: str, shape: tuple[int, int, int] = MNIST) -> Header:
    return Header(
        architecture=Architecture(name=name, input_shape=shape, classes=10),
        dataset="mnist",
        recipe={"name": "both"},
        threat_model=ThreatModel(eps=0.3),
        seed=0,
        date=datetime(2026, 1, 2, tzinfo=UTC),
        versions={},
        metrics={},
    )


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


# LeNet: 6*26 + 16*151 + 401*120 + 121*84 + 85*10. CNN: 16*17 + 32*257 + 1569*10. ResNet11: convolutions
# without bias; two batch-norm values a channel, once for the stem and three times for a block.
RESNET_CONVOLUTIONS = 9 * (3 * 64 + 2 * 64**2 + 64 * 128 + 128**2 + 128 * 256 + 256**2) + 64**2 + 64 * 128 + 128 * 256
RESNET_NORMS = 2 * (64 + 3 * 64 + 3 * 128 + 3 * 256)


@pytest.mark.parametrize(
    ("name", "shape", "count"),
    [
        ("lenet", MNIST, 61_706),
        ("cnn", MNIST, 272 + 8224 + 15_690),
        ("gowal", MNIST, 272 + 8224 + 3201 * 100 + 1010),
        ("resnet11", CIFAR, RESNET_CONVOLUTIONS + RESNET_NORMS + 2570),
    ],
)
def test_parameter_counts(name: str, shape: tuple[int, int, int], count: int) -> None:
    assert parameters(build(name, shape)) == count


def transcribed(name: str, w: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """The logits by the words of the docstrings, from the tensors ``w``."""

    def conv(layer: str, z: Tensor, stride: int = 1, padding: int = 0) -> Tensor:
        return f.conv2d(z, w[f"{layer}.weight"], w.get(f"{layer}.bias"), stride, padding)

    def linear(layer: str, z: Tensor) -> Tensor:
        return z.flatten(1) @ w[f"{layer}.weight"].T + w[f"{layer}.bias"]

    def norm(layer: str, z: Tensor) -> Tensor:
        mean, var, scale, shift = (
            w[f"{layer}.{each}"].view(-1, 1, 1) for each in ("running_mean", "running_var", "weight", "bias")
        )
        return (z - mean) / (var + 1e-5).sqrt() * scale + shift

    def block(layer: str, z: Tensor, stride: int) -> Tensor:
        inner = norm(f"{layer}.norm1", conv(f"{layer}.conv1", z, stride, 1)).relu()
        residual = norm(f"{layer}.norm2", conv(f"{layer}.conv2", inner, 1, 1))
        return (norm(f"{layer}.project.1", conv(f"{layer}.project.0", z, stride)) + residual).relu()

    match name:
        case "lenet":
            z = f.max_pool2d(conv("conv1", x, padding=2).relu(), 2)
            z = f.max_pool2d(conv("conv2", z).relu(), 2)
            return linear("linear3", linear("linear2", linear("linear1", z).relu()).relu())
        case "cnn":
            return linear("linear", conv("conv2", conv("conv1", x, 2, 1).relu(), 2, 1).relu())
        case "gowal":
            return linear("linear2", linear("linear1", conv("conv2", conv("conv1", x, 2).relu()).relu()).relu())
    z = norm("norm", conv("stem", x, padding=1)).relu()
    for number, stride in enumerate((1, 2, 2), start=1):
        z = block(f"block{number}", z, stride)
    return linear("linear", z.mean((2, 3)))


@pytest.mark.parametrize(("name", "shape"), [("lenet", MNIST), ("cnn", MNIST), ("gowal", MNIST), ("resnet11", CIFAR)])
def test_the_logits_are_those_of_the_published_layers(name: str, shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    model = build(name, shape)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for tensor in (layer.weight, layer.bias, layer.running_mean, layer.running_var):
                nn.init.uniform_(tensor, 0.5, 1.5)
    x = torch.rand(3, *shape)
    with torch.no_grad():
        torch.testing.assert_close(model(x), transcribed(name, model.state_dict(), x), rtol=1e-4, atol=1e-4)


def test_the_width_of_resnet11_can_be_chosen() -> None:
    convolutions = (RESNET_CONVOLUTIONS - 9 * 3 * 64) // 16 + 9 * 3 * 16
    narrow = Architecture(name="resnet11", input_shape=CIFAR, classes=10, options={"width": 16})
    assert parameters(models.build(narrow)) == convolutions + RESNET_NORMS // 4 + 650


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resnet11", {"depth": 3}, "no option 'depth': it has width"),
        ("cnn", {"width": 3}, "no option 'width': it has none"),
        ("resnet11", {"width": 0}, "'width' of the model 'resnet11' must be an integer of at least 1"),
        ("resnet11", {"width": 10**9}, "must be at most"),
    ],
)
def test_a_size_that_a_model_does_not_have_is_refused(name: str, options: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        models.build(Architecture(name=name, input_shape=CIFAR, classes=10, options=options))


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("lenet", [(6, 28, 28), (16, 10, 10), (120,), (84,), (10,)]),
        ("cnn", [(16, 14, 14), (32, 7, 7), (10,)]),
        ("gowal", [(16, 13, 13), (32, 10, 10), (100,), (10,)]),
    ],
)
def test_shapes_of_the_weighted_layers(name: str, shapes: list[tuple[int, ...]]) -> None:
    model, seen = build(name), []
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(lambda _layer, _inputs, output: seen.append(tuple(output.shape[1:])))
    model(torch.zeros(2, *MNIST))
    assert seen == shapes


def test_resnet11_has_eleven_weighted_layers_and_halves_the_image_twice() -> None:
    model = build("resnet11", CIFAR)
    weighted = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert len(weighted) == 11
    sizes = []
    for block in (model.block1, model.block2, model.block3):
        block.register_forward_hook(lambda _block, _inputs, output: sizes.append(tuple(output.shape[1:])))
    assert model(torch.zeros(2, *CIFAR)).shape == (2, 10)
    assert sizes == [(64, 32, 32), (128, 16, 16), (256, 8, 8)]


@pytest.mark.parametrize("name", sorted(models.ARCHITECTURES))
def test_smallest_image_is_the_smallest(name: str) -> None:
    smallest = models.ARCHITECTURES[name].smallest
    assert build(name, (3, smallest, smallest + 5), 4)(torch.zeros(1, 3, smallest, smallest + 5)).shape == (
        1,
        4,
    )
    with pytest.raises(InputError, match=rf"too small.*{smallest}x{smallest}"):
        build(name, (3, smallest + 5, smallest - 1))


def test_unknown_model_names_the_near_one() -> None:
    with pytest.raises(InputError, match=r"unknown model 'lennet'.*did you mean 'lenet'"):
        build("lennet")


def test_unknown_option_is_named() -> None:
    with pytest.raises(InputError, match="'width'"):
        models.build(Architecture(name="cnn", input_shape=MNIST, classes=10, options={"width": 2}))


def test_from_checkpoint_gives_the_same_logits_in_eval_mode_and_leaves_the_global_stream_alone() -> None:
    model = build("resnet11", CIFAR)
    x = torch.rand(3, *CIFAR)
    state = torch.random.get_rng_state()
    loaded = models.from_checkpoint(header("resnet11", CIFAR), model.state_dict())
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not loaded.training
    assert torch.equal(loaded(x), model(x))


def test_tensors_that_do_not_fit_are_refused() -> None:
    tensors = build("cnn").state_dict()
    with pytest.raises(InputError, match="not those of the model 'lenet'"):
        models.from_checkpoint(header("lenet"), tensors)
    with pytest.raises(InputError, match=r"'linear.bias' is missing"):
        models.from_checkpoint(header("cnn"), {k: v for k, v in tensors.items() if k != "linear.bias"})
    with pytest.raises(InputError, match=r"'linear.bias' is of shape \(9,\).*\(10,\)"):
        models.from_checkpoint(header("cnn"), tensors | {"linear.bias": torch.zeros(9)})
    with pytest.raises(InputError, match=r"'linear.bias' holds NaN"):
        models.from_checkpoint(header("cnn"), tensors | {"linear.bias": torch.full((10,), float("nan"))})
