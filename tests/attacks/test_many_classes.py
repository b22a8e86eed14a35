"""APGD-T with more classes than it can try: the nearest borders first, at a bounded cost."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from advtool.attacks.apgd_targeted import TargetedAPGD
from advtool.attacks.base import no_report
from advtool.target.target import Target
from advtool.threat import ThreatModel
from tests.support.linear import EPS, SHAPE, problem
from tests.support.models import Linear


class Watched(Linear):
    """It remembers its largest batch."""

    largest = 0

    def forward(self, x: Tensor) -> Tensor:
        self.largest = max(self.largest, len(x))
        return super().forward(x)


def left(model: Linear, x: Tensor, y: Tensor, **parameters: object) -> Tensor:
    """Which images are classified right and survive, bool (N,)."""
    target = Target(model, input_shape=SHAPE, classes=len(model.bias))
    attack = TargetedAPGD(target, ThreatModel(eps=EPS), steps=10, **parameters)
    found = attack.search(x, y, torch.Generator().manual_seed(0), no_report)
    return (target.logits(x).argmax(1) == y) & (target.logits(found.x).argmax(1) == y)


def with_twins(model: Linear, twins: int) -> Linear:
    """Each class gets so many twins a little less likely, which no image can reach: the same images are robust."""
    lower = torch.linspace(0.001, 0.01, twins)[:, None]
    weight = torch.cat((model.weight.detach(), model.weight.detach().repeat(twins, 1)))
    bias = torch.cat((model.bias.detach(), (model.bias.detach() - lower).flatten()))
    return Linear(weight, bias).requires_grad_(False)


@given(seed=st.integers(0, 10_000), classes=st.integers(4, 40))
@settings(max_examples=15)
def test_malts_first_target_is_the_nearest_border(seed: int, classes: int) -> None:
    """In a linear model an image falls if and only if its nearest border lies in the ball: one target is enough."""
    model, x, y, robust = problem(classes, seed, count=60)
    assert left(model, x, y, targets=1).equal(robust)


def test_the_nearest_border_is_tried_before_the_likeliest_class() -> None:
    """The border to class 1 is out of reach, for its gap has no gradient; that to class 2 is 0.075 away."""
    weight = torch.tensor([[0.0], [0.0], [-2.0], [0.0]])
    model = Linear(weight, torch.tensor([0.5, 0.4, 1.35, -5.0])).requires_grad_(False)
    target = Target(model, input_shape=(1, 1, 1), classes=4)
    x, y = torch.full((1, 1, 1, 1), 0.5), torch.tensor([0])
    for malt, broken in ((None, False), (1, False), (2, True), (100, True)):
        attack = TargetedAPGD(target, ThreatModel(eps=0.1), steps=10, targets=1, malt=malt)
        found = attack.search(x, y, torch.Generator().manual_seed(0), no_report)
        assert bool(target.logits(found.x).argmax(1) != y) is broken, malt


def test_malt_sees_past_twins_of_the_true_class() -> None:
    """They are the likeliest others, and out of reach: their gaps have no gradient."""
    model, x, y, robust = problem(classes=10, seed=0)
    twins = with_twins(model, 9)
    assert left(twins, x, y).equal(robust)
    assert int(left(twins, x, y, malt=None).sum()) > int(robust.sum()) + 50


@pytest.mark.parametrize(
    ("parameters", "most"),
    [({}, 1000), ({"finalists": 3}, 580), ({"malt": 200, "finalists": 3}, 680), ({"malt": None}, 900)],
)
def test_a_thousand_classes_cost_hardly_more_than_ten(parameters: dict[str, int | None], most: int) -> None:
    """Nothing falls here, so all is spent. No pass holds more images than the target allows."""
    generator = torch.Generator().manual_seed(0)
    model = Watched(torch.randn(1000, 36, generator=generator), torch.zeros(1000)).requires_grad_(False)
    model.bias[0] = 1e4
    target = Target(model, input_shape=SHAPE, classes=1000, batch_size=64)
    attack = TargetedAPGD(target, ThreatModel(eps=EPS), **parameters)
    x, y = torch.rand(3, *SHAPE, generator=generator), torch.zeros(3, dtype=torch.long)
    attack.search(x, y, generator, no_report)
    assert attack.most_queries == most
    starts = 12 if "finalists" in parameters else 9  # each start looks at its first point too
    assert target.calls.backward == 3 * (most + starts)
    assert model.largest <= 64


def test_where_all_classes_are_tried_no_border_is_measured() -> None:
    target = Target(problem(10, 0)[0], input_shape=SHAPE, classes=10)
    assert TargetedAPGD(target, ThreatModel(eps=EPS)).most_queries == 900
    assert TargetedAPGD(target, ThreatModel(eps=EPS), targets=8).most_queries == 809
