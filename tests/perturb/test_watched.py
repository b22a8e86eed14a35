"""What a caller hears of gradients that are NaN, and buffers that stay as they were."""

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from advtool import perturb
from advtool.errors import InputError
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


class Counts(nn.Module):
    """Counts its calls in buffers: one in place, one behind autograd's back, one as a new tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.utils.parametrizations.spectral_norm(nn.Linear(16, 4))
        for name in ("in_place", "data", "new"):
            self.register_buffer(name, torch.zeros(()))
        self.register_buffer("shift", torch.zeros(1).expand(4))

    def forward(self, x: Tensor) -> Tensor:
        self.in_place += 1
        self.data.data += 1
        self.new = self.new + 1
        return self.linear(x.flatten(1)) + self.shift


class ScriptCounts(nn.Module):
    """The two counters that TorchScript can have."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(16, 4)
        for name in ("in_place", "new"):
            self.register_buffer(name, torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.in_place += 1
        self.new = self.new + 1
        return self.linear(x.flatten(1))


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:FutureWarning")
@pytest.mark.parametrize("build", [Counts, lambda: torch.jit.script(ScriptCounts())], ids=["eager", "script"])
def test_all_buffers_are_left_as_they_were(build: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    model = build().train()
    x, y = batch((8, 1, 4, 4), classes=4)
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    perturb.pgd(model, x, y, steps=2)
    assert before.keys() == dict(model.named_buffers()).keys()
    assert all(torch.equal(buffer, before[name]) for name, buffer in model.named_buffers())
    model(x)  # and the next training step counts again
    assert not any(torch.equal(buffer, before[name]) for name, buffer in model.named_buffers() if name != "shift")


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:FutureWarning")
def test_a_scripted_batch_norm_in_train_mode_works_and_keeps_its_statistics() -> None:
    eager = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.BatchNorm1d(8), nn.Linear(8, 4)).train()
    scripted = torch.jit.script(eager)
    x, y = batch((8, 1, 4, 4), classes=4)
    expected = perturb.pgd(eager, x, y, generator=draws())
    before = {name: buffer.clone() for name, buffer in scripted.named_buffers()}
    torch.testing.assert_close(perturb.pgd(scripted, x, y, generator=draws()), expected)
    assert all(torch.equal(buffer, before[name]) for name, buffer in scripted.named_buffers())


def test_a_graph_of_the_caller_survives_the_call() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 4), nn.BatchNorm1d(4)).eval()
    x, y = batch((8, 1, 4, 4), classes=4)
    loss = nn.functional.cross_entropy(model(x), y)
    perturb.fgsm(model, x, y)
    loss.backward()
    assert model[1].weight.grad is not None


def test_buffers_are_left_when_the_call_fails() -> None:
    model = Counts()
    with pytest.raises(InputError, match="labels must lie in 0 to 3"):
        perturb.fgsm(model, torch.rand(2, 1, 4, 4), torch.tensor([1, 4]))
    assert model.in_place == model.data == model.new == 0
