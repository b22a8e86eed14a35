"""PNIL against equations 2 and 3, its places in a model, its way through a checkpoint, its plot."""

import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

import advtool
from advtool import checkpoints, models
from advtool.checkpoints import Architecture, Header
from advtool.errors import InputError
from advtool.models.noise import PNIL, maps, noise_levels, with_pnil
from advtool.report import plots, pnil_plot
from advtool.target import probing
from advtool.target.facts import Randomness
from advtool.threat import ThreatModel

MNIST = (1, 28, 28)
CIFAR = (3, 32, 32)
DRAWS = 20_000


def layer_with_values(shape: tuple[int, ...] = (2, 2, 3), dtype: torch.dtype = torch.float32) -> PNIL:
    """W in [-2, 2], B in [-4, -1]: variances from 0.002 to 3 for pixels in [0, 1]."""
    generator = torch.Generator().manual_seed(0)
    layer = PNIL(shape).to(dtype)
    with torch.no_grad():
        layer.W.uniform_(-2, 2, generator=generator)
        layer.B.uniform_(-4, -1, generator=generator)
    return layer


def picture(shape: tuple[int, ...] = (2, 2, 3), seed: int = 1) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def architecture(name: str = "cnn", shape: tuple[int, int, int] = MNIST, **options: object) -> Architecture:
    return Architecture(name=name, input_shape=shape, classes=10, options=options)


def draw(model: nn.Module, x: Tensor, seed: int = 0) -> Tensor:
    torch.manual_seed(seed)
    return model(x)


# Equations 2 and 3


def test_by_hand_the_variance_is_the_exponential_of_x_w_plus_b() -> None:
    layer = PNIL((1, 1, 2))
    with torch.no_grad():
        layer.W.copy_(torch.tensor([[[4.0, -2.0]]]))
        layer.B.copy_(torch.tensor([[[-4.0, 1.0]]]))
    x = torch.tensor([[[[0.5, 0.5]]], [[[1.0, 0.0]]]])
    assert layer.sigma(x).flatten(1).tolist() == [[-2.0, 0.0], [0.0, 1.0]]
    torch.testing.assert_close(layer.variance(x).flatten(1), torch.tensor([[np.exp(-2), 1], [1, np.e]]).float())
    torch.manual_seed(7)
    noise = torch.randn(2, 1, 1, 2)
    deviation = torch.tensor([[np.exp(-1), 1], [1, np.exp(0.5)]]).float().view(2, 1, 1, 2)
    torch.testing.assert_close(draw(layer, x, seed=7), x + noise * deviation)


@pytest.mark.parametrize("shape", [8, None, (8, 8), (0, 8, 8), (1.0, 8, 8), "abc", {1, 8, 9}])
def test_what_is_no_shape_of_an_image_is_refused(shape: Any) -> None:
    for make in (with_pnil, partial(advtool.EOTClassifier, classes=2)):
        with pytest.raises(InputError, match=r"^input_shape=.* must be \(C, H, W\), three integers of at least 1"):
            make(nn.Flatten(), input_shape=shape)


def test_it_starts_with_w_0_and_b_minus_4() -> None:
    layer = PNIL(CIFAR)
    assert layer.W.shape == layer.B.shape == CIFAR
    assert layer.W.unique().tolist() == [0.0]
    assert layer.B.unique().tolist() == [-4.0]


def test_mean_and_variance_of_every_pixel_over_20000_draws() -> None:
    layer, x = layer_with_values(), picture()
    with torch.no_grad():
        drawn = draw(layer, x.expand(DRAWS, *x.shape)).double()
    variance = np.exp((x.numpy() * layer.W.detach().numpy() + layer.B.detach().numpy()).astype(float))
    # Five standard errors: of a mean sqrt(v / n), of a Gaussian's variance v sqrt(2 / (n - 1)).
    mean_error = np.abs(drawn.mean(0).numpy() - x.numpy())
    variance_error = np.abs(drawn.var(0).numpy() - variance)
    assert (mean_error < 5 * np.sqrt(variance / DRAWS)).all()
    assert (variance_error < 5 * variance * np.sqrt(2 / (DRAWS - 1))).all()


def test_noise_is_independent_from_pixel_to_pixel_and_from_image_to_image() -> None:
    layer, x = layer_with_values(), picture()
    noise = (draw(layer, x.expand(DRAWS, *x.shape)) - x).detach().flatten(1).T
    pixels = torch.corrcoef(noise) - torch.eye(len(noise))
    neighbours = torch.corrcoef(torch.stack([noise[0, :-1], noise[0, 1:]]))[0, 1]
    assert pixels.abs().max() < 5 / DRAWS**0.5
    assert neighbours.abs() < 5 / DRAWS**0.5


def test_gradients_against_finite_differences_with_the_noise_held_fixed() -> None:
    layer = layer_with_values(dtype=torch.float64)
    x = picture((4, 2, 2, 3)).double().requires_grad_()

    def output(W: Tensor, B: Tensor, x: Tensor) -> Tensor:
        torch.manual_seed(3)
        return functional_call(layer, {"W": W, "B": B}, x)

    assert torch.autograd.gradcheck(output, (layer.W, layer.B, x), eps=1e-6, atol=1e-7)


def test_eval_mode_is_random_too_and_a_seed_repeats_it() -> None:
    layer, x = layer_with_values().eval(), picture()[None]
    assert not torch.equal(layer(x), layer(x))
    assert torch.equal(draw(layer, x), draw(layer, x))
    assert torch.equal(draw(layer, x), draw(layer.train(), x))
    assert not torch.equal(draw(layer, x, seed=0), draw(layer, x, seed=1))


def test_the_draws_do_not_depend_on_the_memory_layout() -> None:
    layer, x = layer_with_values(), picture((5, 2, 2, 3))
    assert torch.equal(draw(layer, x), draw(layer, x.to(memory_format=torch.channels_last)))


def test_the_output_is_not_clipped() -> None:
    output = draw(PNIL(MNIST), torch.zeros(2, *MNIST))
    assert output.min() < 0 < output.max()


def test_inputs_that_only_broadcasting_would_fit_are_refused() -> None:
    with pytest.raises(InputError, match="inputs 1x28x28, not 3x28x28"):
        PNIL(MNIST)(torch.zeros(2, 3, 28, 28))


# In front of a model and inside


def test_with_pnil_copies_and_puts_the_noise_in_front() -> None:
    model = models.build(architecture()).eval()
    tensors = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    noisy = with_pnil(model, MNIST)
    assert list(noisy.state_dict()) == ["pnil.W", "pnil.B", *(f"inner.{name}" for name in tensors)]
    assert not noisy.training
    x = picture((3, *MNIST))
    torch.manual_seed(5)
    assert torch.equal(draw(noisy, x, seed=5), model(draw(PNIL(MNIST), x, seed=5)))
    with torch.no_grad():
        for parameter in noisy.parameters():
            parameter.add_(1)
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in tensors.items())


def test_layers_keep_the_modes_that_they_had() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Dropout().eval(), nn.Linear(4, 2))
    noisy = with_pnil(model, (1, 2, 2), at=["2"])
    assert noisy.training
    assert not noisy.inner[1].training
    assert noisy.inner[2].inner.training


def test_a_model_of_double_precision_gets_a_pnil_of_double_precision() -> None:
    assert with_pnil(nn.Linear(3, 2).double(), (1, 1, 3)).pnil.W.dtype == torch.float64


def test_further_pnils_have_the_shape_of_their_layers_inputs() -> None:
    noisy = with_pnil(models.build(architecture()), MNIST, at=["conv2", "linear"])
    places = {name: tuple(layer.W.shape) for name, layer in noisy.named_modules() if isinstance(layer, PNIL)}
    assert places == {"pnil": MNIST, "inner.conv2.pnil": (16, 14, 14), "inner.linear.pnil": (1568,)}
    x = picture((3, *MNIST))
    with torch.no_grad():
        for name in places:
            noisy.get_submodule(name).B.fill_(-200)  # no noise that float32 could show
        model = noisy.inner
        by_hand = model.conv2.inner(model.relu1(model.conv1(x)))
        assert torch.equal(noisy(x), model.linear.inner(model.flatten(model.relu2(by_hand))))
        model.linear.pnil.B.fill_(0)
        assert not torch.equal(noisy(x), noisy(x))


def test_places_may_lie_within_each_other_and_the_dry_run_leaves_batch_norm_alone() -> None:
    model = models.build(architecture("resnet11", CIFAR))
    noisy = with_pnil(model, CIFAR, at=["block2", "block2.norm2", "block2"])
    places = [name for name, layer in noisy.named_modules() if isinstance(layer, PNIL)]
    assert places == ["pnil", "inner.block2.pnil", "inner.block2.inner.norm2.pnil"]
    assert model.norm.num_batches_tracked == noisy.inner.norm.num_batches_tracked == 0
    assert noisy(torch.zeros(2, *CIFAR)).shape == (2, 10)


class Odd(nn.Module):
    """``twice`` sees two shapes, ``never`` nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.twice, self.never, self.flatten = nn.ReLU(), nn.ReLU(), nn.Flatten()

    def forward(self, x: Tensor) -> Tensor:
        return self.twice(self.flatten(self.twice(x)))


@pytest.mark.parametrize(
    ("model", "at", "message"),
    [
        (models.build(architecture()), ["con2"], r"^the model has no layer 'con2' .* \(did you mean 'conv2'\?\)"),
        (Odd(), ["twice"], r"^the layer 'twice'.*one input, always of the same shape"),
        (Odd(), ["never"], r"does not run the layer 'never'"),
        ("net", [], r"^model='net' must be an nn.Module"),
        (Odd(), "twice", r"^at='twice' must be a list"),
        (Odd(), [0], r"^the model has no layer 0 "),
        (models.build(architecture("cnn", CIFAR)), ["conv2"], r"does not take images 1x28x28"),
    ],
)
def test_places_that_cannot_be_are_refused(model: nn.Module, at: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        with_pnil(model, MNIST, at=at)


def test_the_evaluator_sees_that_each_image_has_noise_of_its_own() -> None:
    model = models.build(architecture(pnil=[""])).eval()
    assert probing.randomness(model, picture((8, *MNIST))) is Randomness.each_image


# Checkpoints


@pytest.mark.parametrize("places", [[""], ["", "conv2", "linear"]])
def test_a_checkpoint_brings_the_noisy_model_back(places: list[str], tmp_path: Path) -> None:
    described = architecture(pnil=places)
    model = models.build(described)
    with torch.no_grad():
        model.pnil.B.copy_(torch.linspace(-6, -2, 784).view(MNIST))
        model.pnil.W.fill_(0.5)
    path = tmp_path / "model.safetensors"
    checkpoints.write(path, header(described), model.state_dict())
    loaded = models.load_checkpoint(path)
    assert not loaded.training
    assert sum(isinstance(layer, PNIL) for layer in loaded.modules()) == len(places)
    x = picture((3, *MNIST))
    assert torch.equal(draw(loaded, x), draw(model.eval(), x))
    assert not torch.equal(draw(loaded, x, seed=0), draw(loaded, x, seed=1))


def header(described: Architecture) -> Header:
    return Header(
        architecture=described,
        dataset="mnist",
        recipe={"name": "nfgsm"},
        threat_model=ThreatModel(eps=0.3),
        seed=0,
        date=datetime(2026, 1, 2, tzinfo=UTC),
        versions={},
        metrics={},
    )


@pytest.mark.parametrize("value", [None, True, 3, "", [], ["conv2"], ["", 3], {"": 1}, [["", "conv2"]]])
def test_option_values_that_are_not_such_a_list_are_refused(value: object) -> None:
    with pytest.raises(InputError, match="'pnil' lists layers and begins with ''"):
        models.build(architecture(pnil=value))


def test_an_option_with_an_unknown_layer_or_beside_an_unknown_one_is_refused() -> None:
    with pytest.raises(InputError, match="'conv9'"):
        models.build(architecture(pnil=["", "conv9"]))
    with pytest.raises(InputError, match="no option 'width'"):
        models.build(architecture(pnil=[""], width=2))


# What a PNIL has learned


def test_noise_levels_of_centre_and_border() -> None:
    layer = PNIL((1, 4, 8))
    with torch.no_grad():
        layer.B.fill_(2 * np.log(0.5))  # border: 0.5
        layer.B[:, 1:3, 2:6] = 2 * np.log(0.125)  # centre of a black image: 0.125
        layer.W[:, 1:3, 2:6] = 2 * np.log(2)  # of a white one: 0.25
    images = torch.stack([torch.zeros(1, 4, 8), torch.ones(1, 4, 8)])
    levels = noise_levels(layer, images)
    assert levels.border == pytest.approx(0.5)
    assert levels.centre == pytest.approx((0.125 + 0.25) / 2)


def test_noise_levels_need_images() -> None:
    with pytest.raises(InputError, match="not of inputs 1568"):
        noise_levels(PNIL((1568,)), torch.zeros(2, 1568))
    with pytest.raises(InputError, match="not of inputs 1x3x9"):
        noise_levels(PNIL((1, 3, 9)), torch.zeros(2, 1, 3, 9))


def test_maps_are_those_of_the_equations() -> None:
    layer, x = layer_with_values(), picture()
    torch.manual_seed(2)
    shown = maps(layer, x)
    assert torch.equal(shown.X, x)
    assert torch.equal(shown.W, layer.W)
    assert torch.equal(shown.B, layer.B)
    torch.testing.assert_close(shown.variance, torch.exp(x * layer.W + layer.B).detach())
    assert torch.equal(shown.Y, draw(layer, x[None], seed=2)[0])
    assert not any(values.requires_grad for values in shown)


# Its plot

SIGNATURES = {"png": b"\x89PNG\r\n\x1a\n", "svg": b"<?xml", "pdf": b"%PDF"}


@pytest.mark.parametrize("suffix", SIGNATURES)
def test_the_suffix_says_the_type_of_the_file(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / "new folder" / f"plot.{suffix}"
    plots.save(pnil_plot.figure(**maps(PNIL((1, 8, 8)), picture((1, 8, 8)))._asdict()), path)
    assert path.read_bytes().startswith(SIGNATURES[suffix])


@pytest.mark.parametrize(("channels", "panels"), [(1, 5), (3, 11)])
def test_panels_and_what_they_show(channels: int, panels: int) -> None:
    shape = (channels, 8, 8)
    shown = maps(layer_with_values(shape), picture(shape))
    drawn = [axes for axes in pnil_plot.figure(**shown._asdict()).axes if axes.get_images()]
    by_title = {axes.get_title(): axes.get_images()[0].get_array() for axes in drawn}
    assert len(by_title) == panels
    np.testing.assert_allclose(by_title["input X"], shown.X.permute(1, 2, 0).squeeze(2))
    np.testing.assert_allclose(by_title["output Y"], shown.Y.clamp(0, 1).permute(1, 2, 0).squeeze(2))
    for name, title in {"B": "B", "W": "W", "variance": "variance"}.items():
        for index, channel in enumerate([""] if channels == 1 else [", red", ", green", ", blue"]):
            np.testing.assert_allclose(by_title[title + channel], getattr(shown, name)[index])


@pytest.mark.parametrize(
    ("name", "channels", "message"),
    [("plot.jpg", 1, r"\.png, \.svg or \.pdf"), ("plot", 1, r"\.png"), ("plot.png", 2, "1 or 3 channels.*not of 2")],
)
def test_what_cannot_be_drawn_is_refused(name: str, channels: int, message: str, tmp_path: Path) -> None:
    shape = (channels, 8, 8)
    with pytest.raises(InputError, match=message):
        plots.save(pnil_plot.figure(**maps(PNIL(shape), picture(shape))._asdict()), tmp_path / name)


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    shown: dict[str, Any] = maps(PNIL((1, 8, 8)), picture((1, 8, 8)))._asdict()
    with pytest.raises(InputError, match=r"pip install 'advtool\[plots\]'"):
        plots.save(pnil_plot.figure(**shown), tmp_path / "plot.png")


def test_the_package_exports_both() -> None:
    assert (advtool.with_pnil, advtool.PNIL) == (with_pnil, PNIL)
