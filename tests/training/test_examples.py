"""How training makes its examples, held against NumPy transcriptions of the papers."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from advtool import models
from advtool.checkpoints import Architecture
from advtool.models.noise import with_pnil
from advtool.threat import ThreatModel
from advtool.training import EXAMPLES
from advtool.training.examples import craft
from advtool.training.gradients import input_gradient
from tests.support.trainings import batch, draws

EPS = 0.2
SHAPE = (6, 1, 2, 3)


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

    def check(self, kind: str, expected: np.ndarray, **settings: Any) -> None:
        x_adv = craft(
            self.model, self.x, self.y, kind, threat_model=ThreatModel(eps=EPS), generator=draws(), **settings
        )
        np.testing.assert_allclose(x_adv.numpy().reshape(6, 6), expected, rtol=0, atol=1e-14)


@pytest.fixture
def numpy_model() -> Transcription:
    torch.manual_seed(0)
    return Transcription()


def test_fgsm(numpy_model: Transcription) -> None:
    x = numpy_model.flat
    numpy_model.check("fgsm", np.clip(x + EPS * numpy_model.sign(x), 0, 1))


@pytest.mark.parametrize("step", [None, 0.05])
def test_r_fgsm_takes_a_step_of_random_signs_first(numpy_model: Transcription, step: float | None) -> None:
    a = step or EPS / 2
    x_start = numpy_model.flat + (EPS - a) * np.sign(numpy_model.uniform(1.0))
    numpy_model.check("r+fgsm", np.clip(x_start + a * numpy_model.sign(x_start), 0, 1), step_size=step)


@pytest.mark.parametrize("step", [None, 0.05])
def test_rfgsm_is_projected(numpy_model: Transcription, step: float | None) -> None:
    x_start = numpy_model.flat + numpy_model.uniform(EPS)
    x_adv = x_start + (step or 1.2 * EPS) * numpy_model.sign(x_start)
    numpy_model.check("rfgsm", numpy_model.project(x_adv), step_size=step)


@pytest.mark.parametrize("step", [None, 0.05])
def test_nfgsm_is_algorithm_1(numpy_model: Transcription, step: float | None) -> None:
    X_bn = numpy_model.flat + numpy_model.uniform(EPS)
    x_adv = X_bn + (step or EPS) * numpy_model.sign(X_bn)
    assert np.abs(x_adv - numpy_model.flat).max() > EPS
    assert x_adv.min() < 0
    numpy_model.check("nfgsm", x_adv, step_size=step)
    numpy_model.check("nfgsm", np.clip(x_adv, 0, 1), step_size=step, clip=True)


@pytest.mark.parametrize(("steps", "step"), [(10, None), (7, None), (3, 0.1)])
def test_pgd(numpy_model: Transcription, steps: int, step: float | None) -> None:
    x_adv = np.clip(numpy_model.flat + numpy_model.uniform(EPS), 0, 1)
    for _ in range(steps):
        x_adv = numpy_model.project(x_adv + (step or 2.5 * EPS / steps) * numpy_model.sign(x_adv))
    numpy_model.check("pgd", x_adv, steps=steps, step_size=step)


def test_the_gradients_of_l_passes_are_summed() -> None:
    torch.manual_seed(0)
    model = with_pnil(nn.Sequential(nn.Flatten(), nn.Linear(6, 4)), (1, 2, 3))
    x, y = batch(SHAPE, classes=4)
    torch.manual_seed(1)
    given = input_gradient(model, x, y, eot=3)
    torch.manual_seed(1)
    passes = []
    for _ in range(3):
        leaf = x.clone().requires_grad_()
        nn.CrossEntropyLoss(reduction="sum")(model(leaf), y).backward()
        passes.append(leaf.grad)
    assert not torch.allclose(passes[0], passes[1])
    torch.testing.assert_close(given, passes[0] + passes[1] + passes[2])


@pytest.mark.parametrize("kind", sorted(EXAMPLES))
@pytest.mark.parametrize("mode", [True, False])
def test_statistics_gradients_and_mode_stay(kind: str, mode: bool) -> None:
    model = models.build(Architecture(name="resnet11", input_shape=(3, 8, 8), classes=3)).train(mode)
    x, y = batch((4, 3, 8, 8), classes=3)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    x_adv = craft(model, x, y, kind, threat_model=ThreatModel(eps=0.1), generator=draws(), eot=2)
    assert not x_adv.requires_grad
    assert not torch.equal(x_adv, x)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert model.training is mode
    model.train()(x)  # and the next training step counts again
    assert not torch.equal(model.norm.running_mean, before["norm.running_mean"])


def test_gradient_in_training_mode_is_that_of_batch_normalised_training() -> None:
    model = models.build(Architecture(name="resnet11", input_shape=(3, 8, 8), classes=3)).train()
    x, y = batch((4, 3, 8, 8), classes=3)
    given = input_gradient(model, x, y)
    x.requires_grad_()
    nn.CrossEntropyLoss(reduction="sum")(model(x), y).backward()
    torch.testing.assert_close(given, x.grad)
    assert not torch.allclose(input_gradient(model.eval(), x, y), given)
