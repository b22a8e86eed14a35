"""Near twins are told apart, and the same model is the same: by the real evaluation, in one folder."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import advtool
from advtool.errors import InputError
from tests.support.models import NoisyInput, mlp

SHAPE = (1, 4, 4)


def images(count: int = 200) -> Tensor:
    return torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(0))


class Around(nn.Module):
    """``mlp`` behind a function, which may look at ``self``."""

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


class Buffered(Around):
    def __init__(self, value: float) -> None:
        super().__init__(lambda self, x: x - self.mean)
        self.register_buffer("mean", torch.tensor(value), persistent=False)


def few_only(changed: bool) -> nn.Module:
    """Differs for images of one brightness alone, which few have."""

    def before(_: Any, x: Tensor) -> Tensor:
        rare = (x.mean((1, 2, 3), keepdim=True) > 0.62) & changed
        return torch.where(rare, 1 - x, x)

    return Around(before)


TWINS: dict[str, tuple[nn.Module, nn.Module]] = {
    "weights": (mlp(SHAPE), mlp(SHAPE, seed=1)),
    "a mean in a plain attribute": tuple(Around(lambda self, x: x - self.mean, mean=m) for m in (0.4, 0.5)),
    "a tensor attribute": tuple(Around(lambda self, x: x - self.mean, mean=torch.tensor(m)) for m in (0.4, 0.5)),
    "a tensor that is not used": tuple(Around(lambda _, x: x, spare=torch.tensor(m)) for m in (0.4, 0.5)),
    "a buffer that is not persistent": (Buffered(0.4), Buffered(0.5)),
    "a list": tuple(Around(lambda self, x: x - self.mean[0], mean=[m]) for m in (0.4, 0.5)),
    "a list of arrays": tuple(Around(lambda _, x: x, spare=[np.array([m])]) for m in (0.4, 0.5)),
    "a lambda": (Around(lambda _, x: x - 0.4), Around(lambda _, x: x - 0.5)),
    "a helper function": (Around(helper(1.0)), Around(helper(1.1))),
    "few images": (few_only(False), few_only(True)),
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


def test_what_shows_on_one_stored_image_of_a_late_shard_is_seen(
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
    """Counts its calls in a buffer and in an attribute, keeps what it saw last, and fills a cache once."""

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


def test_a_copy_is_the_same_model_and_so_is_one_whose_rounding_differs(tmp_path: Path) -> None:
    model = mlp(SHAPE)
    expected = evaluate(model, tmp_path)
    assert evaluate(copy.deepcopy(model), tmp_path).to_dict() == expected.to_dict()

    class Rounded(nn.Module):
        """The same tensors by the same names, and logits that differ in their last digits."""

        def __init__(self) -> None:
            super().__init__()
            for name, module in copy.deepcopy(model).named_children():
                self.add_module(name, module)

        def forward(self, x: Tensor) -> Tensor:
            for module in self.children():
                x = module(x)
            return x * (1 + 1e-6)

    assert evaluate(Rounded(), tmp_path).to_dict() == expected.to_dict()


def test_a_surrogate_is_known_again_too(tmp_path: Path) -> None:
    x = images(40)
    asked = {"eps": 0.05, "attacks": ["transfer"], "run_dir": tmp_path}
    advtool.evaluate(mlp(SHAPE), x, torch.arange(40) % 4, surrogate=mlp(SHAPE, seed=1), **asked)
    with pytest.raises(InputError, match="run with another surrogate"):
        advtool.evaluate(mlp(SHAPE), x, torch.arange(40) % 4, surrogate=mlp(SHAPE, seed=2), **asked)


def test_nothing_is_asked_again_when_a_run_is_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = evaluate(mlp(SHAPE), tmp_path)

    def refuse(*_: object) -> None:
        raise AssertionError("asked again")

    for place in ("preflight", "search_form", "affine_start"):
        monkeypatch.setattr(f"advtool.target.making.{place}", refuse)
    assert evaluate(mlp(SHAPE), tmp_path).to_dict() == expected.to_dict()
