"""Proofs hold for the model as it computes in float32, in whatever order it adds."""

import itertools
import random
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from advtool.certification import Certificate, Certifier
from advtool.certification.rounding import UNIT, allowance
from advtool.compute.layers import Affine, Box, LayerGraph, Nonlinear
from advtool.compute.layers.activations import Sigmoid, Tanh
from advtool.threat import ThreatModel
from tests.support.networks import NETWORKS, graph_of, graph_of_each, images, randomise, target_of
from tests.support.random_networks import random_network

ZERO = torch.zeros(1, dtype=torch.long)


def certify(model: nn.Module, x: Tensor, eps: float) -> Certificate:
    return Certifier(target_of(model, tuple(x.shape[1:]), 2), x).certify(x, ZERO, ThreatModel(eps=eps))


def two_classes(weight: Tensor, bias: float) -> nn.Module:
    """Logits (weight . x + bias, 0)."""
    layer = nn.Linear(len(weight), 2)
    layer.weight.data, layer.bias.data = torch.stack((weight, torch.zeros_like(weight))), torch.tensor([bias, 0.0])
    return nn.Sequential(nn.Flatten(), layer).eval().requires_grad_(False)


def sums(weight: Tensor, x: Tensor, bias: float, orders: int = 200) -> Tensor:
    """weight . x + bias in float32, in many orders of summation."""
    products, found, draw = [*(weight * x.flatten()).tolist(), bias], [], random.Random(0)
    for _ in range(orders):
        draw.shuffle(products)
        total = torch.zeros(())
        for product in torch.tensor(products):
            total = total + product
        found.append(total)
    return torch.stack(found)


@pytest.mark.parametrize("seed", range(20))
def test_a_margin_smaller_than_rounding_is_no_proof(seed: int) -> None:
    """Large weights cancel: the margin is above 0 in exact arithmetic, but below 0 in some order of summation."""
    generator = torch.Generator().manual_seed(seed)
    half = torch.randn(32, generator=generator) * 1000
    weight = torch.cat((half, -half))[torch.randperm(64, generator=generator)]
    x, eps = torch.rand(1, 1, 8, 8, generator=generator) * 0.8 + 0.1, 1e-12
    exact = sum(Fraction(w) * Fraction(p) for w, p in zip(weight.tolist(), x.flatten().tolist(), strict=True))
    bias = float(torch.tensor(float(-exact)))
    while Fraction(bias) + exact <= Fraction(eps) * Fraction(float(weight.abs().sum())):
        bias = float(torch.nextafter(torch.tensor(bias), torch.tensor(torch.inf)))
    computed = sums(weight, x, bias)
    assert computed.min() <= 0, "the example is not adversarial"
    found = certify(two_classes(weight, bias), x, eps)
    assert found.lower <= computed.min()
    assert not found.certified.any()


@pytest.mark.parametrize("seed", range(5))
def test_a_margin_larger_than_rounding_is_a_proof(seed: int) -> None:
    """The allowance is not much larger than it must be."""
    weight = torch.randn(64, generator=torch.Generator().manual_seed(seed))
    x, eps = images(1, (1, 8, 8), seed) * 0.8 + 0.1, 0.05
    exact = float(weight.double() @ x.flatten().double()) - eps * float(weight.double().abs().sum())
    room = 1e-3 * float(weight.abs().sum())
    assert certify(two_classes(weight, room - exact), x, eps).certified.all()
    assert not certify(two_classes(weight, -room - exact), x, eps).certified.any()


@pytest.mark.parametrize("beyond", [2.0**-24, 2.0**-23, 1.6e-7, 2.0e-7, 2.3e-7, 1e-5])
def test_a_proof_covers_what_counts_as_inside_the_ball_by_rounding(beyond: float) -> None:
    """Near black a pixel rounds by less than the verifier allows. Class 1 begins so little beyond the ball."""
    x, threat_model = torch.full((1, 1, 1, 1), 0.01), ThreatModel(eps=0.01)
    model = two_classes(torch.tensor([-1000.0]), 20 + 1000 * beyond)
    farthest = x + 0.01
    while threat_model.contains(further := farthest.nextafter(torch.ones(())), x):
        farthest = further
    broken = bool((model(farthest).argmax(1) != 0).any())
    assert broken == (beyond < 1e-6), "the problem decides nothing"
    assert certify(model, x, 0.01).certified.tolist() == [not broken]


def test_cancelling_behind_a_relu() -> None:
    """1e7 (ReLU(s) - ReLU(s)) with a sum s that the two branches may add in different orders."""
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(256, generator=generator)
    first = nn.Linear(256, 2)
    first.weight.data, first.bias.data = torch.stack((weight, weight)), torch.zeros(2)
    second = nn.Linear(2, 2)
    second.weight.data = torch.tensor([[1e7, -1e7], [0.0, 0.0]])
    second.bias.data = torch.tensor([0.01, 0.0])
    x = images(1, (1, 16, 16))
    model = nn.Sequential(nn.Flatten(), first, nn.ReLU(), second).eval().requires_grad_(False)
    orders = sums(weight.abs(), x, 0.0, 20)
    assert 1e7 * (orders.max() - orders.min()) > 0.01
    assert not certify(model, x, 1e-12).certified.any()


@settings(max_examples=40)
@given(terms=st.integers(1, 200), size=st.sampled_from([1e-3, 1.0, 1e4]), seed=st.integers(0, 10**6))
def test_the_allowance_of_a_sum_covers_every_order(terms: int, size: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    weight, x = torch.randn(terms, generator=generator) * size, torch.rand(1, terms, generator=generator)
    bias = float(torch.randn((), generator=generator) * size)
    layer = graph_of(two_classes(weight, bias), (1, 1, terms), torch.float32).nodes[-1].layer
    assert layer is not None
    room = allowance(layer, [Box(x, x)])
    assert room is not None
    exact = float(weight.double() @ x[0].double()) + bias
    assert (sums(weight, x, bias, 10).double() - exact).abs().max() <= room[0, 0]


@pytest.mark.parametrize("interval", [False, True])
@pytest.mark.parametrize(
    ("model", "shape", "terms", "back"),
    [
        (nn.Linear(50, 7), (1, 1, 50), 51, 7),
        (nn.Conv2d(3, 8, (3, 2)), (3, 5, 5), 19, 48),
        (nn.AvgPool2d(3), (2, 6, 6), 10, 10),
    ],
)
def test_the_allowance_follows_from_the_numbers_of_terms(
    model: nn.Module, shape: tuple[int, ...], terms: int, back: int, interval: bool
) -> None:
    """docs/certification.md: (n + m + 40) u (|W| |a| + |b|) for bounds by coefficients, (2 n + 40) u for intervals."""
    layer = graph_of(randomise(model), shape, torch.float32).nodes[-1].layer
    assert isinstance(layer, Affine)
    box, bias = Box(images(2, shape) - 0.7, images(2, shape) - 0.7), layer.bias()
    size = layer.spread(box.magnitude) + (0 if bias is None else bias.abs())
    room = allowance(layer, [box], interval=interval)
    assert room is not None
    units = (terms + (terms if interval else back) + 40) * UNIT
    assert (room >= units * size).all()
    assert (room <= 1.01 * units * size).all()


def test_a_sum_that_loses_every_term() -> None:
    """In this order the sum of 1 and 299 numbers a little below u stays 1: Higham's bound is nearly reached."""
    weight, total = torch.full((300,), 0.999 * UNIT), torch.zeros(())
    weight[0] = 1
    for term in weight:
        total = total + term
    assert total == 1
    model, x = two_classes(weight, -(1 + 200 * UNIT)), torch.ones(1, 1, 1, 300)
    layer = graph_of(model, (1, 1, 300), torch.float32).nodes[-1].layer
    assert layer is not None
    room = allowance(layer, [Box(x.flatten(1), x.flatten(1))])
    assert room is not None
    assert float(weight.double().sum()) - 1 <= room[0, 0]
    assert not certify(model, x, 1e-12).certified.any(), "the margin is 98 u, or -200 u in that order"


def rounding(graph: LayerGraph, x: Tensor) -> tuple[Tensor, Tensor]:
    """How far float32 is from float64 in each entry of each node, on the same float32 inputs, and its allowance."""
    values, errors, rooms = [x], [], []
    for rough, exact in zip(graph.to(torch.float32, "cpu").nodes[1:], graph.nodes[1:], strict=True):
        assert rough.layer is not None
        assert exact.layer is not None
        inputs = [values[place] for place in rough.inputs]
        values.append(rough.layer(*inputs))
        room = allowance(rough.layer, [Box(each, each) for each in inputs])
        difference = (values[-1].double() - exact.layer(*(each.double() for each in inputs))).abs()
        errors.append(difference.flatten())
        rooms.append(torch.zeros_like(errors[-1]) if room is None else room.double().flatten())
    return torch.cat(errors), torch.cat(rooms)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer_rounds_less_than_it_is_allowed(name: str) -> None:
    errors, rooms = rounding(graph_of_each(name), 10 * images(20))
    assert (errors <= rooms).all()


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6))
def test_every_layer_of_random_networks_rounds_less_than_it_is_allowed(seed: int) -> None:
    model, shape, _ = random_network(seed)
    errors, rooms = rounding(graph_of(model, shape), images(20, shape, seed))
    assert (errors <= rooms).all()


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6))
def test_the_models_own_rounding_lies_within_the_bounds(seed: int) -> None:
    """Radius next to 0: all of the gap between the margin and its bound is the allowance for rounding."""
    model, shape, classes = random_network(seed)
    x = images(8, shape, seed)
    scores = model(x).double()
    found = Certifier(target_of(model, shape, classes), x).certify(x, scores.argmax(1), ThreatModel(eps=1e-12))
    top = scores.topk(2).values
    assert (found.lower <= top[:, 0] - top[:, 1]).all()
    exact = graph_of(model, shape)(x.double()).topk(2).values
    assert (found.lower <= exact[:, 0] - exact[:, 1]).all()


@pytest.mark.parametrize("layer", [Sigmoid(), Tanh()])
def test_a_sigmoid_may_be_off_by_sixteen_units_however_small_it_is(layer: Nonlinear) -> None:
    nearly_none = torch.full((1, 1), 1e-20 if isinstance(layer, Tanh) else -50.0)
    room = allowance(layer, [Box(nearly_none, nearly_none)])
    assert room is not None
    assert room.item() >= 16 * UNIT


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6))
def test_batch_norm_as_torch_computes_it(seed: int) -> None:
    """Torch may fold mean and weight together: the two nodes that stand for it allow for that."""
    generator = torch.Generator().manual_seed(seed)
    model, x = randomise(nn.BatchNorm2d(3), seed), 100 * torch.rand(20, 3, 4, 4, generator=generator)
    model.running_mean.mul_(100)  # type: ignore[union-attr,operator]
    first, second = graph_of(model, (3, 4, 4), torch.float32).nodes[1:]
    assert first.layer is not None
    assert second.layer is not None
    room = allowance(first.layer, [Box(x, x)])
    assert room is not None
    centred = first.layer(x)
    after = allowance(second.layer, [Box(centred - room, centred + room)])
    assert after is not None
    factor = (model.weight.double() / (model.running_var.double() + model.eps).sqrt()).abs()  # type: ignore[union-attr,operator]
    exact = graph_of(model, (3, 4, 4))(x.double())
    allowed = room.double() * factor.view(3, 1, 1) + after.double()
    assert ((model(x).double() - exact).abs() <= allowed).all()


@pytest.mark.parametrize("scale", [1.0, 300.0, 1e5])
def test_log_softmax_makes_no_tie_of_what_is_certified(scale: float) -> None:
    """Every class but two is far away, and the two are a few roundings of the largest logit apart."""
    for steps, others in itertools.product((1, 2, 4, 8, 16, 64), (0.0, -scale)):
        model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.LogSoftmax(1)).eval().requires_grad_(False)
        model[1].weight.data.zero_()  # type: ignore[union-attr,operator]
        model[1].bias.data = torch.tensor([scale * (1 + steps * 2 * UNIT), scale, others])  # type: ignore[union-attr]
        x = torch.full((1, 1, 2, 2), 0.5)
        found = Certifier(target_of(model, (1, 2, 2), 3), x).certify(x, ZERO, ThreatModel(eps=0.1))
        top = model(x).topk(2).values[0]
        assert not found.certified.any() or top[0] > top[1]
    model[1].bias.data[0] *= 1.01  # type: ignore[union-attr,operator]
    found = Certifier(target_of(model, (1, 2, 2), 3), x).certify(x, ZERO, ThreatModel(eps=0.1))
    assert found.certified.all()


def test_log_softmax_makes_ties_of_small_logits() -> None:
    """Next to log 3, a margin of 1e-9 is less than a rounding."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.LogSoftmax(1)).eval().requires_grad_(False)
    model[1].weight.data.zero_()  # type: ignore[union-attr,operator]
    x, ties = torch.full((1, 1, 2, 2), 0.5), 0
    for margin in (1e-10, 1e-9, 1e-8, 3e-8, 1e-7, 3e-7, 1e-5):
        model[1].bias.data = torch.tensor([margin, 0.0, 0.0])  # type: ignore[union-attr]
        found = Certifier(target_of(model, (1, 2, 2), 3), x).certify(x, ZERO, ThreatModel(eps=0.1))
        top = model(x).topk(2).values[0]
        ties += bool(top[0] == top[1])
        assert not found.certified.any() or top[0] > top[1]
    assert ties
    assert found.certified.all()
