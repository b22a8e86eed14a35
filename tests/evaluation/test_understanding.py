"""The preflight: what is guessing, whatever the model's number of outputs."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import advtool
from advtool.errors import InputError
from advtool.evaluation import causes
from advtool.evaluation.understanding import refuse_guessing
from advtool.report.check import facts
from advtool.results import DatasetInfo
from advtool.target.opening.normalise import Normalise
from advtool.target.target import Target
from tests.support.models import Linear
from tests.support.strange import SHAPE, Around


class Always(nn.Module):
    """Answers class 0 to everything."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.arange(outputs, 0.0, -1.0))

    def forward(self, x: Tensor) -> Tensor:
        return self.logits + 0 * x.flatten(1).sum(1, keepdim=True)


@pytest.mark.parametrize("names", [["cat", "dog", "owl"], None])
def test_guessing_chooses_among_the_classes_of_the_images(names: list[str] | None) -> None:
    x, y = torch.rand(12, 1, 4, 4, generator=torch.Generator().manual_seed(0)), torch.arange(12) % 3
    dataset = DatasetInfo(name="flat", split="test", images=12, classes=names)
    for outputs in (3, 1000):
        check = advtool.check(Always(outputs), x, y, eps=0.1, dataset=dataset)
        assert (check.classes, check.chance, check.better_than_chance) == (outputs, 1 / 3, False)
        with pytest.raises(InputError, match=r"guessing among 3 classes gets 33.3 %"):
            refuse_guessing(check)


@pytest.mark.parametrize(("right", "better"), [(5, False), (7, False), (8, True), (12, True)])
def test_luck_with_a_few_images_is_not_better_than_guessing(right: int, better: bool) -> None:
    """The interval of 7 of 12 begins at 32.0 %, below the third that guessing gets; that of 8 at 39.1 %."""
    y = torch.arange(12) % 3
    x = torch.eye(3)[torch.where(torch.arange(12) < right, y, (y + 1) % 3)].view(12, 1, 1, 3)
    check = advtool.check(Linear(torch.eye(3), torch.zeros(3)), x, y, eps=0.1)
    assert (check.clean.correct, check.chance) == (right, 1 / 3)
    assert check.better_than_chance is better


def test_what_a_normalisation_is_compared_with_is_on_the_device_of_the_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU a comparison with numbers on the CPU fails, so whatever is made must be moved."""
    made, moved = list[nn.Module](), list[nn.Module]()

    class Watched(Normalise):
        def __init__(self, mean: Any, std: Any) -> None:
            super().__init__(mean, std)
            made.append(self)

        def to(self, device: torch.device) -> "Watched":  # type: ignore[override]
            moved.append(self)
            return super().to(device)

    monkeypatch.setattr(causes, "Normalise", Watched)
    x, model = torch.rand(60, 1, 2, 2, generator=torch.Generator().manual_seed(0)), Linear(torch.eye(4), torch.zeros(4))
    y = (x.flatten(1).argmax(1) + 1) % 4
    cause = causes.find_cause(Target(model, input_shape=(1, 2, 2), classes=4), x, y)
    assert cause is not None
    assert "order" in cause.words
    assert made == moved


def test_images_of_one_class_are_guessed_among_two() -> None:
    x, y = torch.rand(12, 1, 4, 4, generator=torch.Generator().manual_seed(0)), torch.zeros(12, dtype=torch.long)
    assert advtool.check(Always(10), x, y, eps=0.1).chance == 1 / 2


def test_no_normalisation_is_named_before_one_that_explains_no_more() -> None:
    """The arg max of the pixels is the same under every normalisation of one mean and deviation."""
    x = torch.rand(60, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    turned = nn.Sequential(Normalise([0.5], [-1.0]), Linear(torch.eye(4), torch.zeros(4)))
    cause = causes.find_cause(Target(turned, input_shape=(1, 2, 2), classes=4), x, x.flatten(1).argmax(1))
    assert cause is not None
    assert "--mean 0 --std 1)" in cause.words


@pytest.mark.parametrize(
    ("of_class_0", "right", "named"),
    [
        (15, 26, False),  # one of twelve reaches that by chance once in fifty times
        (15, 31, True),
        (45, 48, False),  # so many have class 0 that a constant answer does as well
        (45, 59, True),
    ],
)
def test_a_cause_is_named_where_chance_does_not_explain_it(
    monkeypatch: pytest.MonkeyPatch, of_class_0: int, right: int, named: bool
) -> None:
    tried = [causes.Cause("{right}", count) for count in (right, *[10] * 11)]
    monkeypatch.setattr(causes, "_causes", lambda *_: tried)
    y = torch.cat((torch.zeros(of_class_0), 1 + torch.arange(60 - of_class_0) % 3)).long()
    target = Target(Linear(torch.eye(4), torch.zeros(4)), input_shape=(1, 2, 2), classes=4)
    assert causes.find_cause(target, torch.zeros(60, 1, 2, 2), y) == (tried[0] if named else None)


def test_values_for_other_channels_are_named_where_the_model_does_not_take_the_images() -> None:
    """Three values make three channels of a grey image: a model that was trained on such images is taken as before."""
    x, y = torch.rand(12, 1, 2, 2, generator=torch.Generator().manual_seed(0)), torch.arange(12) % 3
    three, grey = Normalise([0.4, 0.5, 0.6], [1.0]), nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    assert advtool.check(nn.Sequential(three, nn.Flatten(), nn.Linear(12, 3)), x, y, eps=0.1).classes == 3
    with pytest.raises(InputError, match="the normalisation has 3 values and the images 1 channel: give --mean and"):
        advtool.check(nn.Sequential(three, grey), x, y, eps=0.1)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (lambda z: (z, z.sum(1)), "the first of 2 tensors in a tuple"),
        (
            lambda z: {"aux": z, "out": z, "maps": z[:, :, None, None, None].expand(-1, -1, 1, 2, 2)},
            "2 tensors in a dict",
        ),
        (lambda z: {"exits": [z, z + 1]}, "the first of 2 tensors in a list"),
        (lambda z: {"features": z.repeat(1, 2), "logits": z}, None),
        (lambda z: (z, None), None),
        (lambda z: (z[None].repeat(2, 1, 1), z), None),
    ],
)
def test_which_of_several_tensors_are_the_logits_is_told(answer: Callable[[Tensor], Any], told: str | None) -> None:
    """Exits of a network, or features before the logits: the first is taken, and may not be meant."""
    x, y = torch.rand(12, *SHAPE, generator=torch.Generator().manual_seed(0)), torch.arange(12) % 4
    check = advtool.check(Around(after=answer), x, y, eps=0.1)
    words = dict(facts(check)).get("outputs")
    assert (words is None) if told is None else told in str(words)
    if told is not None:
        with pytest.raises(InputError, match="the logits are the first of 2 tensors"):
            refuse_guessing(check.model_copy(update={"better_than_chance": False}))
