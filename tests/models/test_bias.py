"""Adversarial perturbation bias against Algorithms 1 and 2, by hand and in NumPy."""

import copy
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import Tensor, multiprocessing, nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import spectral_norm as old_spectral_norm
from torch.nn.utils import weight_norm as old_weight_norm
from torch.nn.utils.parametrizations import weight_norm

import advtool
from advtool import models
from advtool.checkpoints import Architecture
from advtool.errors import InputError
from advtool.models.bias import (
    Direction,
    MultimodalLinear,
    NaiveLinear,
    Structure,
    collapse,
    perturbation_parameters,
    perturbation_step,
    with_perturbation_bias,
)
from tests.support.models import mlp

STRUCTURES: tuple[Structure, ...] = ("naive", "multimodal")


def lenet() -> nn.Module:
    torch.manual_seed(0)
    return models.build(Architecture(name="lenet", input_shape=(1, 12, 12), classes=3))


def images(count: int = 16) -> tuple[Tensor, Tensor]:
    return torch.rand(count, 1, 12, 12, generator=torch.Generator().manual_seed(1)), torch.arange(count) % 3


def ordinary_parameters(model: nn.Module) -> list[nn.Parameter]:
    kept_out = {id(p) for p in perturbation_parameters(model)}
    return [p for p in model.parameters() if id(p) not in kept_out]


def train(model: nn.Module, steps: int = 3, eps: float = 0.03, direction: Direction = "descent") -> None:
    x, y = images()
    optimizer = torch.optim.Adam(ordinary_parameters(model), lr=1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
        perturbation_step(model, eps, direction)


# Algorithms 1 and 2 by hand: two neurons, two inputs, two images. Every number is exact in binary.

W = [[1.0, -1.0], [2.0, 0.5]]
X = [[1.0, 2.0], [3.0, -1.0]]
GRAD = [[0.5, -1.0], [-0.25, 0.25]]  # from the next layer; its sum over the images is (0.25, -0.75)


def two_neurons(bias: Structure, **values: list[list[float]] | list[float]) -> tuple[nn.Module, Tensor, Tensor]:
    """The layer with these values after ``backward`` of ``GRAD``, its input and its output."""
    layer = with_perturbation_bias(nn.Linear(2, 2), bias=bias, memories=2)
    layer.load_state_dict({"weight": torch.tensor(W)} | {name: torch.tensor(value) for name, value in values.items()})
    x = torch.tensor(X, requires_grad=True)
    y = layer(x)
    y.backward(torch.tensor(GRAD))
    return layer, x, y


def test_naive_structure_by_hand() -> None:
    layer, x, y = two_neurons("naive", delta_AP=[0.5, -0.25])
    assert y.tolist() == [[-0.5, 2.75], [4.5, 5.25]]  # W X: (-1, 3), (4, 5.5)
    assert layer.weight.grad.tolist() == [[-0.25, 1.25], [-0.25, -2.25]]  # dW = Grad . X^T
    assert x.grad.tolist() == [[-1.5, -1.0], [0.25, 0.375]]  # dX = W^T . Grad
    perturbation_step(layer, eps=0.25, direction="descent")
    assert layer.delta_AP.tolist() == [0.25, 0.0]  # - 0.25 sign(0.25, -0.75); a sum of the signs would be (0, 0)


def test_multimodal_structure_by_hand() -> None:
    layer, x, y = two_neurons("multimodal", m_AP=[[1.0, -0.5]], W_AP=[[0.5, 1.0], [2.0, -1.0]])
    assert y.tolist() == [[-1.5, 4.5], [3.5, 7.0]]  # delta_AP = m_AP W_AP = (-0.5, 1.5)
    assert layer.weight.grad.tolist() == [[-0.25, 1.25], [-0.25, -2.25]]
    assert x.grad.tolist() == [[-1.5, -1.0], [0.25, 0.375]]
    assert layer.W_AP.grad.tolist() == [[0.25, -0.75], [-0.125, 0.375]]  # dW_AP = Grad . m_AP^T
    perturbation_step(layer, eps=0.25, direction="descent")
    assert layer.m_AP.tolist() == [[1.25, -0.75]]  # W_AP Grad: (0.125 - 0.75, 0.5 + 0.75), sign (-1, 1)
    assert layer.W_AP.tolist() == [[0.5, 1.0], [2.0, -1.0]]  # the optimiser's


class Transcription:
    """Algorithms 1 and 2 in NumPy; an image is a column, W_AP is (h, n). An SGD step updates W and W_AP."""

    def __init__(self, W: np.ndarray, m: np.ndarray | None, bias: np.ndarray) -> None:
        self.W, self.m = W, m
        self.W_AP, self.delta = (bias, None) if m is not None else (None, bias)

    def forward(self, X: np.ndarray) -> np.ndarray:
        delta = self.delta if self.m is None else (self.m @ self.W_AP)[0]
        return self.W @ X + delta[:, None]

    def step(self, X: np.ndarray, grad: np.ndarray, eps: float, rate: float) -> np.ndarray:
        dX = self.W.T.dot(grad)
        total = np.zeros(len(grad))
        for n in range(grad.shape[1]):
            total += grad[:, n]
        if self.m is None:
            self.delta = self.delta - eps * np.sign(total)
        else:
            dm, dW_AP = eps * np.sign(self.W_AP.dot(total)), np.outer(self.m[0], total)
            self.m, self.W_AP = self.m - dm, self.W_AP - rate * dW_AP
        self.W = self.W - rate * grad.dot(X.T)
        return dX


@pytest.mark.parametrize("bias", STRUCTURES)
def test_ten_steps_against_a_transcription_of_algorithm_2(bias: Structure) -> None:
    torch.manual_seed(0)
    layer = with_perturbation_bias(nn.Linear(5, 4, dtype=torch.float64), bias=bias, memories=3)
    values = {name: value.numpy().copy() for name, value in layer.state_dict().items()}
    paper = Transcription(values["weight"], values.get("m_AP"), values.get("delta_AP", values.get("W_AP")))
    optimizer = torch.optim.SGD(ordinary_parameters(layer), lr=0.1)
    for _ in range(10):
        x, grad = torch.randn(7, 5, dtype=torch.float64, requires_grad=True), torch.randn(7, 4, dtype=torch.float64)
        y = layer(x)
        np.testing.assert_allclose(y.detach().numpy().T, paper.forward(x.detach().numpy().T), atol=1e-12)
        optimizer.zero_grad()
        y.backward(grad)
        optimizer.step()
        perturbation_step(layer, eps=0.05, direction="descent")
        dX = paper.step(x.detach().numpy().T, grad.numpy().T, eps=0.05, rate=0.1)
        np.testing.assert_allclose(x.grad.numpy().T, dX, atol=1e-12)
    after = {"weight": paper.W} | ({"delta_AP": paper.delta} if bias == "naive" else {"m_AP": paper.m})
    for name, value in after.items():
        np.testing.assert_allclose(layer.state_dict()[name].numpy(), value, atol=1e-12)
    if bias == "multimodal":
        np.testing.assert_allclose(layer.W_AP.detach().numpy(), paper.W_AP, atol=1e-12)


@pytest.mark.parametrize("bias", STRUCTURES)
def test_ascent_is_the_mirror_of_descent(bias: Structure) -> None:
    model = with_perturbation_bias(mlp(), bias=bias)
    before = [p.detach().clone() for p in perturbation_parameters(model)]
    x = torch.rand(6, 1, 4, 4, generator=torch.Generator().manual_seed(3))
    nn.functional.cross_entropy(model(x), torch.arange(6) % 4).backward()
    mirror = copy.deepcopy(model)
    for p, q in zip(perturbation_parameters(model), perturbation_parameters(mirror), strict=True):
        q.grad = p.grad.clone()
    perturbation_step(model, 0.125, "descent")
    perturbation_step(mirror, 0.125, "ascent")
    for start, down, up in zip(before, perturbation_parameters(model), perturbation_parameters(mirror), strict=True):
        torch.testing.assert_close(down - start, start - up)
        assert (down - start).abs().max() > 0.12


def test_ascent_raises_the_loss_and_descent_lowers_it() -> None:
    x, y = images()
    losses = {}
    for direction in ("descent", "ascent"):
        model = with_perturbation_bias(lenet(), bias="naive")
        before = nn.functional.cross_entropy(model(x), y)
        before.backward()
        perturbation_step(model, 1e-3, direction)
        losses[direction] = (nn.functional.cross_entropy(model(x), y) - before).item()
    assert losses["descent"] < 0 < losses["ascent"]


@pytest.mark.parametrize("bias", STRUCTURES)
def test_the_step_is_eps_whatever_the_size_of_the_gradient_and_adam_has_no_part_in_it(bias: Structure) -> None:
    model = with_perturbation_bias(lenet(), bias=bias, memories=4)
    x, y = images()
    optimizer = torch.optim.Adam(ordinary_parameters(model), lr=1e-2)
    assert len(perturbation_parameters(model)) == 3
    for scale in (1.0, 1e-4):
        before = [p.detach().clone() for p in perturbation_parameters(model)]
        (scale * nn.functional.cross_entropy(model(x), y)).backward()
        signs = [p.grad.sign() for p in perturbation_parameters(model)]
        optimizer.step()
        assert all(map(torch.equal, before, perturbation_parameters(model)))
        perturbation_step(model, 0.03, "descent")
        for start, sign, p in zip(before, signs, perturbation_parameters(model), strict=True):
            torch.testing.assert_close(p.detach(), start - 0.03 * sign)
            assert p.grad is None
    W_AP = [p for name, p in model.named_parameters() if name.endswith("W_AP")]
    assert [p in optimizer.state for p in W_AP] == [True] * (3 if bias == "multimodal" else 0)


def test_a_parameter_without_a_gradient_stays() -> None:
    model = with_perturbation_bias(mlp(), bias="naive")
    before = [p.detach().clone() for p in perturbation_parameters(model)]
    perturbation_step(model, 0.1, "descent")
    assert all(map(torch.equal, before, perturbation_parameters(model)))


# The copy


def test_the_given_model_is_left_as_it_was_and_the_naive_copy_starts_from_its_logits() -> None:
    model = lenet().eval()
    tensors = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    x, _ = images()
    perturbed = with_perturbation_bias(model, bias="naive")
    assert torch.equal(perturbed(x), model(x))
    assert not any(module.training for module in perturbed.modules())
    train(perturbed)
    assert not torch.allclose(perturbed(x), model(x))
    assert model.state_dict().keys() == tensors.keys()
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in tensors.items())
    assert all(p.grad is None for p in model.parameters())


def test_memories_and_bias_weights_are_drawn_from_a_normal_of_deviation_a_tenth() -> None:
    torch.manual_seed(0)
    layer = with_perturbation_bias(nn.Linear(2, 1000), bias="multimodal", memories=50)
    assert layer.m_AP.shape == (1, 50)
    assert layer.W_AP.shape == (50, 1000)
    count = layer.W_AP.numel()
    assert abs(layer.W_AP.mean()) < 5 * 0.1 / count**0.5
    assert abs(layer.W_AP.std() - 0.1) < 5 * 0.1 / (2 * count) ** 0.5
    assert 0.05 < layer.m_AP.std() < 0.15
    torch.manual_seed(0)
    again = with_perturbation_bias(nn.Linear(2, 1000), bias="multimodal", memories=50)
    assert torch.equal(again.W_AP, layer.W_AP)


@pytest.mark.parametrize("own_bias", [True, False])
@pytest.mark.parametrize("bias", STRUCTURES)
def test_a_frozen_layer_stays_frozen(bias: Structure, own_bias: bool) -> None:
    model = nn.Sequential(nn.Linear(3, 3, bias=own_bias).requires_grad_(False), nn.Linear(3, 2))
    perturbed = with_perturbation_bias(model, bias=bias)
    frozen = {name: p.detach().clone() for name, p in perturbed[0].named_parameters()}
    perturbed(torch.rand(4, 3)).sum().backward()
    perturbation_step(perturbed, 0.5)
    assert all(torch.equal(p, frozen[name]) and not p.requires_grad for name, p in perturbed[0].named_parameters())
    assert [p.requires_grad for p in collapse(perturbed).parameters()] == [False, False, True, True]


def test_only_the_named_layers_are_replaced() -> None:
    model = with_perturbation_bias(lenet(), bias="multimodal", layers=["linear3"])
    assert type(model.linear2) is nn.Linear
    assert isinstance(model.linear3, MultimodalLinear)


def test_a_layer_without_a_bias_starts_from_zero() -> None:
    layer = nn.Linear(3, 2, bias=False)
    perturbed = with_perturbation_bias(layer, bias="naive")
    x = torch.rand(4, 3)
    assert perturbed.delta_AP.tolist() == [0.0, 0.0]
    assert torch.equal(perturbed(x), layer(x))


def test_shared_layers_stay_shared_and_tied_weights_tied() -> None:
    shared, tied = nn.Linear(4, 4), nn.Linear(4, 4)
    tied.weight = shared.weight
    model = with_perturbation_bias(nn.Sequential(shared, nn.ReLU(), shared, tied), bias="naive")
    assert isinstance(model[0], NaiveLinear)
    assert model[0] is model[2]
    assert model[0].weight is model[3].weight
    assert model[0].weight is not shared.weight
    assert len(perturbation_parameters(model)) == 2


def test_a_model_that_reads_the_bias_of_its_layers_still_works() -> None:
    attention = nn.MultiheadAttention(4, 2, batch_first=True)
    x = torch.rand(2, 3, 4)
    perturbed = with_perturbation_bias(attention, bias="naive")
    torch.testing.assert_close(perturbed(x, x, x)[0], attention(x, x, x)[0])


@pytest.mark.parametrize("bias", STRUCTURES)
def test_collapsed_equals_trained_and_is_a_plain_model(bias: Structure) -> None:
    plain = lenet()
    model = with_perturbation_bias(plain, bias=bias)
    train(model)
    collapsed = collapse(model)
    x, _ = images(64)
    torch.testing.assert_close(collapsed(x), model(x), rtol=0, atol=1e-5)
    assert list(collapsed.state_dict()) == list(plain.state_dict())
    assert sum(p.numel() for p in collapsed.parameters()) == sum(p.numel() for p in plain.parameters())
    assert [type(module) for module in collapsed.modules()] == [type(module) for module in plain.modules()]
    assert not torch.allclose(collapsed.linear3.bias, plain.linear3.bias)
    plain.load_state_dict(collapsed.state_dict())
    assert torch.equal(plain(x), collapsed(x))


def test_collapsing_leaves_the_trained_model_as_it_was() -> None:
    model = with_perturbation_bias(lenet(), bias="multimodal")
    tensors = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    train(collapse(model))
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in tensors.items())


# Refusals


def normed(norm: Callable[[nn.Module], nn.Module]) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # deprecated, and met in many models still
        return nn.Sequential(norm(nn.Linear(2, 2)))


def hooked(register: str) -> nn.Module:
    model = nn.Sequential(nn.Linear(2, 2))
    getattr(model[0], register)(lambda *_: None)
    return model


class Doubled(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (nn.Conv2d(1, 1, 1), {"bias": "naive"}, r"^the model has no fully connected layer"),
        (mlp(), {"bias": "multimodal", "memories": 0}, r"^memories=0 must be an integer of at least 1"),
        (mlp(), {"bias": "multimodal", "memories": 2.5}, r"^memories=2.5 must be an integer"),
        (mlp(), {"bias": "multymodal"}, r"^bias='multymodal' must be one of naive, multimodal .*did you mean 'mul"),
        (3, {"bias": "naive"}, r"^model=3 must be an nn.Module"),
        (mlp(), {"bias": None}, r"^bias=None must be one of"),
        (mlp(), {"bias": "naive", "layers": "linear1"}, r"^layers='linear1' must be a list"),
        (mlp(), {"bias": "naive", "layers": [0]}, r"^the model has no fully connected layer 0"),
        (
            lenet(),
            {"bias": "naive", "layers": ["liner2"]},
            r"^the model has no fully connected layer 'liner2'.*\(did you mean 'linear2'\?\)",
        ),
        (lenet(), {"bias": "naive", "layers": ["conv1"]}, r"the model has no fully connected layer 'conv1'"),
        (lenet(), {"bias": "naive", "layers": []}, r"no fully connected layer"),
        (nn.Sequential(weight_norm(nn.Linear(2, 2))), {"bias": "naive"}, r"layer '0' .* weight norm"),
        (nn.Sequential(Doubled(2, 2)), {"bias": "naive", "layers": ["0"]}, r"layer '0' computes its output"),
        (normed(old_weight_norm), {"bias": "naive"}, r"layer '0' .* weight norm"),
        (normed(old_spectral_norm), {"bias": "multimodal"}, r"layer '0' .* its weight"),
        *(
            (hooked(f"register_{kind}"), {"bias": "naive"}, r"layer '0' .* a hook")
            for kind in ("forward_pre_hook", "forward_hook", "full_backward_pre_hook", "full_backward_hook")
        ),
        (nn.Sequential(nn.LazyLinear(2)), {"bias": "naive"}, r"layer '0' is not initialised yet: run the model once"),
    ],
)
def test_what_cannot_be_done_is_refused(model: nn.Module, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        with_perturbation_bias(model, **options)


@pytest.mark.parametrize(
    ("eps", "direction", "message"),
    [
        (-1.0, "descent", r"eps -1.0 .* positive"),
        (float("nan"), "ascent", r"eps nan .* positive"),
        (0.1, "upwards", r"^direction='upwards' must be one of descent, ascent"),
        ("0.1", "descent", r"eps '0.1' .* positive"),
    ],
)
def test_a_step_that_is_none_is_refused_and_moves_nothing(eps: float, direction: Direction, message: str) -> None:
    model = with_perturbation_bias(mlp(), bias="naive")
    model(torch.rand(2, 1, 4, 4)).sum().backward()
    before = [p.detach().clone() for p in perturbation_parameters(model)]
    with pytest.raises(InputError, match=message):
        perturbation_step(model, eps, direction)
    assert all(map(torch.equal, before, perturbation_parameters(model)))


def test_the_package_exports_what_a_training_needs() -> None:
    here = (with_perturbation_bias, perturbation_parameters, perturbation_step, collapse)
    assert tuple(getattr(advtool, function.__name__) for function in here) == here


# Two processes. Rank by rank the signs of the gradients differ: (+, -) and (-, +); those of their sum are (+, +).

GRADIENTS_OF_RANKS = ([3.0, -1.0], [-1.0, 2.0])


def stepped(rank: int, bias: Structure, *, parallel: bool) -> list[float]:
    """What a descent step of 0.5 makes of delta_AP, or of m_AP with W_AP = 1, from zero."""
    layer = with_perturbation_bias(nn.Linear(1, 2), bias=bias, memories=2)
    with torch.no_grad():
        perturbation_parameters(layer)[0].zero_()
        if bias == "multimodal":
            layer.W_AP.copy_(torch.eye(2))
    model = DistributedDataParallel(layer) if parallel else layer
    (model(torch.ones(1, 1)) * torch.tensor(GRADIENTS_OF_RANKS[rank])).sum().backward()
    perturbation_step(model, 0.5, "descent")
    return perturbation_parameters(model)[0].flatten().tolist()


def one_rank_alone(rank: int) -> list[float]:
    """The same when only rank 0 has a gradient."""
    layer = with_perturbation_bias(nn.Linear(1, 2, bias=False), bias="naive")
    if rank == 0:
        (layer(torch.ones(1, 1)) * torch.tensor(GRADIENTS_OF_RANKS[0])).sum().backward()
    perturbation_step(layer, 0.5, "descent")
    return layer.delta_AP.tolist()


def work(rank: int, folder: Path) -> None:
    if sys.platform == "linux":
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    results = {
        f"{bias} {'ddp' if parallel else 'bare'}": stepped(rank, bias, parallel=parallel)
        for bias in STRUCTURES
        for parallel in (False, True)
    }
    torch.save(results | {"one rank": one_rank_alone(rank)}, folder / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.skipif(not (dist.is_available() and dist.is_gloo_available()), reason="this torch has no gloo")
@pytest.mark.timeout(180)
def test_the_sign_is_of_the_gradient_summed_over_all_ranks_with_ddp_and_without(tmp_path: Path) -> None:
    ranks = multiprocessing.spawn(work, args=(tmp_path,), nprocs=2, join=False)
    try:
        while not ranks.join(timeout=10):
            pass
    finally:
        for process in ranks.processes:
            process.kill()
    for rank in range(2):
        results = torch.load(tmp_path / f"{rank}.pt")
        assert results.pop("one rank") == [-0.5, 0.5]
        assert set(map(tuple, results.values())) == {(-0.5, -0.5)}, results
        assert len(results) == 4
