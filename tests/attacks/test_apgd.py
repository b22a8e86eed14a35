"""APGD against the paper: its losses, its schedule, its algorithm; and ART's as an oracle."""

import math

import numpy as np
import pytest
import torch
from art.attacks.evasion import AutoProjectedGradientDescent
from art.estimators.classification import PyTorchClassifier
from torch import Tensor, nn

import advtool
from advtool.attacks.apgd import APGD, checkpoints
from advtool.attacks.apgd_targeted import TargetedAPGD
from advtool.attacks.base import no_report
from advtool.attacks.losses import (
    difference_of_logits_ratio,
    negative_probability_margin,
    targeted_difference_of_logits_ratio,
)
from advtool.attacks.registry import build
from advtool.attacks.spelling import parse
from advtool.errors import InputError
from advtool.target.facts import Randomness
from advtool.target.target import Target
from advtool.threat import ThreatModel
from tests.evaluation.test_audit import digits, network
from tests.support.linear import EPS, problem
from tests.support.models import Linear, mlp

SHAPE = (1, 4, 4)


def logits(classes: int, count: int = 200) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(classes)
    y = torch.randint(0, classes, (count,), generator=generator)
    return 5 * torch.randn(count, classes, generator=generator), y


def dlr(z: np.ndarray, y: int) -> float:
    """Equation 6, of one image."""
    descending = np.sort(z)[::-1]
    return float(-(z[y] - np.delete(z, y).max()) / (descending[0] - descending[2]))


def probability_margin(z: np.ndarray, y: int) -> float:
    """The margin of PMA, of one image."""
    p = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
    return float(p[y] - np.delete(p, y).max())


def targeted_dlr(z: np.ndarray, y: int, t: int) -> float:
    """Equation 7, of one image."""
    descending = np.sort(z)[::-1]
    return float(-(z[y] - z[t]) / (descending[0] - (descending[2] + descending[3]) / 2))


@pytest.mark.parametrize("classes", [3, 4, 10])
def test_dlr_is_equation_6(classes: int) -> None:
    z, y = logits(classes)
    expected = [dlr(row, label) for row, label in zip(z.double().numpy(), y.tolist(), strict=True)]
    np.testing.assert_allclose(difference_of_logits_ratio(z, y).numpy(), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_pma_is_the_margin_of_probabilities(classes: int) -> None:
    z, y = logits(classes)
    expected = [-probability_margin(row, label) for row, label in zip(z.double().numpy(), y.tolist(), strict=True)]
    np.testing.assert_allclose(negative_probability_margin(z, y).numpy(), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("classes", [4, 5, 10])
def test_targeted_dlr_is_equation_7(classes: int) -> None:
    z, y = logits(classes)
    t = (y + 1 + torch.arange(len(y)) % (classes - 1)) % classes
    expected = [
        targeted_dlr(row, label, target)
        for row, label, target in zip(z.double().numpy(), y.tolist(), t.tolist(), strict=True)
    ]
    found = targeted_difference_of_logits_ratio(z, torch.stack((y, t), 1))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("scale", "offset"), [(1000.0, 0.0), (0.01, 0.0), (1.0, 50.0)])
def test_both_ratios_are_free_of_scale_and_offset(scale: float, offset: float) -> None:
    z, y = logits(10)
    goal = torch.stack((y, (y + 1) % 10), 1)
    moved = scale * z + offset
    torch.testing.assert_close(
        difference_of_logits_ratio(moved, y), difference_of_logits_ratio(z, y), rtol=1e-3, atol=1e-4
    )
    torch.testing.assert_close(
        targeted_difference_of_logits_ratio(moved, goal),
        targeted_difference_of_logits_ratio(z, goal),
        rtol=1e-3,
        atol=1e-4,
    )


def test_too_few_classes_for_a_ratio_leave_the_difference() -> None:
    """Equation 6 divides by z_1 - z_3 and equation 7 by z_3 and z_4 too."""
    two = torch.tensor([[3.0, 1.0], [0.0, 4.0]])
    three = torch.tensor([[3.0, 1.0, 2.5], [0.0, 4.0, -1.0]])
    y = torch.tensor([0, 0])
    assert difference_of_logits_ratio(two, y).tolist() == [-2.0, 4.0]
    assert targeted_difference_of_logits_ratio(two, torch.tensor([[0, 1], [0, 1]])).tolist() == [-2.0, 4.0]
    assert targeted_difference_of_logits_ratio(three, torch.tensor([[0, 1], [0, 2]])).tolist() == [-2.0, -1.0]
    torch.testing.assert_close(difference_of_logits_ratio(three, y), torch.tensor([-0.25, 0.8]))


def test_the_checkpoints_of_100_steps_are_the_papers() -> None:
    assert checkpoints(100) == {22, 41, 57, 70, 80, 87, 93, 99}


@pytest.mark.parametrize("steps", [1, 2, 5, 20, 33, 50, 100, 1000])
def test_checkpoints_follow_the_recurrence(steps: int) -> None:
    """``p_{j+1} = p_j + max(p_j - p_{j-1} - 0.03, 0.06)`` from 0 and 0.22, in hundredths, rounded up."""
    p = [0, 22]
    while p[-1] <= 100:
        p.append(p[-1] + max(p[-1] - p[-2] - 3, 6))
    assert checkpoints(steps) == {math.ceil(round(hundredths * steps / 100, 6)) for hundredths in p[1:-1]}


class Scripted(nn.Module):
    """A loss that rises and falls as it likes, wherever the images go: seldom and far, or often and a little.

    Now and then it stays as it is, which is no rise. Its gradient is another one in every call.
    """

    def __init__(self, images: int, calls: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        often = torch.linspace(0.05, 0.45, images)
        falls = torch.rand(calls, images, generator=generator) < often
        steps = torch.where(falls, -0.09 / often, 0.25) * torch.rand(calls, images, generator=generator)
        steps[torch.rand(calls, images, generator=generator) < 0.15] = 0
        self.height, self.called = steps.cumsum(0), 0
        self.slopes = torch.randn(calls, images, math.prod(SHAPE), generator=generator) * 1e-4

    def forward(self, x: Tensor) -> Tensor:
        slope = (x.flatten(1) * self.slopes[self.called]).sum(1)
        lost = self.height[self.called] + (slope - slope.detach())
        self.called += 1
        return torch.stack((-lost, torch.zeros_like(lost)), 1)


def algorithm_1(target: Target, start: Tensor, x: Tensor, y: Tensor, *, eps: float, steps: int) -> Tensor:
    """``x_max`` of Algorithm 1 with cross entropy from ``x(0) = start``, decided image by image.

    A checkpoint is held as soon as ``x(w_j)`` is known, and condition 2 from the second on: so it is in the
    authors' code. The paper's listing first takes one more step, which a halving then undoes.
    """
    looks = sorted(checkpoints(steps))
    here, before = start.clone(), start.clone()
    f, slope = objective(target, here, y)
    history, best, best_slope, best_f = [f], here.clone(), slope.clone(), list(f)
    eta = [2 * eps] * len(x)
    at_look: list[tuple[list[float], list[float]]] = []
    halvings = [0, 0]
    for k in range(1, steps + 1):
        z = into_the_ball(here + torch.tensor(eta).view(-1, 1, 1, 1) * slope.sign(), x, eps)
        alpha = 0.75 if k > 1 else 1.0
        here, before = into_the_ball(here + alpha * (z - here) + (1 - alpha) * (here - before), x, eps), here
        f, slope = objective(target, here, y)
        history.append(f)
        for i in range(len(x)):
            if f[i] > best_f[i]:
                best[i], best_slope[i], best_f[i] = here[i], slope[i], f[i]
        if k not in looks:
            continue
        last = looks[looks.index(k) - 1] if at_look else 0
        used = list(eta)
        for i in range(len(x)):
            rises = sum(history[m + 1][i] > history[m][i] for m in range(last, k))
            condition_1 = rises < 0.75 * (k - last)
            condition_2 = bool(at_look) and (at_look[-1][0][i], at_look[-1][1][i]) == (used[i], best_f[i])
            halvings[0] += condition_1
            halvings[1] += condition_2 and not condition_1
            if condition_1 or condition_2:
                eta[i] /= 2
                here[i], slope[i] = best[i], best_slope[i]
        at_look.append((used, list(best_f)))
    assert min(halvings) > 0, f"conditions 1 and 2 alone: {halvings}: nothing is tested"
    return best


def into_the_ball(z: Tensor, x: Tensor, eps: float) -> Tensor:
    return torch.maximum(torch.minimum(z, x + eps), x - eps).clamp(0, 1)


def objective(target: Target, x: Tensor, y: Tensor) -> tuple[list[float], Tensor]:
    scores, gradient = target.scores_and_gradient(x, y)
    return nn.functional.cross_entropy(scores, y, reduction="none").tolist(), gradient.clone()


@pytest.mark.parametrize("steps", [40, 100])
def test_apgd_is_algorithm_1(steps: int) -> None:
    """Declared random, though it is not: then no image is dropped, and the best point of the loss is returned."""
    model = Scripted(100, steps + 2)
    target = Target(model, input_shape=SHAPE, classes=2, randomness=Randomness.each_image)
    x, y = torch.rand(100, *SHAPE, generator=torch.Generator().manual_seed(0)), torch.zeros(100, dtype=torch.long)
    found = APGD(target, ThreatModel(eps=0.2), steps=steps).search(x, y, torch.Generator().manual_seed(5), no_report)
    assert model.called == steps + 2
    model.called = 0
    start = ThreatModel(eps=0.2).random_point(x, torch.Generator().manual_seed(5))
    torch.testing.assert_close(found.x, algorithm_1(target, start, x, y, eps=0.2, steps=steps), rtol=0, atol=0)


@pytest.mark.parametrize(("ours", "theirs"), [("ce", "cross_entropy"), ("dlr", "difference_logits_ratio")])
def test_apgd_is_as_strong_as_arts(ours: str, theirs: str) -> None:
    """From seed to seed each leaves up to 3 images of 300 more or fewer."""
    model = network("nfgsm").requires_grad_(False)
    x, y = (each[:300] for each in digits("train"))
    steps, eps = 30, 0.1
    result = advtool.evaluate(model, x, y, eps=eps, attacks=[f"apgd(loss={ours!r}, steps={steps})"])
    classifier = PyTorchClassifier(
        model, nn.CrossEntropyLoss(), x.shape[1:], 10, clip_values=(0.0, 1.0), device_type="cpu"
    )
    np.random.seed(0)
    attack = AutoProjectedGradientDescent(
        classifier, eps=eps, eps_step=2 * eps, max_iter=steps, nb_random_init=1, batch_size=300,
        loss_type=theirs, verbose=False,
    )  # fmt: skip
    found = torch.from_numpy(attack.generate(x.numpy(), np.eye(10, dtype=np.float32)[y.numpy()]))
    left = int(((model(x).argmax(1) == y) & (model(found).argmax(1) == y)).sum())
    assert 100 < left < 250, "the model decides nothing"
    assert result.attacks[0].robust <= left + 7


def test_targets_are_the_likeliest_other_classes() -> None:
    """The border to the second likeliest class is out of reach, that to the third is not: one target is too few."""
    weight = torch.tensor([[0.0], [0.0], [-1.0], [0.0]])
    model = Linear(weight, torch.tensor([0.5, 0.4, 0.85, -5.0])).requires_grad_(False)
    target = Target(model, input_shape=(1, 1, 1), classes=4)
    x, y = torch.full((1, 1, 1, 1), 0.5), torch.tensor([0])
    for targets, broken in ((1, False), (2, True), (3, True)):
        attack = TargetedAPGD(target, ThreatModel(eps=0.2), steps=10, targets=targets, malt=None)
        stopped = attack.search(x, y, torch.Generator().manual_seed(0), no_report)
        assert bool(target.scores(stopped.x).argmax(1) != y) is broken, targets


def test_an_image_that_fell_on_the_way_to_the_finalists_is_searched_no_further() -> None:
    weight = torch.tensor([[0.0], [1.0], [0.9], [0.8]])
    model = Linear(weight, torch.tensor([0.51, 0.0, 0.0, 0.0])).requires_grad_(False)
    target = Target(model, input_shape=(1, 1, 1), classes=4)
    attack = TargetedAPGD(target, ThreatModel(eps=0.2), steps=10, targets=3, finalists=1)
    x, y = torch.tensor([0.5, 0.0]).view(2, 1, 1, 1), torch.zeros(2, dtype=torch.long)
    fallen, standing = attack.search(x, y, torch.Generator().manual_seed(0), no_report).queries.tolist()
    assert fallen <= 1 + 3 * (3 + 1), "the scores, then two steps and a verdict for each class"
    assert standing == 1 + 3 * 3 + 11


def test_finalists_are_the_targets_that_came_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever their borders at the clean image were."""
    met = torch.tensor([[3.0, 1.0, 2.0], [0.5, 4.0, 0.1]])
    passes: list[tuple[int, Tensor]] = []

    def climb(
        attack: TargetedAPGD, steps: int, x: Tensor, y: Tensor, others: Tensor, *rest: object, **_: object
    ) -> Tensor:
        passes.append((steps, others))
        return met

    monkeypatch.setattr(TargetedAPGD, "_climb", climb)
    target = Target(mlp(SHAPE).requires_grad_(False), input_shape=SHAPE, classes=4)
    attack = TargetedAPGD(target, ThreatModel(eps=0.1), steps=50, targets=3, finalists=2)
    attack.search(torch.rand(2, *SHAPE), torch.zeros(2).long(), torch.Generator(), no_report)
    (short, every), (long, finalists) = passes
    assert (short, long) == (10, 50)
    assert torch.equal(finalists, every.gather(1, torch.tensor([[1, 2], [2, 0]])))


def test_there_are_no_more_targets_than_other_classes() -> None:
    target = Target(mlp(SHAPE, 3).requires_grad_(False), input_shape=SHAPE, classes=3)
    attack = TargetedAPGD(target, ThreatModel(eps=0.1))
    assert attack.parameters() == {
        "steps": 100,
        "targets": 2,
        "malt": 100,
        "finalists": None,
        "eot": 1,
    }


@pytest.mark.parametrize("seed", range(3))
def test_the_audits_finalists_lose_no_image_of_ten_classes(seed: int) -> None:
    """A linear model, whose truth is known: the class that can be reached is among the three that come nearest."""
    model, x, y, robust = problem(classes=10, seed=seed)
    assert 0.1 < robust.float().mean() < 0.9, "the problem decides nothing"
    found = {
        attack: advtool.evaluate(model, x, y, eps=EPS, attacks=attack).attacks[0]
        for attack in ("apgd-targeted(finalists=3)", "apgd-targeted")
    }
    few, all_targets = found.values()
    assert int(robust.sum()) <= few.robust <= int(robust.sum()) + 1
    assert few.robust <= all_targets.robust + 1
    assert few.model_calls.backward < 0.7 * all_targets.model_calls.backward


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("apgd(loss='clr')", "loss='clr' must be one of ce, dlr, pma .did you mean 'dlr'"),
        ("apgd(steps=0)", "steps=0 must be an integer of at least 1"),
        ("apgd(restarts=0)", "restarts=0"),
        ("apgd-targeted(targets=0)", "targets=0"),
        ("apgd-targeted(malt=0)", "malt=0 must be an integer of at least 1"),
        ("apgd-targeted(eot=0)", "eot=0"),
    ],
)
def test_bad_parameters_are_refused_in_words(text: str, words: str) -> None:
    target = Target(mlp(SHAPE).requires_grad_(False), input_shape=SHAPE, classes=4)
    with pytest.raises(InputError, match=words):
        build(parse([text])[0], target, ThreatModel(eps=0.1), defaults={})
