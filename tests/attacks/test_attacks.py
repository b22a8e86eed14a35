"""Laws that hold for every attack, and agreement with ART's own code."""

import inspect
import math
import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from art.attacks.evasion import AutoAttack, FastGradientMethod, ProjectedGradientDescentPyTorch
from art.estimators.classification import PyTorchClassifier
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from advtool import attacks
from advtool.attacks.art_classifier import EOTClassifier
from advtool.attacks.base import TensorAttack, no_report
from advtool.attacks.candidates import Candidates, Found
from advtool.attacks.fgsm import FGSM
from advtool.attacks.losses import difference_of_logits_ratio
from advtool.attacks.pgd import PGD
from advtool.attacks.registry import ATTACKS, AttackSpec, build
from advtool.attacks.spelling import parse
from advtool.errors import InputError
from advtool.target.facts import Randomness
from advtool.target.handling import frozen
from advtool.target.scores import margin
from advtool.target.target import Target
from advtool.threat import ThreatModel
from tests.support.models import Linear, NoisyInput, mlp

SHAPE = (1, 4, 4)


def estimator(model: nn.Module | None = None, **options: object) -> Target:
    model = (model or mlp(SHAPE)).eval().requires_grad_(False)
    return Target(model, input_shape=SHAPE, classes=4, **options)


def images(count: int = 12, seed: int = 0) -> Tensor:
    return torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(seed))


TEXTS = (
    "fgsm",
    "pgd(restarts=2, steps=6)",
    "pgd(step_size=0.7, steps=3)",
    "pgd-margin(steps=6)",
    "pgd-temperature(steps=6)",
    "pgd-smooth(samples=3, steps=6)",
    "pgd-straight(steps=6)",
    "apgd(restarts=2, steps=6)",
    "apgd(loss='dlr', steps=6)",
    "apgd-targeted(steps=6, targets=2)",
    "doubling(steps=6, targets=2, spare=8)",
    "nearest(rounds=3, steps=4, reach=2)",
    "square(queries=30)",
    "spsa(samples=8, steps=6)",
    "noise(samples=5)",
    "transfer(steps=7)",
)
"""Every attack of ours, short."""


def attack(text: str, target: Target, eps: float, *, surrogate: Target | None = None, **more: object) -> TensorAttack:
    """The attack as it is written; ``transfer`` comes from a network of other weights if none is given."""
    (spec,) = parse([text], surrogate=True)
    other = surrogate or estimator(mlp(SHAPE, seed=7))
    asked = AttackSpec(spec.name, {**spec.parameters, **more})
    return build(asked, target, ThreatModel(eps=eps), defaults={}, surrogate=other)


def search(attack: TensorAttack, x: Tensor, y: Tensor) -> Found:
    return attack.search(x, y, torch.Generator().manual_seed(0), no_report)


def test_every_attack_is_held_to_the_laws_below() -> None:
    assert {parse([text], surrogate=True)[0].name for text in TEXTS} == ATTACKS.keys()


@pytest.mark.parametrize("text", [*TEXTS, "art:DeepFool(max_iter=5)"])
@settings(max_examples=20)
@given(
    eps=st.floats(1e-4, 1.0),
    seed=st.integers(0, 2**31),
    count=st.integers(1, 9),
    batch_size=st.sampled_from([1, 4, 1000]),
    randomness=st.sampled_from(list(Randomness)),
)
def test_examples_lie_in_the_ball_and_in_the_clip_range(
    text: str, eps: float, seed: int, count: int, batch_size: int, randomness: Randomness
) -> None:
    once_a_call = randomness is Randomness.each_call
    plain = mlp(SHAPE, seed=seed % 5)
    model = plain if randomness is Randomness.none else NoisyInput(plain, 0.1, once_a_call=once_a_call)
    target = estimator(model, randomness=randomness, eot=2, votes=2, batch_size=batch_size)
    x = images(count, seed).mul(1.5).sub(0.25).clamp(0, 1)  # many pixels on the edge of the range
    y = torch.randint(0, 4, (count,), generator=torch.Generator().manual_seed(seed))
    found = attack(text, target, eps).generate(x, y)
    assert found.shape == x.shape
    assert found.dtype == torch.float32
    assert found.isfinite().all()
    assert (found.double() - x.double()).abs().max() <= eps + 2.4e-7
    assert found.min() >= 0
    assert found.max() <= 1


class Recorder(nn.Module):
    """Keeps what passes through the model."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.passes: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.passes.append(x.detach().clone())
        return self.model(x)


@pytest.mark.parametrize("text", TEXTS)
def test_queries_are_the_passes_when_a_random_model_votes_on_what_fell(text: str) -> None:
    plain, x = mlp(SHAPE), images(30)
    recorder = Recorder(NoisyInput(plain, 0.02))
    target = estimator(recorder, randomness=Randomness.each_image, votes=20, eot=20, batch_size=50)
    found = search(attack(text, target, 0.3), x, plain(x).argmax(1))
    assert int(found.queries.sum()) == sum(map(len, recorder.passes)) == target.calls.forward


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("randomised", [False, True])
def test_queries_are_the_passes_through_the_model(text: str, randomised: bool) -> None:
    """Of all images together, fallen ones that were dropped included; more draws cost more."""
    plain, spent = mlp(SHAPE), {}
    x = images(30)
    y = plain(x).argmax(1)
    for eot in (1, 3) if randomised else (1,):
        recorder = Recorder(NoisyInput(plain, 0.1) if randomised else plain)
        target = estimator(
            recorder,
            randomness=Randomness.each_image if randomised else Randomness.none,
            votes=5 if randomised else 1,
            batch_size=50,
        )
        found = search(attack(text, target, 0.1, eot=eot), x, y)
        spent[eot] = sum(map(len, recorder.passes))
        assert int(found.queries.sum()) == spent[eot] == target.calls.forward
        assert (found.queries >= 1).all()
    assert not randomised or spent[3] > 1.5 * spent[1]


@pytest.mark.parametrize("text", TEXTS)
def test_most_queries_are_about_what_an_image_costs_that_nothing_breaks(text: str) -> None:
    target = estimator(mlp(SHAPE))
    x = images(8)
    asked = attack(text, target, 1e-3)
    found = search(asked, x, target.scores(x).argmax(1))
    assert found.x.sub(x).abs().max() <= 1e-3 + 1e-6
    assert int(found.queries.max()) <= 2 * asked.most_queries + 5


STEP_OF_A_PASS: dict[str, Callable[[int], float]] = {
    "pgd(restarts=2, steps=3)": lambda k: k // 4 * 3 + k % 4,
    "pgd-margin(steps=4)": lambda k: k,
    "pgd-temperature(steps=4)": lambda k: k,
    "pgd-straight(steps=4)": lambda k: k,
    "pgd-smooth(samples=2, steps=4)": lambda k: k // 2,  # the noised copies, then the point itself
    "apgd(restarts=2, steps=6)": lambda k: k // 7 * 6 + k % 7,
    # the first pass finds the targets
    "apgd-targeted(malt=None, steps=4, targets=2)": lambda k: (k - 1) // 5 * 4 + (k - 1) % 5,
    "square(queries=9)": lambda k: k,
    "spsa(samples=2, steps=3)": lambda k: k // 2 + 1,  # both sample points, then the step
    "noise(samples=4)": lambda k: k,
    "transfer(steps=12)": lambda k: (5, 10, 12)[k],
    "transfer(steps=3)": lambda k: k + 3,
}


@pytest.mark.parametrize("text", STEP_OF_A_PASS)
def test_step_tells_when_the_candidate_was_met(text: str) -> None:
    """No image falls at so small an eps, so that every pass holds them all."""
    recorder = Recorder(mlp(SHAPE))
    x = images(8)
    y = recorder(x).argmax(1)
    recorder.passes.clear()
    found = search(attack(text, estimator(recorder), 1e-3), x, y)
    assert (found.step >= 0).all()
    for image, candidate, step in zip(range(8), found.x, found.step.tolist(), strict=True):
        met = [k for k, batch in enumerate(recorder.passes) if torch.equal(batch[image], candidate)]
        assert step in map(STEP_OF_A_PASS[text], met), (image, step, met)


@pytest.mark.parametrize("text", ["pgd(restarts=3, steps=5)", "apgd(restarts=3, steps=5)"])
def test_of_starts_side_by_side_each_counts_its_own_steps(text: str) -> None:
    """One pass holds all starts, and of 200 images each start is the best for some."""
    target = estimator(mlp(SHAPE))
    x = images(200)
    found = search(attack(text, target, 0.02), x, target.scores(x).argmax(1))
    assert {int(step) // 5 for step in found.step} >= {0, 1, 2}


def test_the_steps_of_finalists_count_on_from_those_of_all_targets() -> None:
    """Three targets for two steps each, then the nearest for ten."""
    target, x = estimator(mlp(SHAPE)), images(30)
    found = search(
        attack("apgd-targeted(steps=10, targets=3, finalists=1)", target, 0.05), x, target.scores(x).argmax(1)
    )
    assert 10 < int(found.step.max()) <= 6 + 10


def test_the_nearest_example_knows_its_step() -> None:
    target = estimator(mlp(SHAPE))
    x = images(30)
    y = target.scores(x).argmax(1)
    found = search(attack("nearest(rounds=6, steps=5)", target, 0.05), x, y)
    fallen = (found.x != x).flatten(1).any(1)
    assert 0 < fallen.sum() < 30
    assert found.step[~fallen].eq(0).all()
    assert len(found.step[fallen].unique()) > 3


@pytest.mark.parametrize("text", TEXTS)
def test_a_report_never_falls_and_counts_images(text: str) -> None:
    told: list[tuple[float, float, int]] = []
    target = estimator(mlp(SHAPE))
    x = images(9)
    y = target.scores(x).argmax(1)
    attack(text, target, 0.02).search(x, y, torch.Generator().manual_seed(0), lambda *each: told.append(each))
    shares = [done / total for done, total, _ in told]
    assert shares == sorted(shares)
    assert 0 <= shares[0] <= shares[-1] <= 1
    assert all(0 <= standing <= 9 for *_, standing in told)


def test_one_step_is_the_first() -> None:
    found = search(attack("fgsm", estimator(), 0.1), images(), torch.arange(12) % 4)
    assert (found.step == 1).all()


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("classes", [2, 3])
def test_one_pixel_and_two_or_three_classes_are_enough(text: str, classes: int) -> None:
    """A single image of one grey pixel, 0.05 from the border of its class, in reach of eps 0.1."""
    weight = torch.tensor([[1.0], [0.0], [0.0]])[:classes]
    model = Linear(weight, torch.tensor([-0.5, 0.0, -9.0])[:classes])
    target = Target(model.requires_grad_(False), input_shape=(1, 1, 1), classes=classes)
    x, y = torch.full((1, 1, 1, 1), 0.55), torch.tensor([0])
    found = search(attack(text, target, 0.1, surrogate=target), x, y)
    assert target.scores(found.x).argmax(1) != y
    assert (found.x - x).abs().max() <= 0.1 + 2.4e-7


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("shape", [(3, 2, 5), (1, 5, 2), (2, 1, 6)])
def test_images_need_not_be_square_nor_grey(text: str, shape: tuple[int, int, int]) -> None:
    target = Target(mlp(shape, 3).requires_grad_(False), input_shape=shape, classes=3)
    x = torch.rand(7, *shape, generator=torch.Generator().manual_seed(0))
    y = target.scores(x).argmax(1)
    found = search(attack(text, target, 0.5, surrogate=target), x, y)
    assert found.x.shape == x.shape
    assert (found.x - x).abs().max() <= 0.5 + 2.4e-7
    assert bool((target.scores(found.x).argmax(1) != y).any()), "eps 0.5 breaks something"


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_scores_that_are_not_finite_lead_no_attack_astray(text: str, value: float) -> None:
    """Where the image is dark the model has no answer; what comes back is allowed and finite all the same."""

    class Hole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = mlp(SHAPE)

        def forward(self, x: Tensor) -> Tensor:
            logits = self.model(x)
            dark = x.flatten(1).mean(1, keepdim=True) < 0.5
            return torch.where(dark, value * logits.abs(), logits)

    x = images(16)
    found = search(attack(text, estimator(Hole()), 0.2), x, torch.arange(16) % 4)
    assert found.x.isfinite().all()
    assert (found.x - x).abs().max() <= 0.2 + 2.4e-7


def test_an_attack_returns_the_type_it_was_given() -> None:
    attack, x = FGSM(estimator(), ThreatModel(eps=0.1)), images()
    y = torch.arange(12) % 4
    from_tensors = attack.generate(x, y)
    from_arrays = attack.generate(x.numpy(), np.eye(4, dtype=np.float32)[y.numpy()])
    assert isinstance(from_tensors, Tensor)
    assert isinstance(from_arrays, np.ndarray)
    np.testing.assert_array_equal(from_tensors.numpy(), from_arrays)


@pytest.mark.parametrize(
    "labels",
    [
        np.arange(12) % 4,
        (np.arange(12) % 4)[:, None],
        np.eye(4)[np.arange(12) % 4],
        torch.eye(4, dtype=torch.bool)[torch.arange(12) % 4],
    ],
    ids=["indices", "column", "one-hot", "bool one-hot"],
)
def test_labels_are_taken_as_art_takes_them(labels: np.ndarray | Tensor) -> None:
    attack, x, y = FGSM(estimator(), ThreatModel(eps=0.1)), images(), torch.arange(12) % 4
    torch.testing.assert_close(attack.generate(x, labels), attack.generate(x, y))
    ours = attack.estimator
    torch.testing.assert_close(ours.loss_gradient(x, labels), ours.loss_gradient(x, y))


def test_images_and_labels_that_would_be_read_wrongly_are_refused() -> None:
    attack, x = PGD(estimator(), ThreatModel(eps=0.1)), images()
    nans = torch.full_like(x, math.nan)
    for wrong, said in ((255 * x, "these span"), (x - 1, "these span"), (nans, "these hold NaN")):
        with pytest.raises(InputError, match=rf"^images must lie in \[0, 1\], {said}"):
            attack.generate(wrong, torch.zeros(12))
    with pytest.raises(InputError, match=r"labels must be \(12,\)"):
        attack.generate(x, torch.zeros(11))
    with pytest.raises(InputError, match=r"^labels go up to 4, but the model has 4 classes \(0 to 3\).*--classes"):
        attack.generate(x, torch.full((12,), 4))


def test_images_may_have_a_graph_or_be_a_mirrored_view() -> None:
    attack, x = FGSM(estimator(), ThreatModel(eps=0.1)), images()
    y = torch.arange(12) % 4
    assert not attack.generate(x.clone().requires_grad_(), y).requires_grad
    mirrored = x.numpy()[..., ::-1]
    np.testing.assert_array_equal(attack.generate(mirrored, y), attack.generate(mirrored.copy(), y))


@pytest.mark.parametrize("text", TEXTS)
def test_an_attack_is_untargeted_in_arts_sense(text: str) -> None:
    assert attack(text, estimator(), 0.1).targeted is False


def test_arts_autoattack_runs_ours() -> None:
    ours = EOTClassifier(estimator())
    x, y = images(30), np.arange(30) % 4
    aimed = ATTACKS["apgd-targeted"](ours, ThreatModel(eps=0.05), steps=5)
    found = AutoAttack(estimator=ours, eps=0.05, attacks=[aimed]).generate(x.numpy(), y)
    assert np.abs(found - x.numpy()).max() <= 0.05 + 1e-6
    assert (ours.predict(found).argmax(1) == y).mean() < (ours.predict(x.numpy()).argmax(1) == y).mean()


@pytest.mark.parametrize("text", [*TEXTS, "art:DeepFool(max_iter=5)"])
def test_no_images_give_no_examples(text: str) -> None:
    target = estimator(NoisyInput(mlp(SHAPE), 0.1), randomness=Randomness.each_image, eot=2, votes=2)
    for labels in (None, torch.zeros(0, dtype=torch.long)):
        assert attack(text, target, 0.1).generate(images(0), labels).shape == (0, *SHAPE)


def test_without_labels_the_models_own_predictions_are_attacked() -> None:
    target, x = estimator(), images()
    own = target.scores(x).argmax(1)
    attack = FGSM(target, ThreatModel(eps=0.1))
    torch.testing.assert_close(attack.generate(x), attack.generate(x, own))


def test_fgsm_is_its_formula() -> None:
    weight = torch.tensor([[1.0, -2.0, 0.0, 3.0], [0.0, 0.0, 0.0, 0.0]])
    target = Target(Linear(weight, torch.zeros(2)).requires_grad_(False), input_shape=(1, 2, 2), classes=2)
    x = torch.full((1, 1, 2, 2), 0.5)
    found = FGSM(target, ThreatModel(eps=0.1)).generate(x, torch.tensor([0]))
    torch.testing.assert_close(found.flatten(), torch.tensor([0.4, 0.6, 0.5, 0.4]))


def test_fgsm_equals_arts() -> None:
    model, x = mlp(SHAPE).requires_grad_(False), images(50)
    y = torch.arange(50) % 4
    theirs = FastGradientMethod(art_classifier(model), eps=0.1, eps_step=0.1).generate(x.numpy(), y.numpy())
    np.testing.assert_allclose(FGSM(estimator(model), ThreatModel(eps=0.1)).generate(x, y).numpy(), theirs, atol=1e-6)


def test_arts_pgd_on_our_estimator_equals_arts_pgd_on_its_own() -> None:
    model, x = mlp(SHAPE).requires_grad_(False), images(50)
    y = torch.arange(50) % 4
    options = {"eps": 0.2, "eps_step": 0.02, "max_iter": 10, "verbose": False}
    theirs = ProjectedGradientDescentPyTorch(art_classifier(model), **options).generate(x.numpy(), y.numpy())
    ours = ProjectedGradientDescentPyTorch(EOTClassifier(estimator(model)), **options).generate(x.numpy(), y.numpy())
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_the_gradient_is_the_sum_where_arts_is_the_mean() -> None:
    model, x = mlp(SHAPE), images(7)
    y = np.eye(4, dtype=np.float32)[np.arange(7) % 4]
    theirs = art_classifier(model).loss_gradient(x.numpy(), y)
    np.testing.assert_allclose(
        EOTClassifier(estimator(model)).loss_gradient(x.numpy(), y), 7 * theirs, rtol=1e-5, atol=1e-7
    )


def test_no_parameter_gradient_is_filled_and_the_model_is_left_as_it_was() -> None:
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(16), nn.Dropout(0.5), nn.Linear(16, 4)).train()
    model[3].weight.requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with frozen(model):
        target = Target(model, input_shape=SHAPE, classes=4)
        assert not model[2].training
        PGD(target, ThreatModel(eps=0.1), steps=3).generate(images(), torch.arange(12) % 4)
    assert all(module.training for module in model.modules())
    assert [parameter.requires_grad for parameter in model.parameters()] == [True, True, False, True]
    assert all(parameter.grad is None for parameter in model.parameters())
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)


def test_votes_are_the_mean_softmax_and_eot_the_mean_gradient() -> None:
    """Against a transcription draw by draw; the noise is a function of the draw alone."""
    x, y, draws = images(3), torch.tensor([0, 1, 2]), 5
    model = CountedNoise(mlp(SHAPE))
    target = estimator(model, eot=draws, votes=draws, randomness=Randomness.each_call)
    softmax, slope = torch.zeros(3, 4), torch.zeros_like(x)
    for draw in range(draws):
        point = x.clone().requires_grad_()
        logits = model.model(point + 0.05 * draw)
        slope += torch.autograd.grad(nn.functional.cross_entropy(logits, y, reduction="sum"), point)[0] / draws
        softmax += logits.detach().softmax(1) / draws
    torch.testing.assert_close(target.scores(x).exp(), softmax)
    model.calls = 0
    scores, gradient = target.scores_and_gradient(x, y)
    torch.testing.assert_close(gradient, slope)
    torch.testing.assert_close(scores.exp(), softmax)
    assert (target.calls.forward, target.calls.backward) == (2 * 3 * draws, 3 * draws)


def test_a_search_without_gradients_goes_by_the_mean_margin_of_its_draws() -> None:
    x, y, draws = images(3), torch.tensor([0, 1, 2]), 5
    model = CountedNoise(mlp(SHAPE))
    target = estimator(model, eot=draws, randomness=Randomness.each_call)
    expected = torch.stack([margin(model.model(x + 0.05 * draw), y) for draw in range(draws)]).mean(0)
    torch.testing.assert_close(attack("square(queries=2)", target, 0.1).noisy_margins(x, y), expected)


class CountedNoise(nn.Module):
    """Adds 0.05 times the number of earlier calls to the input."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.calls = model, 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.model(x + 0.05 * (self.calls - 1))


@pytest.mark.parametrize("batch_size", [7, 1000, 100_000])
def test_draws_of_each_image_go_in_one_batch_and_average_to_the_same(batch_size: int) -> None:
    x, y = images(4), torch.arange(4)
    noisy = estimator(
        NoisyInput(mlp(SHAPE), 0.05),
        eot=2000,
        votes=2000,
        batch_size=batch_size,
        randomness=Randomness.each_image,
    )
    torch.manual_seed(0)
    scores, gradient = noisy.scores_and_gradient(x, y)
    other, other_gradient = noisy.scores_and_gradient(x, y)
    torch.testing.assert_close(scores.exp(), other.exp(), atol=0.02, rtol=0)
    torch.testing.assert_close(gradient, other_gradient, atol=0.05, rtol=0)
    torch.testing.assert_close(noisy.scores(x).exp(), scores.exp(), atol=0.02, rtol=0)


def test_a_class_that_is_ruled_out_leaves_the_ratio_of_logits_its_gradient() -> None:
    """A search takes minus infinity for 1 below the lowest logit; otherwise the ratio's denominator is infinite."""

    class TwoOfFour(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.two = mlp(SHAPE, classes=2)

        def forward(self, x: Tensor) -> Tensor:
            return torch.cat((self.two(x), torch.full((len(x), 2), -torch.inf)), 1)

    model = TwoOfFour()
    target, x = estimator(model), images(3)
    assert target.scores(x)[:, 2:].isneginf().all()
    expected = torch.cat((model.two(x), model.two(x).amin(1, keepdim=True).expand(-1, 2) - 1), 1)
    scores, gradient = target.scores_and_gradient(x, model.two(x).argmax(1), difference_of_logits_ratio)
    for found in (target.search_logits(x), target.search_draws(x, 1)[0], scores):
        torch.testing.assert_close(found, expected)
    assert gradient.flatten(1).any(1).all()


def test_a_model_that_cuts_the_graph_has_a_zero_gradient() -> None:
    class Cut(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = mlp(SHAPE)

        def forward(self, x: Tensor) -> Tensor:
            return self.model(x.detach())

    _, gradient = estimator(Cut()).scores_and_gradient(images(), torch.arange(12) % 4)
    assert (gradient == 0).all()


def test_margin_is_negative_exactly_where_the_prediction_is_wrong() -> None:
    scores = torch.tensor([[1.0, 2.0, 0.0], [5.0, -1.0, 4.0]])
    torch.testing.assert_close(margin(scores, torch.tensor([0, 0])), torch.tensor([-1.0, 1.0]))


def always(answer: int) -> nn.Module:
    """A model that gives every image of one pixel the class ``answer`` of two."""
    return Linear(torch.zeros(2, 1), torch.eye(2)[answer])


LABELS = torch.zeros(4, dtype=torch.long)


def test_candidates_keep_the_lowest_score_and_drop_the_fallen() -> None:
    x = torch.zeros(4, 1, 1, 1)
    found = Candidates(x, LABELS, estimator(always(1)))
    found.update(x + 0.1, torch.tensor([1.0, -1.0, 2.0, torch.nan]), 1)
    found.update(x + 0.2, torch.tensor([0.5, -0.5, 3.0, torch.nan]), 2)
    torch.testing.assert_close(found.x.flatten(), torch.tensor([0.2, 0.1, 0.1, 0.0]))
    assert found.drop_fallen().tolist() == [0, 2, 3]
    found.update(x[:3] + 0.3, torch.tensor([-1.0, 9.0, 1.0]), 3)
    torch.testing.assert_close(found.x.flatten(), torch.tensor([0.3, 0.1, 0.1, 0.3]))
    assert found.drop_fallen(at_least=0.5) is None
    assert found.drop_fallen(at_least=0.25).tolist() == [1, 2]
    assert found.rows.tolist() == [2, 3]


def test_what_fell_by_the_search_forms_rounding_alone_is_not_dropped() -> None:
    found = Candidates(torch.zeros(4, 1, 1, 1), LABELS, estimator(always(0)))
    found.update(torch.ones(4, 1, 1, 1), torch.tensor([-1.0, -1.0, 1.0, -1.0]), 1)
    assert found.drop_fallen() is None
    torch.testing.assert_close(found.score, torch.ones(4))
    assert found.queries.tolist() == [1, 1, 0, 1]


def test_searches_side_by_side_leave_the_best_of_each_image() -> None:
    """Two searches of three images fill a pass of six; the third search sees the image that still stands."""
    target = estimator(Linear(torch.tensor([[0.0], [1.0]]), torch.tensor([4.5, 0.0])), batch_size=6)  # falls above 4.5
    found = Candidates(torch.zeros(3, 1, 1, 1), LABELS[:3], target)
    rounds = []
    for first, beside, images in found.rounds(3, queries=1, steps=10, earlier=2):
        rounds.append((first, images.tolist()))
        beside.spend(5)
        points = torch.arange(1.0, len(images) + 1)
        beside.update(points.view(-1, 1, 1, 1), 4.5 - points, 7)
    assert rounds == [(2, [0, 1, 2, 0, 1, 2]), (4, [0])]
    assert found.x.flatten().tolist() == [4.0, 5.0, 6.0], "the second search went further with each"
    assert found.step.tolist() == [37, 37, 37], "its steps count on from those of the three before it"
    assert found.queries.tolist() == [15, 11, 11], "five a search, and one to confirm the fall"


def test_one_noisy_misclassification_drops_nothing() -> None:
    random = estimator(always(1), randomness=Randomness.each_call)
    found = Candidates(torch.zeros(2, 1, 1, 1), LABELS[:2], random)
    found.update(torch.ones(2, 1, 1, 1), torch.tensor([-1.0, -1.0]), 1)
    assert found.drop_fallen() is None
    assert len(found.rows) == 2


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (["paper"], ["fgsm", "pgd", "spsa"]),
        (["pgd", "paper", "pgd"], ["pgd", "fgsm", "spsa"]),
        (["pgd(steps=7)", "pgd"], ["pgd(steps=7)", "pgd"]),
        (["art:SquareAttack( max_iter = 5 )"], ["art:SquareAttack(max_iter=5)"]),
        (["pgd(steps=2, restarts=3)", "pgd(restarts=3,steps=2)"], ["pgd(restarts=3, steps=2)"]),
    ],
)
def test_attacks_are_read_as_they_are_written(text: list[str], names: list[str]) -> None:
    assert [spec.label for spec in parse(text)] == names


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("pdg", "did you mean 'pgd'"),
        ("pgd(stps=3)", "did you mean 'steps'"),
        ("pgd(eps=3)", "--eps"),
        ("pgd(3)", "NAME(parameter=value"),
        ("pgd(steps=open('x'))", "'steps' must be a number"),
        ("apgd(loss=dlr)", "'loss' must be a number, True, None, text in quotes"),
        ("pgd(steps=1,steps=2)", "^attack 'pgd(steps=1,steps=2)': 'steps' is given twice: give it once$"),
        ("pgd(steps=1", "or art:CLASS(...)$"),
        ("pdg(steps=1", "did you mean 'pgd'"),
        ("__import__('os')", "NAME(parameter=value"),
        ("art:SquareAtack", "did you mean 'SquareAttack'"),
        ("art:squareattack", "did you mean 'SquareAttack'"),
        ("", "NAME"),
    ],
)
def test_bad_attacks_are_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(InputError, match=re.sub(r"[()]", r"\\\g<0>", words)):
        parse([text])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("pgd(steps=0)", "steps=0 must be an integer of at least 1"),
        ("pgd(step_size=-1)", "step_size=-1 must be a number above 0"),
        ("spsa(samples=7)", "samples=7 must be even"),
        ("art:SquareAttack(eps=1)", "eps comes from the threat model, leave eps out"),
        ("art:DeepFool(estimator=1)", "the model is the run's, leave estimator out"),
        ("art:BoundaryAttack(targeted=True)", "attacks are untargeted in advtool, leave targeted out"),
        ("art:SquareAttack(max_itr=1)", "did you mean 'max_iter'"),
    ],
)
def test_bad_parameters_are_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        build(parse([text])[0], estimator(), ThreatModel(eps=0.1), defaults={})


def art_classifier(model: nn.Module) -> PyTorchClassifier:
    return PyTorchClassifier(
        model,
        loss=nn.CrossEntropyLoss(),
        input_shape=SHAPE,
        nb_classes=4,
        clip_values=(0.0, 1.0),
        device_type="cpu",
    )


@pytest.mark.parametrize("name", ["pgd-margin", "apgd-targeted", "pgd-smooth", "transfer"])
@pytest.mark.parametrize("parameter", ["eot", "steps"])
def test_a_bad_parameter_is_told_by_the_name_that_was_asked_for(name: str, parameter: str) -> None:
    with pytest.raises(InputError, match=rf"^{name}: {parameter}=0 must be an integer"):
        attack(name, estimator(mlp()), 0.1, **{parameter: 0})


def test_a_signature_tells_the_parameters_that_a_class_declares() -> None:
    assert str(inspect.signature(FGSM)) == (
        "(target: advtool.target.target.Target | advtool.attacks.art_classifier.EOTClassifier, "
        "threat_model: advtool.threat.ThreatModel, *, eot=None)"
    )
    own = list(inspect.signature(PGD).parameters.values())[2:]
    assert [(each.name, each.default) for each in own] == [
        ("steps", 50), ("step_size", None), ("restarts", 1), ("eot", None)
    ]  # fmt: skip
    assert list(inspect.signature(ATTACKS["transfer"]).parameters) == [
        "target", "threat_model", "surrogate", "steps", "eot"
    ]  # fmt: skip
    with pytest.raises(TypeError, match=r"PGD\(\) got an unexpected keyword argument 'stps'"):
        PGD(estimator(), ThreatModel(eps=0.1), stps=3)


def test_parameters_are_set_as_art_sets_them_and_checked() -> None:
    attack = PGD(estimator(eot=3), ThreatModel(eps=0.1))
    assert attack.parameters() == {"steps": 50, "step_size": 0.004, "restarts": 1, "eot": 3}
    attack.set_params(steps=10)
    assert attack.step_size == 0.02, "2 eps / steps, whatever the steps are now"
    attack.set_params(step_size=0.5)
    attack.set_params(steps=20)
    assert attack.step_size == 0.5
    with pytest.raises(InputError, match=r"^pgd: steps=0 must be an integer of at least 1$"):
        attack.set_params(steps=0)
    with pytest.raises(InputError, match=r"^spsa: samples=3 must be even"):
        attack_of("spsa").set_params(samples=3)


def attack_of(name: str) -> TensorAttack:
    return ATTACKS[name](estimator(), ThreatModel(eps=0.1))


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_art_users_import_an_attack_by_the_name_of_its_class(attack: type[TensorAttack]) -> None:
    assert getattr(attacks, attack.__name__) is attack
    with pytest.raises(AttributeError, match=r"module 'advtool.attacks' has no attribute"):
        getattr(attacks, attack.__name__ + "s")
