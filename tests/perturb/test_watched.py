"""What a caller hears of gradients that are NaN."""

import warnings

import pytest
import torch
from torch import Tensor, nn

from advtool import perturb
from tests.support.models import mlp
from tests.support.trainings import batch, draws


class Root(nn.Module):
    """The root of the distance to 0 has no gradient at 0: 0 times infinity."""

    def __init__(self) -> None:
        super().__init__()
        self.model = mlp()

    def forward(self, x: Tensor) -> Tensor:
        return self.model((x * x).sqrt())


def test_nan_gradients_are_told_once_a_call_with_their_share() -> None:
    model, (x, y) = Root(), batch((8, 1, 4, 4), classes=4)
    x[:2] = 0
    with pytest.warns(RuntimeWarning) as told:
        x_adv = perturb.fgsm(model, x, y, eot=3)
    (warning,) = told
    assert str(warning.message).startswith("25.00% of the gradient is NaN and counts as zero")
    assert warning.filename == __file__
    assert torch.equal(x_adv[:2], x[:2])
    assert (x_adv[2:] != x[2:]).any()


class Steep(nn.Module):
    """Its gradient to the images is infinite, with the sign of its model's."""

    def __init__(self) -> None:
        super().__init__()
        self.model = mlp()

    def forward(self, x: Tensor) -> Tensor:
        x = x * 1
        x.register_hook(lambda gradient: gradient * torch.inf)
        return self.model(x)


def test_an_infinite_gradient_keeps_its_sign_and_is_not_told() -> None:
    x, y = batch((8, 1, 4, 4), classes=4)
    expected = perturb.pgd(mlp(), x, y, generator=draws())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(perturb.pgd(Steep(), x, y, generator=draws()), expected)
