"""``make gpu-check``: the GPU agrees with the CPU, and no attack makes the host wait inside a step."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn

import advtool
from advtool import training
from advtool.attacks.apgd import APGD, LOSSES
from advtool.attacks.base import TensorAttack, no_report
from advtool.attacks.candidates import Candidates
from advtool.attacks.fgsm import FGSM
from advtool.attacks.noise import Noise
from advtool.attacks.pgd import PGD
from advtool.attacks.pgd_smooth import SmoothPGD
from advtool.attacks.spsa import SPSA
from advtool.attacks.square import Square
from advtool.data import load, to_float
from advtool.errors import InputError
from advtool.evaluation.causes import find_cause
from advtool.evaluation.verification import verify
from advtool.target.facts import Randomness
from advtool.target.handling import frozen
from advtool.target.target import Target
from advtool.threat import ThreatModel
from advtool.training.recipes import recipe_for
from advtool.training.schedule import Updates
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


@pytest.mark.parametrize("random", [False, True])
def test_audits_run_on_the_gpu(model: nn.Module, digits_test: tuple[Tensor, Tensor], random: bool) -> None:
    """Every stage of a cascade: proofs, planted examples and known noise too."""
    x, y = (part[:10] for part in digits_test)
    subject = NoisyInput(model, 0.1) if random else model
    asked = {"eps": 0.05, "attacks": "audit", "pgd_steps": 5, "certify": None if random else True}
    cpu, gpu = (advtool.evaluate(subject, x, y, **asked, device=device) for device in ("cpu", CUDA))
    assert [attack.name for attack in gpu.attacks] == [attack.name for attack in cpu.attacks]
    assert abs(cpu.worst_case.robust - gpu.worst_case.robust) <= (4 if random else 1)
    assert gpu.planted is not None
    assert (gpu.known_noise is not None) == random


@pytest.mark.parametrize("answer", [Tensor.cpu, lambda logits: logits.detach().cpu().numpy()])
def test_a_model_on_the_gpu_may_answer_on_the_cpu(
    model: nn.Module, digits_test: tuple[Tensor, Tensor], answer: Callable[[Tensor], object]
) -> None:
    x, y = (part[:50] for part in digits_test)
    asked = {"eps": 0.1, "attacks": ["pgd", "square(queries=50)"], "pgd_steps": 5, "device": CUDA}
    plain = advtool.evaluate(model, x, y, **asked)
    result = advtool.evaluate(Network(lambda images, inner: answer(inner(images)), model), x, y, **asked)
    assert result.clean.correct == plain.clean.correct
    assert abs(result.attacks[1].accuracy - plain.attacks[1].accuracy) <= 0.02


@pytest.mark.parametrize(
    ("recipe", "settings"), [("apb", {"bias": "multimodal"}), ("nfgsm", {"pnil": True, "eot": 2}), ("ibp", {})]
)
def test_each_kind_of_training_runs_on_the_gpu(recipe: str, settings: dict[str, object]) -> None:
    trained = training.train("digits", recipe, eps=0.1, epochs=2, device=CUDA, **settings)
    assert next(trained.model.parameters()).device.type == CUDA.type
    assert trained.header.metrics["clean_accuracy"] > 0.1


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_training_on_the_gpu_goes_on_from_its_state(optimizer: str) -> None:
    recipe = recipe_for("digits", "clean", optimizer=optimizer)
    images = torch.ones(2, 4, device=CUDA)

    def updates_of(layer: nn.Module) -> Updates:
        return Updates(layer, recipe, lambda _: 0.1, steps=3)

    layer = nn.Linear(4, 3).to(CUDA)
    updates = updates_of(layer)
    for _ in range(2):
        updates.step(layer(images).square().sum())
    twin = copy.deepcopy(layer)
    restored = updates_of(twin)
    restored.restore(updates.state())
    updates.step(layer(images).square().sum())
    restored.step(twin(images).square().sum())
    assert torch.equal(layer.weight, twin.weight)


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
        lambda target: APGD(target, ThreatModel(eps=0.1), steps=4),
        lambda target: APGD(target, ThreatModel(eps=0.1), steps=4, loss="dlr"),
        lambda target: SmoothPGD(target, ThreatModel(eps=0.1), steps=4, samples=2),
        lambda target: Square(target, ThreatModel(eps=0.1), queries=4),
        lambda target: Noise(target, ThreatModel(eps=0.1), samples=4),
    ],
)
@pytest.mark.parametrize("randomness", [Randomness.none, Randomness.each_image])
def test_no_step_makes_the_host_wait(
    attack: Callable[[Target], TensorAttack],
    randomness: Randomness,
    model: nn.Module,
    digits_test: tuple[Tensor, Tensor],
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
        run.search(x, y, stream)  # lazy initialisation may wait
        with synchronisation_is_an_error():
            search_once(run, x, y, Candidates(x, y, target), stream)


def search_once(run: TensorAttack, x: Tensor, y: Tensor, found: Candidates, stream: torch.Generator) -> None:
    """One start. What begins and ends a round of starts may wait."""
    if isinstance(run, APGD):
        run.climb(x, y, y, LOSSES[run.loss], found, stream, no_report)
    elif isinstance(run, PGD):
        run.climb(x, y, found, stream, no_report)
    else:
        run.explore(x, y, found, stream, no_report)


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
