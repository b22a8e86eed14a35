"""A model's state is put back, tells similar models apart, and does not change a shard's answers."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from advtool.errors import InputError
from advtool.target.handling import handled
from advtool.target.holding import tensors_of
from advtool.target.state import State
from tests.support.models import mlp
from tests.support.stateful_models import ChangesEverything, Notes
from tests.support.strange import SHAPE, codes, document, evaluate, forget, held_by, images, labels
from tests.support.strange_models import Net, Unregistered

CPU = torch.device("cpu")


class Noisy(Net):
    """Draws its noise from a generator of its own."""

    def __init__(self, generator: Any, draw: Callable[[Any, Tensor], Any], scale: float = 0.05) -> None:
        super().__init__()
        self.generator, self.draw, self.scale = generator, draw, scale

    def forward(self, x: Tensor) -> Any:
        return self.model(x + self.scale * self.draw(self.generator, x))


def by_numpy(generator: Any, x: Tensor) -> Tensor:
    return torch.from_numpy(generator.normal(size=x.shape).astype(np.float32))


GENERATORS: dict[str, Callable[[], Noisy]] = {
    "torch": lambda: Noisy(torch.Generator().manual_seed(0), lambda g, x: torch.randn(x.shape, generator=g)),
    "numpy": lambda: Noisy(np.random.default_rng(0), by_numpy),
    "numpy, old": lambda: Noisy(np.random.RandomState(0), by_numpy),
    "random": lambda: Noisy(random.Random(0), lambda g, _: g.gauss(0, 1)),
}


@pytest.mark.parametrize("name", GENERATORS)
def test_a_models_own_generator_gives_the_same_answers_again_and_is_left_as_it_was(name: str, tmp_path: Path) -> None:
    model, x = GENERATORS[name](), images()
    y, before = labels(mlp(SHAPE), x), held_by(model)
    first = evaluate(model, x, y, run_dir=tmp_path)
    assert "random-model" in codes(first)
    forget(tmp_path)
    assert document(evaluate(model, x, y, run_dir=tmp_path)) == document(first)
    assert document(evaluate(model, x, y)) == document(first)
    assert held_by(model) == before


def test_an_attack_that_asks_the_model_first_finds_the_same_when_the_run_goes_on(tmp_path: Path) -> None:
    """It chooses classes by the model's own answers, before it needs the search form."""
    model, x = GENERATORS["numpy"](), images(30)
    y = labels(mlp(SHAPE), x)
    options = {"attacks": "apgd-targeted(steps=5,targets=2)", "eot": 2, "run_dir": tmp_path}
    first = evaluate(model, x, y, **options)
    for path in [*tmp_path.glob("*.json*"), *(tmp_path / "shards").glob("1-*")]:
        if path.name not in {"manifest.json", "image_ids.json"}:
            path.unlink()
    again = evaluate(model, x, y, **options)
    assert document(again) == document(first)
    assert again.outcomes is not None
    assert first.outcomes is not None
    assert again.outcomes.margin.nan_to_num(9).equal(first.outcomes.margin.nan_to_num(9))


def test_another_scale_of_the_models_own_noise_is_another_model(tmp_path: Path) -> None:
    x, one, other = images(), GENERATORS["torch"](), GENERATORS["torch"]()
    other.scale = 0.3
    evaluate(one, x, labels(mlp(SHAPE), x), run_dir=tmp_path)
    with pytest.raises(InputError, match="run of another model"):
        evaluate(other, x, labels(mlp(SHAPE), x), run_dir=tmp_path)


class Counter(Net):
    """Its answers alternate. Its counter belongs to the class, so no evaluation can put it back."""

    calls = 0

    def forward(self, x: Tensor) -> Any:
        type(self).calls += 1
        return self.model(x) * (-1) ** self.calls


def test_a_model_with_noise_that_cannot_be_seeded_is_the_same_model_again(tmp_path: Path) -> None:
    class Noise(Net):
        def forward(self, x: Tensor) -> Any:
            return self.model(x + 0.02 * by_numpy(np.random.default_rng(), x))

    for number, model in enumerate((Noise(), Counter())):
        x = images()
        for _ in range(3):
            assert "random-model" in codes(evaluate(model, x, labels(mlp(SHAPE), x), run_dir=tmp_path / str(number)))


class HoldsNotes(Net):
    def __init__(self, scale: float) -> None:
        super().__init__()
        self.notes = Notes()
        self.notes.total = torch.tensor([scale, 0])

    def forward(self, x: Tensor) -> Any:
        return self.model(x)


@pytest.mark.parametrize(
    ("one", "other", "name"),
    [
        (lambda: HoldsNotes(1), lambda: HoldsNotes(2), r"notes\[total\]"),
        (lambda: Unregistered(0), lambda: Unregistered(1), r"models\[0\]"),
    ],
)
def test_tensors_in_objects_and_in_modules_that_are_not_registered_tell_twins_apart(
    one: Callable[[], nn.Module], other: Callable[[], nn.Module], name: str, tmp_path: Path
) -> None:
    x = images()
    evaluate(one(), x, torch.arange(12) % 4, run_dir=tmp_path)
    with pytest.raises(InputError, match=name):
        evaluate(other(), x, torch.arange(12) % 4, run_dir=tmp_path)


def test_every_tensor_has_one_name() -> None:
    names = [name for name, _ in tensors_of(ChangesEverything())]
    assert len(names) == len(set(names))
    assert {"model.1.weight", "count", "array", "notes[total]"} <= set(names)


def test_changes_are_named_and_put_back() -> None:
    model = ChangesEverything()
    before, state = held_by(model), State(model)
    assert state.changed() == []
    model(images())
    assert {"count", "array", "names", "notes", "slots", "tally", "groups", "last", "late", "scale"} <= set(
        state.changed()
    )
    state.restore()
    assert state.changed() == []
    assert held_by(model) == before


def test_a_new_object_with_the_same_value_is_not_a_change() -> None:
    model = Net()
    model.sizes, model.weight = [1, 2], torch.ones(3)
    state = State(model)
    model.sizes, model.weight = [1, 2], torch.ones(3)
    assert state.changed() == []
    model.sizes = [1, 3]
    assert state.changed() == ["sizes"]


def test_gradients_and_views_of_parameters_are_put_back() -> None:
    flat = torch.arange(20.0)
    layer = nn.Linear(4, 4)
    layer.weight.data, layer.bias.data = flat[:16].view(4, 4), flat[16:]
    layer.weight.grad = torch.ones(4, 4)
    grad, state = layer.weight.grad, State(layer)
    layer.weight.data = torch.zeros(4, 4)
    layer.bias.data.zero_()
    layer.weight.grad = None
    state.restore()
    assert layer.weight.grad is grad
    assert flat.equal(torch.arange(20.0))
    flat.zero_()
    assert not layer.weight.any(), "it is a view again"


def test_weights_that_eval_mode_changes_are_put_back() -> None:
    """Low-rank adapters, for example, are merged into the weights in eval mode."""

    class Merges(Net):
        def train(self, mode: bool = True) -> "Merges":
            if self.training and not mode:
                self.model[1].weight.data += 1
            return super().train(mode)

    model = Merges()
    before = held_by(model)
    with handled(model, CPU) as ours:
        assert ours.train_mode
        assert ours.model.model[1].weight.equal(mlp(SHAPE)[1].weight + 1)
    assert held_by(model) == before
