"""The target as ART's classifier: what it finds out about a model, what it leaves alone, and what ART's attacks ask."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from art.attacks.evasion import AutoProjectedGradientDescent, DeepFool
from art.estimators.classification import PyTorchClassifier
from torch import Tensor, nn

import advtool
from advtool.attacks import PGD
from advtool.attacks.art_classifier import EOTClassifier
from advtool.errors import InputError
from advtool.target.facts import Randomness
from advtool.target.target import Target
from advtool.threat import ThreatModel
from tests.support.models import Linear, NoisyInput, mlp

SHAPE = (1, 4, 4)


def classifier(model: nn.Module, **options: object) -> EOTClassifier:
    return EOTClassifier(model, input_shape=SHAPE, classes=4, **options)


def images(count: int = 6) -> Tensor:
    return torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (mlp(SHAPE), Randomness.none),
        (NoisyInput(mlp(SHAPE), 0.1), Randomness.each_image),
        (NoisyInput(mlp(SHAPE), 0.1, once_a_call=True), Randomness.each_call),
        (nn.Sequential(nn.Flatten(), nn.BatchNorm1d(16), nn.Linear(16, 4)).train(), Randomness.none),
        (nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(16, 4)).train(), Randomness.each_image),
    ],
)
def test_a_module_is_asked_whether_it_draws_noise_and_left_as_it_was(model: nn.Module, expected: Randomness) -> None:
    before, modes = copy.deepcopy(model.state_dict()), [module.training for module in model.modules()]
    state = torch.get_rng_state()
    assert classifier(model).target.randomness is expected
    assert classifier(model, randomness=advtool.Randomness.each_call).target.randomness is Randomness.each_call
    assert torch.equal(torch.get_rng_state(), state)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_an_attack_on_a_random_module_does_not_take_luck_for_a_fall() -> None:
    """The noise decides single draws, so one of 20 noisy margins is lucky: the last point counts, as of a target."""
    weight = 40 * torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    model = NoisyInput(Linear(weight, torch.zeros(2)), 0.15).requires_grad_(False)
    x, y = torch.tensor([0.55, 0.45]).repeat(50, 1).view(50, 1, 1, 2), torch.zeros(50, dtype=torch.long)
    noisy = EOTClassifier(model, input_shape=(1, 1, 2), classes=2, eot=20, votes=20)
    torch.manual_seed(0)
    found = PGD(noisy, ThreatModel(eps=0.01), steps=20).search(x, y, torch.Generator().manual_seed(0))
    assert (found.step == 20).all(), "the last point counts, not the luckiest"


def test_a_module_that_fails_is_told_in_one_line() -> None:
    with pytest.raises(InputError, match="the model fails on a few images"):
        classifier(nn.Sequential(nn.Flatten(), nn.Linear(7, 4)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": 3}, r"^classes=3 must be the model's number of outputs; it gives \(4,\) an image"),
        ({"classes": "4"}, "^classes='4' must be an integer of at least 1"),
        ({"eot": 0}, "^eot=0 must be an integer of at least 1"),
        ({"votes": None}, "^votes=None must be an integer"),
        ({"batch_size": 2.5}, "^batch_size=2.5 must be an integer"),
        ({"input_shape": (2, 2)}, r"^input_shape=\(2, 2\) must be \(C, H, W\)"),
        ({"clip": (1, 0)}, r"^clip=\(1, 0\) must be \(low, high\)"),
        ({"randomness": 3}, "^randomness=3 must be one of none, each image, each call"),
        ({"autograd": "slow"}, "^autograd='slow' must be one of"),
        ({"device": "tpu"}, "^device 'tpu' is unknown"),
    ],
)
def test_options_of_a_target_that_cannot_be_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        EOTClassifier(mlp(SHAPE), **{"input_shape": SHAPE, "classes": 4, **options})


def test_a_model_needs_its_shape_and_its_classes() -> None:
    with pytest.raises(InputError, match=r"^EOTClassifier: classes must be given for a model, e.g. EOTClassifier\("):
        EOTClassifier(mlp(SHAPE), input_shape=SHAPE)


def test_labels_beyond_the_classes_are_refused() -> None:
    with pytest.raises(InputError, match=r"^labels go up to 4, but the model has 4 classes"):
        classifier(mlp(SHAPE)).loss_gradient(images(), torch.arange(6) % 5)


def test_the_model_stays_on_its_device_and_in_its_mode() -> None:
    """The meta device stands for a GPU."""
    far = EOTClassifier(mlp(SHAPE).to("meta"), input_shape=SHAPE, classes=4, randomness=Randomness.none)
    assert far.device == far.target.device == torch.device("meta")
    assert {parameter.device.type for parameter in far.target.model.parameters()} == {"meta"}
    assert far.target.logits(torch.empty(3, *SHAPE, device="meta")).shape == (3, 4)
    training = classifier(mlp(SHAPE).train())
    training.compute_loss(images().numpy(), np.eye(4, dtype=np.float32)[[0, 1, 2, 3, 0, 1]])
    assert all(module.training for module in training.target.model.modules())


@pytest.mark.parametrize("label", [None, 2, [3, 1, 0, 0, 2, 1]])
def test_class_gradients_are_arts_and_of_a_random_model_means_over_draws(label: int | list[int] | None) -> None:
    x = images()
    theirs = PyTorchClassifier(
        mlp(SHAPE), loss=nn.CrossEntropyLoss(), input_shape=SHAPE, nb_classes=4, device_type="cpu"
    ).class_gradient(x.numpy(), label)
    np.testing.assert_allclose(classifier(mlp(SHAPE)).class_gradient(x.numpy(), label), theirs, atol=1e-6)
    counted = classifier(CountedNoise(mlp(SHAPE)), eot=3, randomness=Randomness.each_call, batch_size=4)
    given = counted.class_gradient(x, label)
    means = sum(classifier(Shifted(draw)).class_gradient(x, label) for draw in range(3)) / 3
    assert given.shape == theirs.shape
    part = given[:4] if label is not None else given[:1]  # the first pass of four images, by three calls
    torch.testing.assert_close(part, means[: len(part)])
    rows = len(x) * (4 if label is None else 1)
    assert (counted.target.calls.forward, counted.target.calls.backward) == (3 * rows, 3 * rows)


class Shifted(nn.Module):
    """The network at an image that is brighter by 0.05 times ``draw``."""

    def __init__(self, draw: int) -> None:
        super().__init__()
        self.model, self.draw = mlp(SHAPE), draw

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x + 0.05 * self.draw)


class CountedNoise(Shifted):
    """The same, with the number of earlier calls as the draw."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(0)
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        logits = super().forward(x)
        self.draw += 1
        return logits


@pytest.mark.parametrize("label", [4, -1, [0, 1, 2, 3, 4, 0]])
def test_a_class_that_the_model_lacks_has_no_gradient(label: int | list[int]) -> None:
    with pytest.raises(ValueError, match="the model has 4 classes"):
        classifier(mlp(SHAPE)).class_gradient(images(), label)


@pytest.mark.parametrize(
    "attack", [DeepFool, lambda given: AutoProjectedGradientDescent(given, loss_type="cross_entropy", max_iter=5)]
)
def test_all_passes_of_arts_attacks_are_counted(attack: object) -> None:
    """Also those of attacks that call the model themselves, as APGD with a loss of its own does."""

    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model, self.passes = mlp(SHAPE), 0

        def forward(self, x: Tensor) -> Tensor:
            self.passes += len(x)
            return self.model(x)

    model = Counting()
    given = classifier(model, randomness=Randomness.none)
    attack(given).generate(images().numpy(), np.arange(6) % 4)  # type: ignore[operator]
    assert given.target.calls.forward == model.passes
    assert given.target.calls.backward > 0


def test_art_reads_and_sets_the_numbers_of_the_target() -> None:
    given = classifier(mlp(SHAPE), eot=3, votes=5, batch_size=7)
    parameters = given.get_params()
    assert (parameters["eot"], parameters["votes"], parameters["batch_size"]) == (3, 5, 7)
    attack = PGD(given, ThreatModel(eps=0.1))
    given.set_params(eot=4, votes=6, batch_size=8)
    assert (given.target.eot, given.target.votes, given.target.batch_size) == (4, 6, 8)
    assert attack.eot == 4
    with pytest.raises(InputError, match="eot=0 must be an integer of at least 1"):
        given.set_params(eot=0)


def test_a_target_is_taken_as_it_is() -> None:
    target = Target(NoisyInput(mlp(SHAPE), 0.1), input_shape=SHAPE, classes=4)
    assert EOTClassifier(target).target is target
    assert target.randomness is Randomness.none
