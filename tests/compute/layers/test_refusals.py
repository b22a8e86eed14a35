"""What cannot be bounded is refused in one line that names it, and never misread."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from advtool.compute.layers import UnknownLayer, read
from tests.support.networks import Network, images, randomise


def refusal(model: nn.Module) -> str:
    with pytest.raises(UnknownLayer) as caught:
        read(model, images(1))
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) < 200
    return line


LAYERS: dict[str, tuple[nn.Module, str]] = {
    "gelu": (nn.GELU(), "(aten.gelu) cannot be bounded"),
    "elu": (nn.ELU(), "(aten.elu) cannot be bounded"),
    "softmax": (nn.Softmax(1), "(aten.softmax.int) cannot be bounded"),
    "layer norm": (nn.LayerNorm(5), "(aten.layer_norm) cannot be bounded"),
    "group norm": (nn.GroupNorm(1, 2), "(aten.group_norm) cannot be bounded"),
    "adaptive max pooling": (nn.AdaptiveMaxPool2d(2), "(aten.adaptive_max_pool2d) cannot be bounded"),
    "batch statistics": (nn.BatchNorm2d(2, track_running_stats=False), "(aten.batch_norm) normalises by the batch"),
    "log softmax of channels": (nn.LogSoftmax(1), "(aten.log_softmax.int) is no log softmax over the classes"),
    "reflected edges": (nn.ReflectionPad2d(1), "(aten.pad) pads with something else than zeros"),
    "circular edges": (
        nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular"),
        "(aten.pad) pads with something else than zeros",
    ),
    "uneven edges": (nn.Conv2d(2, 2, 2, padding="same"), "(aten.conv2d.padding) pads the two sides differently"),
    "steep leak": (nn.LeakyReLU(1.5), "(aten.leaky_relu) has a slope outside [0, 1]"),
    "falling leak": (nn.LeakyReLU(-0.5), "(aten.leaky_relu) has a slope outside [0, 1]"),
    "ones at edges": (nn.ConstantPad2d(1, 1.0), "(aten.pad) pads with something else than zeros"),
    "negative divisor": (nn.AvgPool2d(2, divisor_override=-3), "(aten.avg_pool2d) divides by a number below 0"),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_is_named(name: str) -> None:
    layer, why = LAYERS[name]
    model = nn.Sequential(nn.Sequential(nn.ReLU(), randomise(layer)), nn.Flatten())
    assert refusal(model).startswith("layer '0.1' ")
    assert refusal(model).endswith(why)


@pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning")
def test_torchscript() -> None:
    script = torch.jit.trace(nn.Conv2d(2, 2, 3), images(1))
    assert refusal(script) == "the model is TorchScript"
    assert refusal(nn.Sequential(nn.ReLU(), script)) == "layer '1' is TorchScript"


def test_a_falling_prelu() -> None:
    assert refusal(nn.Sequential(nn.PReLU(init=-0.1))) == "layer '0' (aten.prelu) has a slope outside [0, 1]"


@pytest.mark.parametrize("layer", [nn.Dropout(), nn.Dropout2d()])
def test_dropout_in_train_mode(layer: nn.Module) -> None:
    assert refusal(nn.Sequential(layer.train())).endswith("is random")


def test_batch_norm_in_train_mode() -> None:
    assert refusal(nn.Sequential(nn.Conv2d(2, 2, 2), nn.BatchNorm2d(2)).train()).startswith("layer '1' ")


def _half(x: Tensor) -> Tensor:
    return x.half().relu().float()


def _autocast(x: Tensor) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        return functional.linear(x, torch.ones(2, 5)).float()


def _branch(x: Tensor) -> Tensor:
    return x.relu() if x.max() > 0.5 else -x


def _changed_under_another_name(x: Tensor) -> Tensor:
    z = x * 2
    flat = z.flatten(1)
    z.add_(1)
    return flat


def _changed_through_a_view(x: Tensor) -> Tensor:
    z = x * 2
    z[:, 0].mul_(3)
    return z


def _changed_behind_dropout(x: Tensor) -> Tensor:
    z = x - 0.5
    flat = z.flatten(1)
    return functional.relu_(functional.dropout(z, training=False)).flatten(1) + flat


def _filled(x: Tensor) -> Tensor:
    z = x * 1
    z[:, :, 2] = 0
    return z


def _into_zeros(x: Tensor) -> Tensor:
    z = torch.zeros(x.shape)
    z[:, 0] += x[:, 1]
    return z


MIXES = "mixes the images of a batch"
FUNCTIONS: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "index of the least": (lambda x: x.flatten(1).argmin(1, keepdim=True), "(aten.argmin) cannot be bounded"),
    "product of features": (lambda x: x * x.relu(), "multiplies two functions of the images"),
    "power": (lambda x: x**2, "(aten.pow.Tensor_Scalar) cannot be bounded"),
    "gate": (lambda x: x * (x > 0.5), "(aten.gt.Scalar) cannot be bounded"),
    "rounding": (lambda x: (x * 15).round() / 15, "(aten.round) cannot be bounded"),
    "division by features": (lambda x: x / (1 + x.sum(1, keepdim=True)), "divides by a function of the images"),
    "inverse": (lambda x: 1 / (1 + x), "(aten.reciprocal) cannot be bounded"),
    "attention": (
        lambda x: functional.scaled_dot_product_attention(*[x.flatten(2)] * 3),
        "(aten.scaled_dot_product_attention) cannot be bounded",
    ),
    "product with itself": (lambda x: x @ x.transpose(2, 3), "is no product of images with a fixed matrix"),
    "weights of the images": (lambda x: functional.linear(torch.ones(13, 60), x.flatten(1)), "depend on the images"),
    "kernels of the images": (
        lambda x: functional.conv2d(torch.ones(13, 2, 6, 6), x[:, :, :2, :2]),
        "has weights that depend on the images",
    ),
    "norm of the images": (
        lambda x: functional.batch_norm(torch.ones(13, 5), x.mean((0, 1, 2)), torch.ones(5)),
        MIXES,
    ),
    "mean of the batch": (lambda x: x - x.mean(0), MIXES),
    "mean of the batch, kept": (lambda x: x - x.mean(0, keepdim=True), MIXES),
    "mean of everything": (lambda x: x - x.mean(), MIXES),
    "neighbours": (lambda x: x.flatten(1) @ x.flatten(1).t(), "(aten.t) cannot be bounded"),
    "images exchanged": (lambda x: x.flip(0), "(aten.flip) cannot be bounded"),
    "images rolled": (lambda x: torch.cat([x[1:], x[:1]]), MIXES),
    "images side by side": (lambda x: x.permute(1, 0, 2, 3), MIXES),
    "two images as one": (lambda x: x.reshape(1, -1, 5), MIXES),
    "the first image": (lambda x: x + x[:1], MIXES),
    "the first two images": (lambda x: x[:2], MIXES),
    "every second image": (lambda x: x[::2], MIXES),
    "a constant for each image": (
        lambda x: x * torch.arange(13.0).view(13, 1, 1, 1),
        "treats the images of a batch differently",
    ),
    "a constant larger than the image": (
        lambda x: x[:, :1] + torch.ones(4, 1, 1),
        "has a constant that is larger than its input",
    ),
    "constants beside features": (
        lambda x: torch.cat([x, torch.ones(x.shape)], 1),
        "joins the images' features with constants",
    ),
    "clamp between tensors": (lambda x: x.clamp(torch.tensor(0.2), torch.tensor(0.7)), "clamps to a tensor"),
    "float16": (_half, "(aten.to.dtype) does not compute in float32"),
    "float64": (lambda x: x.double().relu().float(), "(aten.to.dtype) does not compute in float32"),
    "autocast": (_autocast, "(wrap_with_autocast) cannot be bounded"),
    "noise": (lambda x: x + torch.randn(5), "(aten.randn) is random"),
    "noise like the image": (lambda x: x + torch.randn_like(x), "(aten.randn_like) cannot be bounded"),
    "a random channel": (lambda x: x * torch.bernoulli(torch.ones(2, 1, 1) / 2), "(aten.bernoulli) is random"),
    "item": (lambda x: x * x.max().item(), "(aten.max) cannot be bounded"),
    "branch on a value": (_branch, "the model's forward decides by the values of the images"),
    "log softmax before the end": (lambda x: -x.flatten(1).log_softmax(1), "(aten.log_softmax) is not the last"),
    "change under another name": (_changed_under_another_name, "changes in place what is used elsewhere"),
    "change through a view": (_changed_through_a_view, "changes in place what is used elsewhere"),
    "change behind dropout": (_changed_behind_dropout, "changes in place what is used elsewhere"),
    "filled rows": (_filled, "changes in place what is used elsewhere"),
    "added into zeros": (_into_zeros, "changes in place what is used elsewhere"),
    "no output": (lambda _: None, "does not depend on the images"),  # type: ignore[arg-type,return-value]
    "constant output": (lambda _: torch.ones(13, 2), "does not depend on the images"),
    "two outputs": (lambda x: (x, x.relu()), "the model has 2 outputs"),  # type: ignore[arg-type,return-value]
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_forward_is_refused(name: str) -> None:
    function, why = FUNCTIONS[name]
    assert why in refusal(Network(function))


class Counter(nn.Module):
    """It counts its calls, and adds the count."""

    calls: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls.add_(1)
        return x * self.calls


def test_a_model_that_changes_its_tensors_is_refused_and_left_as_it_was() -> None:
    model = Counter()
    assert refusal(model) == "the model's forward (aten.add_.Tensor) changes a tensor of the model"
    assert model.calls == 0


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("branch on a value", "item", "gate"):
        refusal(Network(FUNCTIONS[name][0]))
    assert capfd.readouterr() == ("", "")
