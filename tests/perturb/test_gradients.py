"""The gradient that the examples follow."""

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from advtool import models
from advtool.checkpoints import Architecture
from advtool.errors import InputError
from advtool.models.noise import with_pnil
from advtool.perturb.gradients import input_gradient
from tests.support.models import mlp
from tests.support.trainings import batch


def test_the_gradients_of_l_passes_are_summed() -> None:
    torch.manual_seed(0)
    model = with_pnil(nn.Sequential(nn.Flatten(), nn.Linear(6, 4)), (1, 2, 3))
    x, y = batch((6, 1, 2, 3), classes=4)
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


def test_gradient_in_training_mode_is_that_of_batch_normalised_training() -> None:
    model = models.build(Architecture(name="resnet11", input_shape=(3, 8, 8), classes=3)).train()
    x, y = batch((4, 3, 8, 8), classes=3)
    given = input_gradient(model, x, y)
    x.requires_grad_()
    nn.CrossEntropyLoss(reduction="sum")(model(x), y).backward()
    torch.testing.assert_close(given, x.grad)
    assert not torch.allclose(input_gradient(model.eval(), x, y), given)


class Checkpointed(nn.Module):
    def __init__(self, *, reentrant: bool) -> None:
        super().__init__()
        self.model, self.reentrant = mlp(), reentrant

    def forward(self, x: Tensor) -> Tensor:
        return checkpoint(self.model, x, use_reentrant=self.reentrant)


def test_of_checkpointing_that_autograd_refuses_the_remedy_is_told() -> None:
    x, y = batch((4, 1, 4, 4), classes=4)
    with pytest.raises(InputError, match="set use_reentrant=False"):
        input_gradient(Checkpointed(reentrant=True), x, y)
    torch.testing.assert_close(input_gradient(Checkpointed(reentrant=False), x, y), input_gradient(mlp(), x, y))
