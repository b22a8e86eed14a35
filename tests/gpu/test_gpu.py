"""``make gpu-check``: the GPU agrees with the CPU, and no attack makes the host wait inside a step."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn

import advtool
from advtool import training
from advtool.attacks.candidates import Candidates
from advtool.attacks.fgsm import FGSM
from advtool.attacks.pgd import PGD
from advtool.attacks.spsa import SPSA
from advtool.data import load, to_float
from advtool.errors import InputError
from advtool.evaluation.causes import find_cause
from advtool.evaluation.verification import verify
from advtool.target.handling import frozen
from advtool.target.target import Randomness, Target
from advtool.threat import ThreatModel
from tests.support.models import NoisyInput
from tests.support.networks import Network

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")

CUDA = torch.device("cuda")
SHAPE = (1, 28, 28)


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return training.train("digits", "both", arch="cnn", eps=0.1, epochs=15, device=CUDA).model.cpu()


@pytest.fixture(scope="module")
def digits_test() -> tuple[Tensor, Tensor]:
    split = load("digits", "test")
    return to_float(split.images), split.labels


def estimator(model: nn.Module, device: torch.device, **options: object) -> Target:
    return Target(model.to(device), input_shape=SHAPE, classes=10, device=device, **options)


def test_training_on_the_gpu_reaches_what_the_cpu_reaches() -> None:
    cpu, gpu = (
        training.train("digits", "both", arch="cnn", eps=0.1, epochs=15, device=device).header.metrics
        for device in ("cpu", CUDA)
    )
    assert gpu["clean_accuracy"] == pytest.approx(cpu["clean_accuracy"], abs=0.05)


def test_gradients_and_scores_agree(model: nn.Module, digits_test: tuple[Tensor, Tensor]) -> None:
    x, y = digits_test
    with frozen(model):
        scores, gradient = estimator(model, torch.device("cpu")).scores_and_gradient(x, y)
        scores_there, gradient_there = estimator(model, CUDA).scores_and_gradient(x.to(CUDA), y.to(CUDA))
    torch.testing.assert_close(scores_there.cpu(), scores, atol=2e-2, rtol=1e-2)
    torch.testing.assert_close(gradient_there.cpu(), gradient, atol=2e-2, rtol=5e-2)


def test_evaluations_agree(model: nn.Module, digits_test: tuple[Tensor, Tensor]) -> None:
    x, y = digits_test
    cpu, gpu = (advtool.evaluate(model, x, y, eps=0.1, spsa_steps=30, device=device) for device in ("cpu", CUDA))
    assert abs(cpu.clean.correct - gpu.clean.correct) <= 1
    for ours, theirs in zip(cpu.attacks, gpu.attacks, strict=True):
        assert abs(ours.accuracy - theirs.accuracy) <= 0.02, ours.name


def test_a_random_models_votes_and_eot_agree(model: nn.Module, digits_test: tuple[Tensor, Tensor]) -> None:
    x, y = digits_test
    noisy = NoisyInput(model, 0.1)
    cpu, gpu = (
        advtool.evaluate(noisy, x, y, eps=0.1, attacks=["pgd"], pgd_steps=10, device=device) for device in ("cpu", CUDA)
    )
    low, high = cpu.attacks[0].interval
    assert low <= gpu.attacks[0].accuracy <= high


def test_the_verifier_runs_where_the_model_is(model: nn.Module, digits_test: tuple[Tensor, Tensor]) -> None:
    x, y = (tensor.to(CUDA) for tensor in digits_test)
    with frozen(model):
        verdict = verify(estimator(model, CUDA), x, x, y, ThreatModel(eps=0.1))
    assert verdict.adversarial.device.type == "cuda"
    assert verdict.adversarial.float().mean() < 0.2


def test_the_gpu_certifies_what_the_cpu_certifies(model: nn.Module, digits_test: tuple[Tensor, Tensor]) -> None:
    """The numbers of a normalisation and of ReLU6 are no tensors of the model, so they do not move with it."""
    net, x = copy.deepcopy(model).cpu(), digits_test[0][:50]
    net.relu1, net.relu2 = nn.ReLU6(), nn.ReLU6()
    clamped = Network(lambda images, inner: inner((images - 0.5) / 0.5), net)
    y = clamped(x).argmax(1)
    cpu, gpu = (advtool.certify(clamped, x, y, eps=0.01, seconds=0, device=device) for device in ("cpu", CUDA))
    assert cpu.certified.any()
    torch.testing.assert_close(gpu.lower, cpu.lower, atol=1e-2, rtol=1e-3)
    cut = advtool.certify(clamped, x, y, eps=0.05, seconds=0.5, device=CUDA)
    lines = advtool.certify(clamped, x, y, eps=0.05, seconds=0, device="cpu")
    assert bool((cut.lower >= lines.lower - 1e-2).all())
    assert int(cut.certified.sum()) > int(lines.certified.sum())


def test_the_gpu_finds_the_same_cause_of_guessing(model: nn.Module, digits_test: tuple[Tensor, Tensor]) -> None:
    x, y = digits_test[0], (digits_test[1] + 1) % 10
    cpu = find_cause(estimator(model, torch.device("cpu")), x, y)
    gpu = find_cause(estimator(model, CUDA), x.to(CUDA), y.to(CUDA))
    assert cpu is not None
    assert gpu is not None
    assert gpu.words == cpu.words


@pytest.mark.parametrize(
    "attack",
    [
        lambda target: FGSM(target, ThreatModel(eps=0.1)),
        lambda target: PGD(target, ThreatModel(eps=0.1), steps=4),
        lambda target: SPSA(target, ThreatModel(eps=0.1), steps=4, samples=8),
    ],
)
@pytest.mark.parametrize("randomness", [Randomness.none, Randomness.each_image])
def test_no_step_makes_the_host_wait(
    attack: object, randomness: Randomness, model: nn.Module, digits_test: tuple[Tensor, Tensor]
) -> None:
    """Fewer steps than lie between two looks at who has fallen: what remains are the steps alone."""
    x, y = (tensor[:50].to(CUDA) for tensor in digits_test)
    random = randomness is not Randomness.none
    subject = NoisyInput(model, 0.1) if random else model
    draws = 3 if random else 1
    with frozen(subject):
        target = estimator(subject, CUDA, eot=draws, votes=draws, randomness=randomness)
        run = attack(target)
        stream = torch.Generator(CUDA).manual_seed(0)
        run.search(x, y, stream, lambda *_: None)  # lazy initialisation may wait
        with synchronisation_is_an_error():
            explore = run.climb if isinstance(run, PGD) else run.explore
            explore(x, y, Candidates(x, y, target), stream, lambda *_: None)


@contextmanager
def synchronisation_is_an_error() -> Iterator[None]:
    torch.cuda.synchronize()
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)


@pytest.mark.parametrize("name", ["fgsm", "r_fgsm", "rfgsm", "nfgsm", "pgd"])
def test_examples_for_other_loops_are_made_on_the_gpu(
    model: nn.Module, digits_test: tuple[Tensor, Tensor], name: str
) -> None:
    x, y = (part[:50].to(CUDA) for part in digits_test)
    method = getattr(advtool.perturb, name)
    x_adv, again = (method(model.to(CUDA), x, y, eps=0.1, generator=seeded()) for _ in range(2))
    assert x_adv.device == x.device
    assert torch.equal(x_adv, again)
    assert x_adv.min() >= 0
    assert x_adv.max() <= 1
    assert (x_adv - x).abs().max() <= (0.2 if name == "nfgsm" else 0.1) + 1e-6
    with pytest.raises(InputError, match="the generator is on 'cpu' and the images on 'cuda"):
        method(model, x, y, generator=torch.Generator())


def seeded() -> torch.Generator:
    return torch.Generator(device=CUDA).manual_seed(0)
