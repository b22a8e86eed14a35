"""Each fact about a model is found on a tiny model that has this fact alone."""

import cProfile
import pstats
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import grad

import advtool
from advtool.errors import InputError
from advtool.evaluation.observer import Observer
from advtool.target.adapting import adapted
from advtool.target.facts import Autograd, Needs, Randomness
from advtool.target.handling import handled
from advtool.target.inspection import inspect
from advtool.target.making import open_target
from advtool.target.preflight import preflight
from advtool.target.probing import _differ_in_mean, differ
from advtool.target.target import Target
from tests.support.models import NoisyInput, Scaled, mlp
from tests.support.strange import SHAPE, Around


@dataclass(frozen=True)
class Found:
    """The facts of the preflight and of the inspection that these tests look at."""

    train_mode: bool = False
    batch_dependent: bool = False
    probabilities: bool = False
    differentiates: bool = False
    no_gradient: bool = False
    ends_ignored: bool = False
    saturated: float = 0.0
    vanishing: float = 0.0
    blind: float = 0.0
    undefined: float = 0.0


PLAIN = Found()


class Ascending(nn.Module):
    """Takes a gradient step on the input before it answers."""

    def __init__(self, differentiate: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.model, self.differentiate = mlp(SHAPE), differentiate

    def forward(self, x: Tensor) -> Tensor:
        with torch.enable_grad():
            point = x.detach().requires_grad_()
            slope = self.differentiate(self.model(point).logsumexp(1).sum(), point)
        return self.model(x - 0.01 * slope.detach())


def by_backward(value: Tensor, point: Tensor) -> Tensor:
    value.backward()
    assert point.grad is not None
    return point.grad


def by_functional_backward(value: Tensor, point: Tensor) -> Tensor:
    torch.autograd.backward([value])
    assert point.grad is not None
    return point.grad


class CentresByBatch(nn.Module):
    """Subtracts the batch's mean, in eval mode too."""

    def __init__(self) -> None:
        super().__init__()
        self.model = mlp(SHAPE)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x - x.mean(0))


class AddsPlaceInBatch(nn.Module):
    """Adds the image's place in the batch to a logit."""

    def __init__(self) -> None:
        super().__init__()
        self.model = mlp(SHAPE)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x) + torch.arange(len(x)).view(-1, 1) * torch.eye(4)[0]


def images(count: int = 40) -> Tensor:
    """Images with every fifth pixel at an end of the clip range."""
    x = torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(0)) * 0.6 + 0.2
    x.view(-1)[::10], x.view(-1)[5::10] = 0, 1
    return x


def facts(model: nn.Module, *, count: int = 40) -> Found:
    x = images(count)
    with handled(model.eval(), torch.device("cpu")) as ours:
        target, before = open_target(ours, x)
        target.batch_size = 16
        after = inspect(target, x, torch.arange(count) % 4)
    names = ("train_mode", "batch_dependent", "probabilities", "differentiates")
    return Found(
        **{name: getattr(before, name) for name in names},
        no_gradient=before.autograd is Autograd.none,
        **after.model_dump(),
    )


@pytest.mark.parametrize("count", [1, 8, 40])
def test_a_plain_model_has_none_of_the_facts(count: int) -> None:
    assert facts(mlp(SHAPE), count=count) == PLAIN


MODELS: dict[str, tuple[Callable[[], nn.Module], dict[str, bool]]] = {
    "softmax": (lambda: Around(after=lambda z: z.softmax(1)), {"probabilities": True}),
    "sigmoids": (lambda: Around(after=lambda z: (8 * z).sigmoid()), {"probabilities": True}),
    "half of the sigmoids' range": (lambda: Around(after=lambda z: (8 * z).sigmoid() / 2), {}),
    "log of softmax": (lambda: Around(after=lambda z: z.log_softmax(1)), {}),
    "positive logits": (lambda: Around(after=nn.functional.softplus), {}),
    "grad": (lambda: Ascending(lambda value, point: torch.autograd.grad(value, point)[0]), {"differentiates": True}),
    "grad by its name": (lambda: Ascending(lambda value, point: grad(value, point)[0]), {"differentiates": True}),
    "backward": (lambda: Ascending(by_backward), {"differentiates": True}),
    "functional backward": (lambda: Ascending(by_functional_backward), {"differentiates": True}),
    "batch": (CentresByBatch, {"batch_dependent": True}),
    "place": (AddsPlaceInBatch, {"batch_dependent": True}),
    "clamped": (lambda: Around(before=lambda x: x.clamp(0.1, 0.9)), {"ends_ignored": True}),
    "float64 inside": (lambda: Around(before=lambda x: x.double().float()), {}),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_shows_its_own_fact_and_no_other(name: str) -> None:
    build, true = MODELS[name]
    assert facts(build()) == replace(PLAIN, **true)


def test_a_clamp_to_the_clip_range_ignores_its_ends_if_torch_gives_them_no_gradient() -> None:
    """The gradient at the ends is 1 in some versions of torch and 0 in others."""
    end = torch.zeros(1, requires_grad=True)
    (slope,) = torch.autograd.grad(end.clamp(0, 1), end)
    assert facts(Around(before=lambda x: x.clamp(0, 1))).ends_ignored == (slope.item() == 0)


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("output detached", lambda: Around(after=lambda z: z.detach())),
        ("input detached", lambda: Around(before=lambda x: x.detach())),
        ("by NumPy", lambda: Around(before=lambda x: torch.from_numpy(x.detach().numpy().copy()))),
        ("arg max", lambda: Around(after=lambda z: torch.eye(4)[z.argmax(1)])),
    ],
)
def test_a_cut_graph_has_no_gradient_anywhere(name: str, model: Callable[[], nn.Module]) -> None:
    found = facts(model())
    assert found.no_gradient
    assert found.vanishing == 1
    assert not found.ends_ignored


def test_rounding_has_a_graph_but_no_gradient() -> None:
    found = facts(Around(before=lambda x: (15 * x).round() / 15))
    assert found == replace(PLAIN, vanishing=1.0, blind=1.0)


def test_large_logits_saturate_the_softmax() -> None:
    found = facts(Scaled(mlp(SHAPE), 10_000))
    assert found.saturated == 1
    assert found == replace(PLAIN, saturated=found.saturated, vanishing=found.vanishing)
    assert 0 < found.vanishing < 1, "the cross entropy of a wrong image still has a gradient"


def test_saturation_is_a_share_of_the_images() -> None:
    """The 10 brightest of 40 images have logits far apart."""

    class Bright(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            level = x.flatten(1).mean(1, keepdim=True)
            scale = torch.where(level >= images().flatten(1).mean(1).sort().values[30], 500.0, 1.0)
            return scale * level * torch.tensor([4.0, 3.0, 2.0, 1.0])

    assert facts(Bright()).saturated == 0.25


@contextmanager
def opened(model: nn.Module, x: Tensor) -> Iterator[Target]:
    with handled(model, torch.device("cpu")) as ours:
        yield open_target(ours, x)[0]


class WithMask(nn.Module):
    """A model with noise, two of whose classes are ruled out by a constant."""

    def __init__(self, noise: float, ruled_out: float) -> None:
        super().__init__()
        self.model, self.ruled_out = NoisyInput(mlp(SHAPE), noise), ruled_out

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.model(x)
        return torch.cat([logits, torch.full((len(x), 2), self.ruled_out)], 1)


@pytest.mark.parametrize("ruled_out", [-1e9, torch.finfo(torch.float32).min, -torch.inf, 0.0])
@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_a_mask_on_the_outputs_hides_no_noise(noise: float, ruled_out: float) -> None:
    x = torch.rand(8, *SHAPE, generator=torch.Generator().manual_seed(0))
    with opened(WithMask(noise, ruled_out), x) as target:
        assert target.randomness is (Randomness.each_image if noise else Randomness.none)


class Single(nn.Module):
    """One number for each image: its brightness above ``threshold``."""

    def __init__(self, threshold: float, probability: bool) -> None:
        super().__init__()
        self.threshold, self.probability = threshold, probability

    def forward(self, x: Tensor) -> Tensor:
        logit = x.flatten(1).mean(1) - self.threshold
        return logit.sigmoid() if self.probability else logit


@pytest.mark.parametrize("probability", [False, True])
def test_one_number_is_a_logit_if_any_image_takes_it_out_of_the_unit_interval(probability: bool) -> None:
    """The few images are bright, so that the logits of these alone could be probabilities."""
    bright = 0.9 + 0.1 * torch.rand(8, *SHAPE, generator=torch.Generator().manual_seed(0))
    middling = torch.full((1, *SHAPE), 0.65)
    with opened(Single(0.6, probability), bright) as target:
        assert target.scores(middling).argmax(1).item() == 1, "its logit is 0.05, its probability 0.51"


class WithState(nn.Module):
    """Gives a hidden state (2, N, 7), and then the logits."""

    def __init__(self) -> None:
        super().__init__()
        self.model = mlp(SHAPE)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return torch.zeros(2, len(x), 7), self.model(x)


@pytest.mark.parametrize("count", [2, 3, 8])
def test_a_hidden_state_is_not_taken_for_logits(count: int) -> None:
    x = torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(0))
    with opened(WithState(), x) as target:
        assert target.scores(x[:2]).equal(mlp(SHAPE)(x[:2]))


@pytest.mark.parametrize(("share", "told"), [(0.9e-5, False), (1.1e-5, True)])
def test_equal_calls_may_differ_by_a_share_of_the_largest_logit(share: float, told: bool) -> None:
    logits = torch.tensor([[50.0, 1.0, 0.0], [-4.0, 2.0, 1.0]])
    moved = logits + torch.tensor([[0.0, 0.0, 50 * share], [0.0, 0.0, 0.0]])
    assert differ(logits, moved) is told


@pytest.mark.parametrize(("errors", "told"), [(9.0, False), (11.0, True)])
def test_two_means_differ_beyond_rounding_and_ten_standard_errors(errors: float, told: bool) -> None:
    """Of a few means that are compared, one at 3 standard errors would be no surprise."""
    noise = torch.randn(14, 3, generator=torch.Generator().manual_seed(0))
    noise -= noise.mean(0)
    shift = errors * noise[:, 1].std() / 14**0.5
    usual = torch.tensor([2.0, 1.0, 0.0]).expand(14, 3)
    assert _differ_in_mean(usual, usual + noise + shift * torch.tensor([0.0, 1.0, 0.0])) is told
    assert not _differ_in_mean(usual, usual + 0.9e-3 * 2), "all draws differ alike, by rounding"
    assert _differ_in_mean(usual, usual + 1.1e-3 * 2)


def test_noise_is_not_taken_for_a_dependence_on_the_batch() -> None:
    found = facts(NoisyInput(mlp(SHAPE), 0.3))
    assert found == PLAIN


def test_no_end_is_ignored_if_no_pixel_lies_at_an_end() -> None:
    x = torch.full((8, *SHAPE), 0.5)
    model = Around(before=lambda x: x.clamp(0.1, 0.9)).requires_grad_(False)
    target = Target(model, input_shape=SHAPE, classes=4)
    assert not inspect(target, x, torch.arange(8) % 4).ends_ignored


def test_the_users_profiler_is_set_again() -> None:
    def profiler(*_: object) -> None:
        """Does nothing."""

    before = sys.getprofile()
    sys.setprofile(profiler)
    try:
        facts(mlp(SHAPE))
        assert sys.getprofile() is profiler
    finally:
        sys.setprofile(before)


def test_profiling_goes_on_after_the_preflight() -> None:
    profile = cProfile.Profile()
    found = profile.runcall(facts, mlp(SHAPE))
    assert found == PLAIN
    called = {(Path(file).name, name) for file, _, name in pstats.Stats(profile).stats}
    assert ("inspection.py", "inspect") in called, "inspect runs after the preflight has watched for autograd"


@pytest.mark.parametrize(
    ("name", "code"), [("softmax", "probabilities"), ("backward", "gradient-in-forward"), ("clamped", "ends-ignored")]
)
def test_a_fact_becomes_a_warning_and_the_model_is_left_as_it_was(name: str, code: str) -> None:
    model = MODELS[name][0]().eval()
    x = images()
    y = model(x).argmax(1)
    model.zero_grad(set_to_none=True)
    result = advtool.evaluate(model, x, y, eps=0.1, attacks=["fgsm"])
    assert [finding.code for finding in result.warnings if finding.kind == "setup"] == [code]
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())


def test_train_mode_becomes_a_warning_and_is_put_back() -> None:
    model = nn.Sequential(nn.Dropout(0.5), mlp(SHAPE)).eval()
    x = images()
    y = model(x).argmax(1)
    assert advtool.evaluate(model, x, y, eps=0.1, attacks=["fgsm"]).warnings == []
    model[0].train()
    result = advtool.evaluate(model, x, y, eps=0.1, attacks=["fgsm"])
    assert [finding.code for finding in result.warnings] == ["train-mode"]
    assert result.clean.accuracy == 1, "evaluated in eval mode"
    assert model[0].training
    assert not model[1].training


@pytest.mark.parametrize("once_a_call", [False, True])
@pytest.mark.parametrize("wrong", [CentresByBatch, AddsPlaceInBatch])
def test_a_noisy_model_that_depends_on_its_batch_is_found(wrong: Callable[[], nn.Module], once_a_call: bool) -> None:
    model = NoisyInput(wrong(), 0.05, once_a_call=once_a_call)
    assert facts(model).batch_dependent


@pytest.mark.parametrize("seed", range(5))
def test_pixelwise_noise_does_not_depend_on_the_batch(seed: int) -> None:
    model = advtool.with_pnil(mlp(SHAPE, seed=seed), input_shape=SHAPE)
    torch.manual_seed(seed)
    for count in (1, 8):
        assert not facts(model, count=count).batch_dependent


def test_noise_that_cannot_be_seeded_averages_out() -> None:
    own = torch.Generator().manual_seed(0)
    model = Around(before=lambda x: x + 0.3 * torch.randn(x.shape, generator=own))
    assert not facts(model).batch_dependent


def test_a_note_says_that_the_outputs_do_not_vary() -> None:
    class Notes(Observer):
        heard: ClassVar[list[str]] = []

        def note(self, message: str) -> None:
            self.heard.append(message)

    model = mlp(SHAPE)
    advtool.evaluate(model, images(), model(images()).argmax(1), attacks=["fgsm"], observer=Notes())
    assert "outputs do not vary between identical calls: 1 EOT sample a gradient, 1 vote a prediction" in Notes.heard


def test_a_model_that_works_in_place_on_its_input_gets_a_copy() -> None:
    in_place, plain = Around(before=lambda x: x.mul_(2).sub_(1)), Around(before=lambda x: 2 * x - 1)
    x = images()
    y = plain(x).argmax(1)
    y[:10] = (y[:10] + 1) % 4
    found, expected = (advtool.evaluate(model, x, y, eps=0.05, attacks=["paper"]) for model in (in_place, plain))
    assert x.equal(images())
    assert found.clean == expected.clean
    assert [attack.robust for attack in found.attacks] == [attack.robust for attack in expected.attacks]


def test_attacks_without_gradients_break_a_model_that_autograd_refuses() -> None:
    model = Around(before=lambda x: x // 0.25 * 0.25)
    x = images()
    result = advtool.evaluate(model, x, model(x).argmax(1), eps=0.1, attacks=["pgd", "square(queries=300)"])
    told = next(finding for finding in result.warnings if finding.code == "no-gradient")
    assert told.kind == "masking"
    assert "floor_divide" in told.message
    pgd, square = result.attacks
    assert square.robust < pgd.robust <= result.clean.correct


class OfCudnn(torch.autograd.Function):
    """Refuses its backward pass if cuDNN was on in the forward pass, as recurrent layers do in eval mode."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.enabled = torch.backends.cudnn.enabled
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        if ctx.enabled:
            raise RuntimeError("cudnn RNN backward can only be called in training mode")
        return gradients[0]


def test_a_model_that_needs_no_cudnn_gets_its_gradient_without_cudnn() -> None:
    """A stand-in plays the recurrent layers, because they refuse only on CUDA."""
    x = images()
    recurrent, plain = Around(before=OfCudnn.apply), Around()
    with handled(recurrent.eval(), torch.device("cpu")) as ours:
        target = Target(adapted(ours, Needs(no_cudnn=True)), input_shape=SHAPE, classes=4)
        with pytest.raises(InputError, match="cudnn RNN backward"):
            Target(recurrent, input_shape=SHAPE, classes=4).scores_and_gradient(x, torch.arange(40) % 4)
        _, gradient = target.scores_and_gradient(x, torch.arange(40) % 4)
        assert torch.backends.cudnn.enabled
    _, expected = Target(plain.eval(), input_shape=SHAPE, classes=4).scores_and_gradient(x, torch.arange(40) % 4)
    torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize("count", [2, 3, 6, 8])
def test_memory_that_is_too_short_for_three_images_is_no_fault_of_the_model(count: int) -> None:
    class Large(Around):
        def forward(self, x: Tensor) -> Tensor:
            if len(x) > 2:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().forward(x)

    with handled(Large().eval(), torch.device("cpu")) as ours, pytest.raises(torch.OutOfMemoryError):
        preflight(ours, torch.rand(count, *SHAPE))
