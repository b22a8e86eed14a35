"""A run folder refuses a model that differs a little, and takes the same model again."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor, nn

import advtool
from advtool.errors import InputError
from advtool.target.handling import handled
from advtool.target.identity import FLOAT32_ROUNDING, HALF_PRECISION_ROUNDING, Identity, identify
from advtool.target.making import open_target
from tests.support.models import NoisyInput, mlp

SHAPE = (1, 4, 4)


def images(count: int = 200) -> Tensor:
    return torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(0))


class Behind(nn.Module):
    """``mlp`` behind a function that may use the module's attributes."""

    def __init__(self, before: Callable[[Any, Tensor], Tensor], **attributes: Any) -> None:
        super().__init__()
        self.model, self.before = mlp(SHAPE), before
        for name, value in attributes.items():
            setattr(self, name, value)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(self.before(self, x))


def helper(scale: float) -> Callable[[Any, Tensor], Tensor]:
    def apply(_: Any, x: Tensor) -> Tensor:
        return scale * x

    return apply


class Buffered(Behind):
    def __init__(self, value: float) -> None:
        super().__init__(lambda self, x: x - self.mean)
        self.register_buffer("mean", torch.tensor(value), persistent=False)


def differs_on_few(changed: bool) -> nn.Module:
    """The two models differ only on bright images, and few images are bright."""

    def before(_: Any, x: Tensor) -> Tensor:
        rare = (x.mean((1, 2, 3), keepdim=True) > 0.62) & changed
        return torch.where(rare, 1 - x, x)

    return Behind(before)


def rounded(x: Tensor) -> Tensor:
    return (x * 15).round() / 15


TWINS: dict[str, tuple[nn.Module, nn.Module]] = {
    "weights": (mlp(SHAPE), mlp(SHAPE, seed=1)),
    "a mean in a plain attribute": tuple(Behind(lambda self, x: x - self.mean, mean=m) for m in (0.4, 0.5)),
    "a tensor attribute": tuple(Behind(lambda self, x: x - self.mean, mean=torch.tensor(m)) for m in (0.4, 0.5)),
    "a tensor that is not used": tuple(Behind(lambda _, x: x, spare=torch.tensor(m)) for m in (0.4, 0.5)),
    "a buffer that is not persistent": (Buffered(0.4), Buffered(0.5)),
    "a list": tuple(Behind(lambda self, x: x - self.mean[0], mean=[m]) for m in (0.4, 0.5)),
    "a list of arrays": tuple(Behind(lambda _, x: x, spare=[np.array([m])]) for m in (0.4, 0.5)),
    "a lambda": (Behind(lambda _, x: x - 0.4), Behind(lambda _, x: x - 0.5)),
    "a helper function": (Behind(helper(1.0)), Behind(helper(1.1))),
    "few images": (differs_on_few(False), differs_on_few(True)),
    "a cut gradient": (Behind(lambda _, x: x), Behind(lambda _, x: x.detach())),
    "a gradient that was cut": (Behind(lambda _, x: x.detach()), Behind(lambda _, x: x)),
    "a gradient that could not be had": (Behind(lambda _, x: torch.from_numpy(x.numpy())), Behind(lambda _, x: x)),
    "rounding straight through": (Behind(lambda _, x: rounded(x)), Behind(lambda _, x: x + (rounded(x) - x).detach())),
    "a part of the gradient": (
        Behind(lambda _, x: x - x.mean(3, keepdim=True)),
        Behind(lambda _, x: x - x.mean(3, keepdim=True).detach()),
    ),
    "a random model's gradient": (
        Behind(lambda _, x: x + 0.01 * torch.randn_like(x)),
        Behind(lambda _, x: x.detach() + 0.01 * torch.randn_like(x)),
    ),
    "the noise's scale": (NoisyInput(mlp(SHAPE), 0.1), NoisyInput(mlp(SHAPE), 0.2)),
}


def evaluate(model: nn.Module, folder: Path, count: int = 200) -> Any:
    x = images(count)
    return advtool.evaluate(model, x, torch.arange(count) % 4, eps=0.05, attacks=["fgsm"], run_dir=folder)


@pytest.mark.parametrize("name", TWINS)
def test_near_twins_are_told_apart(name: str, tmp_path: Path) -> None:
    one, other = TWINS[name]
    evaluate(one, tmp_path)
    with pytest.raises(InputError, match="run of another model"):
        evaluate(other, tmp_path)


def test_a_difference_on_one_stored_image_of_a_late_shard_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from advtool.evaluation import shard

    monkeypatch.setitem(shard.MAX_IMAGES_A_SHARD, "cpu", 100)
    x = images()
    last = x[199]

    class Late(nn.Module):
        def __init__(self, changed: bool) -> None:
            super().__init__()
            self.model, self.changed = mlp(SHAPE), changed

        def forward(self, x: Tensor) -> Tensor:
            same = (x == last).flatten(1).all(1)
            return self.model(x) + (same & self.changed)[:, None] * torch.tensor([9.0, 0, 0, 0])

    evaluate(Late(False), tmp_path)
    with pytest.raises(InputError, match="images of shard 1"):
        evaluate(Late(True), tmp_path)


class Counts(nn.Module):
    """Counts its calls in a buffer and in an attribute, keeps its last input, and fills a cache at its first call."""

    def __init__(self) -> None:
        super().__init__()
        self.model, self.calls, self.seen = mlp(SHAPE), 0, []
        self.register_buffer("count", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.count += len(x)
        self.seen.append(len(x))
        self.last = x.detach().mean()
        if not hasattr(self, "cache"):
            self.cache = torch.ones(3)
        return self.model(x) * self.cache[0]


@pytest.mark.parametrize("calls", [0, 3])
def test_a_model_that_counts_and_caches_is_the_same_model(calls: int, tmp_path: Path) -> None:
    model = Counts()
    expected = evaluate(model, tmp_path)
    assert (model.calls, model.seen, model.count.item(), hasattr(model, "cache")) == (0, [], 0, False)
    for _ in range(calls):
        model(images(2))
    assert evaluate(model, tmp_path).to_dict() == expected.to_dict()
    for path in (tmp_path / "shards").glob("1-*"):
        path.unlink()
    assert evaluate(model, tmp_path).clean == expected.clean
    assert model.calls == calls


def test_a_copy_and_a_model_with_other_rounding_are_the_same_model(tmp_path: Path) -> None:
    model = mlp(SHAPE)
    expected = evaluate(model, tmp_path)
    assert evaluate(copy.deepcopy(model), tmp_path).to_dict() == expected.to_dict()

    class Rounded(nn.Module):
        """Has the same tensors under the same names; its logits differ in their last digits."""

        def __init__(self) -> None:
            super().__init__()
            for name, module in copy.deepcopy(model).named_children():
                self.add_module(name, module)

        def forward(self, x: Tensor) -> Tensor:
            for module in self.children():
                x = module(x)
            return x * (1 + 1e-6)

    assert evaluate(Rounded(), tmp_path).to_dict() == expected.to_dict()


class RandomBackwards(torch.autograd.Function):
    """The identity, with noise that no seed governs for its gradient."""

    @staticmethod
    def forward(_: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        return torch.from_numpy(np.random.default_rng().standard_normal(gradient.shape)).float()


SAME: dict[str, nn.Module] = {
    "a gradient that nothing repeats": Behind(lambda _, x: RandomBackwards.apply(x)),
    "no gradient": Behind(lambda _, x: x.detach()),
    "a gradient of rounding alone": nn.Sequential(Behind(lambda _, x: 1000 * x), nn.Softmax(1)),
    "bfloat16": mlp(SHAPE).bfloat16(),
    "work in place": Behind(lambda _, x: x.mul_(2)),
}


@pytest.mark.parametrize("name", SAME)
def test_a_gradient_does_not_keep_a_run_from_its_own_model(name: str, tmp_path: Path) -> None:
    expected = evaluate(SAME[name], tmp_path)
    assert evaluate(copy.deepcopy(SAME[name]), tmp_path).to_dict() == expected.to_dict()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradients_of_one_network_agree_in_other_arithmetic(dtype: torch.dtype) -> None:
    """Rounding differs between devices and numbers of threads by far less than between these types."""
    torch.manual_seed(0)
    model = torchvision.models.resnet18(num_classes=10).eval().to(dtype)
    of = [slopes_of(model), slopes_of(copy.deepcopy(model).double())]
    rounding = FLOAT32_ROUNDING if dtype is torch.float32 else HALF_PRECISION_ROUNDING
    assert all(each is not None and bool(each.abs().mean() > 1) for each in of)
    assert Identity(tensors={}, rounding=rounding, slopes=of[0]).difference(Identity(tensors={}, slopes=of[1])) is None
    scaled = Identity(tensors={}, rounding=rounding, slopes=-of[1])
    assert scaled.difference(Identity(tensors={}, slopes=of[0])) == "its gradients at the same images"


def slopes_of(model: nn.Module) -> Tensor | None:
    x = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with handled(model, torch.device("cpu")) as ours:
        target, facts = open_target(ours, x)
        return identify(ours, target, facts, {}, x).slopes


def test_another_surrogate_is_refused(tmp_path: Path) -> None:
    x = images(40)
    asked = {"eps": 0.05, "attacks": ["transfer"], "run_dir": tmp_path}
    advtool.evaluate(mlp(SHAPE), x, torch.arange(40) % 4, surrogate=mlp(SHAPE, seed=1), **asked)
    with pytest.raises(InputError, match="run with another surrogate"):
        advtool.evaluate(mlp(SHAPE), x, torch.arange(40) % 4, surrogate=mlp(SHAPE, seed=2), **asked)


def test_a_complete_run_does_not_ask_the_model_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = evaluate(mlp(SHAPE), tmp_path)

    def refuse(*_: object) -> None:
        raise AssertionError("asked again")

    for place in ("preflight", "search_form"):
        monkeypatch.setattr(f"advtool.target.making.{place}", refuse)
    assert evaluate(mlp(SHAPE), tmp_path).to_dict() == expected.to_dict()
