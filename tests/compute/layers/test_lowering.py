"""The graph of each layer gives the model's outputs."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from advtool.compute.layers import read
from advtool.compute.layers.lowering import LOWERINGS, Lowering
from tests.support.networks import NETWORKS, Network, each, graph_of, graph_of_each, images, randomise


@pytest.mark.parametrize("name", NETWORKS)
def test_the_graph_gives_the_models_outputs(name: str) -> None:
    model, x, graph = each(name), images(5), graph_of_each(name)
    expected = model(x.clone())
    assert expected.shape[1:] == graph.nodes[-1].shape
    torch.testing.assert_close(graph(x.double()), expected.double(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(graph.to(torch.float32, "cpu")(x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_moved_graph_has_nothing_left_on_the_other_device(name: str) -> None:
    for node in graph_of_each(name).to(torch.float32, "meta").nodes[1:]:
        places = {key: value.device.type for key, value in vars(node.layer).items() if isinstance(value, Tensor)}
        assert set(places.values()) <= {"meta"}, (node, places)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_node_has_the_shape_that_it_tells(name: str) -> None:
    graph = graph_of_each(name)
    values = [images(2).double()]
    for node in graph.nodes[1:]:
        assert node.layer is not None
        values.append(node.layer(*(values[place] for place in node.inputs)))
        assert values[-1].shape == (2, *node.shape), node


@pytest.mark.parametrize("name", ["batch norm 2d", "prelu", "cat", "normalise"])
def test_reading_changes_nothing_and_keeps_the_weights_themselves(name: str) -> None:
    model = each(name).requires_grad_(True)
    before = copy.deepcopy(model.state_dict())
    graph = read(model, images(1))
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    loss = graph(images(3)).square().sum()
    expected = model(images(3)).square().sum()
    for parameter in model.parameters():
        ours, theirs = (torch.autograd.grad(each, parameter, retain_graph=True)[0] for each in (loss, expected))
        torch.testing.assert_close(ours.float(), theirs, rtol=1e-4, atol=1e-4)


def test_log_softmax_leaves_the_margins() -> None:
    model = randomise(nn.Sequential(nn.Flatten(), nn.Linear(60, 4), nn.LogSoftmax(1)))
    logits, expected = graph_of(model)(images(5).double()), model(images(5)).double()
    torch.testing.assert_close(logits - logits[:, :1], expected - expected[:, :1], rtol=1e-5, atol=1e-5)


def test_what_the_logits_do_not_depend_on_is_left_out() -> None:
    def forward(x: Tensor, used: nn.Module, other: nn.Module) -> Tensor:
        other(x).argmin(1)
        return used(x)

    model = randomise(Network(forward, nn.Conv2d(2, 1, 3), nn.Conv2d(2, 1, 2)))
    assert len(graph_of(model).nodes) == 2


def _chain(x: Tensor) -> Tensor:
    """Operations in place on one tensor, under one name after another."""
    z = x * 4 - 2
    return functional.hardtanh_(z.add_(1).mul_(0.5).sub_(0.25), -0.5, 0.5).neg_().flatten(1)


def test_changes_in_place_that_show_nowhere_else() -> None:
    model, x = Network(_chain), images(4)
    torch.testing.assert_close(graph_of(model)(x.double()), model(x).double(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [(5,), (6, 1), (2, 1, 1), (1, 6, 5), (1, 2, 1, 5), ()])
def test_constants_broadcast_as_torch_does(shape: tuple[int, ...]) -> None:
    constant = torch.randn(shape, generator=torch.Generator().manual_seed(3))
    model, x = Network(lambda x: (x * constant - constant) / constant.abs().add(1)), images(4)
    torch.testing.assert_close(graph_of(model)(x.double()), model(x).double(), rtol=1e-5, atol=1e-5)


aten = torch.ops.aten
SPELLINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "_to_copy": aten._to_copy,
    "_unsafe_view": lambda x: aten._unsafe_view(x, [x.shape[0], 60]),
    "alias": aten.alias,
    "alpha_dropout": functional.alpha_dropout,
    "clamp_": lambda x: (x + 0).clamp_(0.3, 0.6),
    "clamp_max": lambda x: x.clamp_max(0.5),
    "clamp_min": lambda x: x.clamp_min(0.5),
    "clone": lambda x: x.clone(),
    "concat": lambda x: torch.concat([x, -x], 2),
    "constant_pad_nd": lambda x: aten.constant_pad_nd(x, [1, 0, 2, 1]),
    "contiguous": lambda x: x.permute(0, 2, 3, 1).contiguous(),
    "detach": lambda x: x.detach(),
    "detach_": lambda x: (x + 1).detach_(),
    "div_": lambda x: (x + 1).div_(3),
    "divide": lambda x: torch.divide(x, 3),
    "dropout_": lambda x: functional.dropout(x + 1, training=False, inplace=True),
    "feature_alpha_dropout": functional.feature_alpha_dropout,
    "leaky_relu_": lambda x: functional.leaky_relu_(x - 0.5),
    "lift_fresh_copy": aten.lift_fresh_copy,
    "mm": lambda x: torch.mm(x.flatten(1), torch.linspace(-1, 1, 120).view(60, 2)),
    "multiply": lambda x: torch.multiply(2, x),
    "relu6_": lambda x: aten.relu6_(x * 20 - 8),
    "reshape": lambda x: x.permute(0, 2, 3, 1).reshape(-1, 12, 5),
    "sigmoid_": lambda x: (x * 3).sigmoid_(),
    "subtract": lambda x: torch.subtract(x, 0.5),
    "swapaxes": lambda x: x.swapaxes(1, 2),
    "tanh_": lambda x: (x * 3).tanh_(),
    "to": lambda x: x.to(torch.float32),
    "transpose_": lambda x: (x + 1).transpose_(1, 2),
    "type_as": lambda x: x.type_as(torch.ones(1)),
    "unsqueeze": lambda x: x.unsqueeze(2),
    "view_copy": lambda x: aten.view_copy(x, [-1, 4, 15]),
}
"""Operations that NETWORKS lacks."""


@pytest.mark.parametrize("name", SPELLINGS)
def test_other_spellings_of_operations(name: str) -> None:
    model, x = Network(SPELLINGS[name]).eval(), images(4)
    torch.testing.assert_close(graph_of(model)(x.double()), model(x).double(), rtol=1e-5, atol=1e-5)


def test_no_operation_is_left_untested(monkeypatch: pytest.MonkeyPatch) -> None:
    met = set()

    def recorded(name: str, lowering: Lowering) -> Lowering:
        def record(*args: Any, **kwargs: Any) -> Any:
            met.add(name)
            return lowering(*args, **kwargs)

        return record

    for name, lowering in list(LOWERINGS.items()):
        monkeypatch.setitem(LOWERINGS, name, recorded(name, lowering))
    log_softmax = Network(lambda x: x.flatten(1).log_softmax(1))
    for model in (*map(each, NETWORKS), *map(Network, SPELLINGS.values()), Network(_chain), log_softmax):
        graph_of(model.eval())
    assert met == LOWERINGS.keys()
