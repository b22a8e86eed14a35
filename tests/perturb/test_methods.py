"""The methods, held against NumPy transcriptions of the papers and against laws."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import advtool
from advtool import perturb
from advtool.errors import InputError
from tests.support.models import mlp
from tests.support.trainings import batch, draws

EPS = 0.2
SHAPE = (6, 1, 2, 3)
METHODS: dict[str, Callable[..., Tensor]] = {
    name: getattr(perturb, name) for name in ("fgsm", "r_fgsm", "rfgsm", "nfgsm", "pgd")
}


class Transcription:
    """A linear classifier in NumPy: its cross entropy's gradient, and the noise that a generator draws."""

    def __init__(self) -> None:
        self.linear = nn.Linear(6, 4).double()
        self.model = nn.Sequential(nn.Flatten(), self.linear)
        x, self.y = batch(SHAPE, classes=4)
        self.x = x.double()
        self.flat = self.x.numpy().reshape(6, 6)

    def sign(self, x: np.ndarray) -> np.ndarray:
        W, b = (parameter.detach().numpy() for parameter in (self.linear.weight, self.linear.bias))
        exponentials = np.exp(x @ W.T + b)
        softmax = exponentials / exponentials.sum(axis=1, keepdims=True)
        return np.sign((softmax - np.eye(4)[self.y.numpy()]) @ W)

    def uniform(self, size: float) -> np.ndarray:
        noise = torch.empty(SHAPE, dtype=torch.float64).uniform_(-size, size, generator=draws())
        return noise.numpy().reshape(6, 6)

    def project(self, x_adv: np.ndarray) -> np.ndarray:
        return np.clip(np.clip(x_adv, self.flat - EPS, self.flat + EPS), 0, 1)

    def check(self, method: Callable[..., Tensor], expected: np.ndarray, **arguments: Any) -> None:
        x_adv = method(self.model, self.x, self.y, eps=EPS, generator=draws(), **arguments)
        np.testing.assert_allclose(x_adv.numpy().reshape(6, 6), expected, rtol=0, atol=1e-14)


@pytest.fixture
def numpy_model() -> Transcription:
    torch.manual_seed(0)
    return Transcription()


def test_fgsm(numpy_model: Transcription) -> None:
    x = numpy_model.flat
    numpy_model.check(perturb.fgsm, np.clip(x + EPS * numpy_model.sign(x), 0, 1))


@pytest.mark.parametrize("step", [None, 0.05])
def test_r_fgsm_takes_a_step_of_random_signs_first(numpy_model: Transcription, step: float | None) -> None:
    a = step or EPS / 2
    x_s = numpy_model.flat + (EPS - a) * np.sign(numpy_model.uniform(1.0))
    numpy_model.check(perturb.r_fgsm, np.clip(x_s + a * numpy_model.sign(x_s), 0, 1), step_size=step)


@pytest.mark.parametrize("step", [None, 0.05])
def test_rfgsm_is_projected(numpy_model: Transcription, step: float | None) -> None:
    x_s = numpy_model.flat + numpy_model.uniform(EPS)
    x_adv = x_s + (step or 1.2 * EPS) * numpy_model.sign(x_s)
    numpy_model.check(perturb.rfgsm, numpy_model.project(x_adv), step_size=step)


@pytest.mark.parametrize("step", [None, 0.05])
def test_nfgsm_is_algorithm_1(numpy_model: Transcription, step: float | None) -> None:
    X_bn = numpy_model.flat + numpy_model.uniform(EPS)
    x_adv = X_bn + (step or EPS) * numpy_model.sign(X_bn)
    assert np.abs(x_adv - numpy_model.flat).max() > EPS
    assert x_adv.min() < 0
    numpy_model.check(perturb.nfgsm, np.clip(x_adv, 0, 1), step_size=step)
    numpy_model.check(perturb.nfgsm, x_adv, step_size=step, clip=False)


@pytest.mark.parametrize(("steps", "step"), [(10, None), (7, None), (3, 0.1)])
def test_pgd(numpy_model: Transcription, steps: int, step: float | None) -> None:
    x_adv = np.clip(numpy_model.flat + numpy_model.uniform(EPS), 0, 1)
    for _ in range(steps):
        x_adv = numpy_model.project(x_adv + (step or 2.5 * EPS / steps) * numpy_model.sign(x_adv))
    numpy_model.check(perturb.pgd, x_adv, steps=steps, step_size=step)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@settings(max_examples=20)
@given(eps=st.floats(0.001, 1.0), seed=st.integers(0, 1000), black_and_white=st.booleans())
def test_examples_are_in_the_ball_and_in_range_and_repeat(
    method: Callable[..., Tensor], eps: float, seed: int, black_and_white: bool
) -> None:
    model, stream = mlp(seed=seed), torch.Generator().manual_seed(seed)
    x = torch.rand(5, 1, 4, 4, generator=stream)
    x, y = (x.round() if black_and_white else x), torch.randint(4, (5,), generator=stream)
    x_adv, again = (method(model, x, y, eps=eps, generator=torch.Generator().manual_seed(seed)) for _ in range(2))
    assert torch.equal(x_adv, again)
    assert x_adv.min() >= 0
    assert x_adv.max() <= 1
    radius = 2 * eps if method is perturb.nfgsm else eps
    assert advtool.ThreatModel(eps=min(radius, 1.0)).contains(x_adv, x).all()


def test_examples_have_a_higher_loss_than_the_images() -> None:
    model, (x, y) = mlp(), batch((64, 1, 4, 4), classes=4)
    clean = nn.functional.cross_entropy(model(x), y)
    for name, method in METHODS.items():
        x_adv = method(model, x, y, eps=0.1, generator=draws())
        assert nn.functional.cross_entropy(model(x_adv), y) > clean + 0.1, name


def test_without_a_generator_torchs_global_one_draws() -> None:
    model, (x, y) = mlp(), batch((8, 1, 4, 4), classes=4)
    torch.manual_seed(5)
    first, second = perturb.nfgsm(model, x, y), perturb.nfgsm(model, x, y)
    torch.manual_seed(5)
    assert torch.equal(perturb.nfgsm(model, x, y), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_left_as_it_was(method: Callable[..., Tensor], training: bool) -> None:
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Dropout(), nn.Flatten(), nn.Linear(12, 4))
    x, y = batch((8, 1, 4, 4), classes=4)
    nn.functional.cross_entropy(model(x), y).backward()
    model[0].bias.requires_grad_(False)
    model.train(training)[2].eval()
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    gradients = [parameter.grad.clone() for parameter in model.parameters()]
    images = x.clone().requires_grad_()
    x_adv = method(model, images, y, eot=2)
    assert not x_adv.requires_grad
    assert images.grad is None
    assert torch.equal(images, x)
    assert [parameter.requires_grad for parameter in model.parameters()] == [True, False] + [True] * 4
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    pairs = zip(model.parameters(), gradients, strict=True)
    assert all(torch.equal(parameter.grad, gradient) for parameter, gradient in pairs)
    assert [module.training for module in model] == [training, training, False, training, training]
    assert model.training is training
    model.train()(x)  # and the next training step counts again
    assert not torch.equal(model[1].running_mean, state["1.running_mean"])


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_it_works_where_gradients_are_off(context: Callable[[], Any]) -> None:
    """Lightning validates in inference mode."""
    model, (x, y) = mlp(), batch((8, 1, 4, 4), classes=4)
    expected = perturb.pgd(model, x, y, generator=draws())
    with context():
        made_here = perturb.pgd(model, x * 1.0, y + 0, generator=draws())
        assert model(made_here).shape == (8, 4)
    assert torch.equal(made_here, expected)
    model(made_here).sum().backward()  # it is no inference tensor


def test_under_autocast_the_model_computes_in_bfloat16_and_examples_stay_float32() -> None:
    model, (x, y) = mlp(), batch((64, 1, 4, 4), classes=4)
    seen: list[torch.dtype] = []
    model[1].register_forward_hook(lambda _, __, output: seen.append(output.dtype))
    expected = perturb.fgsm(model, x, y)
    with torch.autocast("cpu", torch.bfloat16):
        x_adv = perturb.fgsm(model, x, y)
        nn.functional.cross_entropy(model(x_adv), y).backward()
    assert seen == [torch.float32, torch.bfloat16, torch.bfloat16]
    assert x_adv.dtype == torch.float32
    assert advtool.ThreatModel(eps=8 / 255).contains(x_adv, x).all()
    assert (x_adv == expected).float().mean() > 0.95
    assert all(parameter.grad is not None for parameter in model.parameters())


class Detached(nn.Module):
    """Cuts its answer off from the images; the logits may need a gradient for another reason."""

    def __init__(self, other: Tensor) -> None:
        super().__init__()
        self.model, self.other = mlp(), other

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x).detach() + self.other


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "half": (
        {"images": torch.rand(4, 1, 4, 4).half()},
        r"must be float32 in \[0, 1\], not float16: give images.float\(",
    ),
    "bfloat16": ({"images": torch.rand(4, 1, 4, 4).bfloat16()}, "not bfloat16: give images.float"),
    "bytes": ({"images": torch.zeros(4, 1, 4, 4, dtype=torch.uint8)}, r"not uint8: give images.float\(\) / 255"),
    "normalised": ({"images": torch.randn(4, 1, 4, 4)}, r"must lie in \[0, 1\], these span .*normalisation inside"),
    "NaN": ({"images": torch.full((4, 1, 4, 4), torch.nan)}, "hold NaN"),
    "array": ({"images": np.zeros((4, 1, 4, 4), np.float32)}, "images must be a tensor, not ndarray"),
    "nothing": ({"images": torch.rand(0, 1, 4, 4)}, "there are none"),
    "a number": ({"images": torch.tensor(1.0)}, r"must be \(N, ...\), not a single number"),
    "meta": ({"images": torch.empty(4, 1, 4, 4, device="meta")}, "on 'meta', which holds no values"),
    "one-hot": ({"labels": torch.eye(4)}, r"labels must be class indices, integers \(4,\), not float32 \(4, 4\)"),
    "too few labels": ({"labels": torch.tensor([1])}, r"integers \(4,\), not int64 \(1,\)"),
    "label 12": ({"labels": torch.tensor([0, 1, 2, 12])}, "labels must lie in 0 to 3, .*: these span 0 to 12"),
    "label -100": ({"labels": torch.tensor([0, 1, 2, -100])}, "labels must lie in 0 to 3, .*: these span -100 to 2"),
    "no model": ({"model": "net"}, "model='net' must be an nn.Module"),
    "no logits": ({"model": nn.Identity()}, r"must answer with logits \(4, classes\), not with \(4, 1, 4, 4\)"),
    "no gradient": ({"model": Detached(torch.zeros(4))}, "logits have no gradient to the images: .* not detach them"),
    "a gradient elsewhere": ({"model": Detached(torch.zeros(4, requires_grad=True))}, "no gradient to the images"),
    "eps": ({"eps": 8}, r"eps=8 is no number in \(0, 1\].*8/255"),
    "step size": ({"step_size": 0}, r"step_size=0 must lie in \(0, 1\]"),
    "steps": ({"steps": 0}, "steps=0 must be an integer of at least 1"),
    "eot": ({"eot": 1.5}, "eot=1.5 must be an integer"),
    "seed": ({"generator": 7}, "generator=7 must be a torch.Generator on 'cpu', or None"),
}


@pytest.mark.parametrize(("arguments", "message"), WRONG.values(), ids=WRONG)
def test_wrong_arguments_are_refused_in_one_line(arguments: dict[str, Any], message: str) -> None:
    right = {"model": mlp(), "images": torch.rand(4, 1, 4, 4), "labels": torch.arange(4)}
    with pytest.raises(InputError, match=message) as error:
        perturb.pgd(**right | arguments)
    assert "\n" not in str(error.value)


def test_clip_is_true_or_false() -> None:
    with pytest.raises(InputError, match=r"clip=.* must be True or False"):
        perturb.nfgsm(mlp(), torch.rand(4, 1, 4, 4), torch.arange(4), clip=torch.ones(2))  # type: ignore[arg-type]


def test_a_plain_import_reaches_perturb_without_waiting_for_art() -> None:
    script = "import advtool, sys; advtool.perturb.nfgsm; sys.exit(bool({'art', 'sklearn'} & sys.modules.keys()))"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_a_model_made_in_inference_mode_is_refused() -> None:
    with torch.inference_mode():
        model = nn.Sequential(nn.Flatten(), nn.Linear(16, 4))
    with pytest.raises(InputError, match=r"made under torch.inference_mode and has no gradients: make it outside"):
        perturb.fgsm(model, torch.rand(4, 1, 4, 4), torch.arange(4))


def test_r_fgsm_refuses_a_step_beyond_eps() -> None:
    with pytest.raises(InputError, match=r"step_size=0.2 must be at most eps=0.1"):
        perturb.r_fgsm(mlp(), torch.rand(4, 1, 4, 4), torch.arange(4), eps=0.1, step_size=0.2)
    with pytest.raises(TypeError, match="unexpected keyword argument 'step_size'"):
        perturb.fgsm(mlp(), torch.rand(4, 1, 4, 4), torch.arange(4), step_size=0.2)
