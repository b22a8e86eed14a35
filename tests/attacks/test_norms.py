"""Attacks in another norm than L-infinity: a threat model of L2, held to what is known in closed form."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from advtool.attacks.registry import ATTACKS, build
from advtool.attacks.spelling import parse
from advtool.errors import InputError
from advtool.evaluation.verification import verify
from advtool.target.target import Target
from advtool.threat import NORMS, Linf, Norm, ThreatModel
from tests.support.linear import SHAPE
from tests.support.models import Linear

EPS = 0.2
"""In L2; a pixel moves by 0.03 on average."""


class L2(Norm):
    """The Euclidean length of the change."""

    name = "l2"
    largest_eps = 1000.0

    def project(self, x_adv: Tensor, x: Tensor, eps: float) -> Tensor:
        change = x_adv - x
        return x + change * (eps / length(change).clamp_min(eps))

    def step(self, x_adv: Tensor, gradient: Tensor, size: float | Tensor) -> Tensor:
        size = size.view(-1, 1, 1, 1) if isinstance(size, Tensor) else size
        return x_adv + size * gradient / length(gradient).clamp_min(1e-30)

    def random_point(self, x: Tensor, eps: float, generator: torch.Generator | None) -> Tensor:
        direction = torch.randn(x.shape, generator=generator, device=x.device)
        radius = torch.rand((len(x), 1, 1, 1), generator=generator, device=x.device) ** (1 / x[0].numel())
        return x + eps * radius * direction / length(direction)

    def box(self, x: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        return x - eps, x + eps

    def distance(self, x_adv: Tensor, x: Tensor) -> Tensor:
        return (x_adv.double() - x.double()).flatten(1).norm(dim=1)


def length(change: Tensor) -> Tensor:
    return change.flatten(1).norm(dim=1).view(-1, 1, 1, 1)


@pytest.fixture(autouse=True)
def l2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NORMS, L2.name, L2())


def ball(eps: float = EPS, norm: str = L2.name) -> ThreatModel:
    return ThreatModel.of(eps, norm)


def images(count: int = 200, seed: int = 0) -> Tensor:
    return torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("eps", [1e-4, 0.2, 1.0])
def test_random_points_lie_in_the_ball_and_fill_it(norm: str, eps: float) -> None:
    threat_model, x = ball(eps, norm), images(2000)
    points = threat_model.random_point(x, torch.Generator().manual_seed(1))
    assert threat_model.contains(points, x).all()
    radius, grey = min(eps, 0.4), 0.5 + 0 * x
    inside = ball(radius, norm).random_point(grey, torch.Generator().manual_seed(1))
    share = (NORMS[norm].distance(inside, grey) / radius) ** x[0].numel()  # of the ball that lies nearer
    assert share.mean().item() == pytest.approx(0.5, abs=0.03), "uniform in [0, 1]"


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_projection_is_the_nearest_point_of_the_ball(norm: str) -> None:
    """No point of the ball is nearer in the Euclidean sense, and what lies inside stays where it is."""
    threat_model = ball(EPS, norm)
    x = 0.5 + 0 * images(500)
    far = x + 0.8 * (images(500, seed=1) - 0.5)
    near = threat_model.project(far, x)
    assert threat_model.contains(near, x).all()
    for seed in range(5):
        others = threat_model.random_point(x, torch.Generator().manual_seed(seed))
        mixed = [near + share * (others - near) for share in (0.01, 0.1, 1.0)]
        assert all((length(far - near) <= length(far - other) + 1e-6).all() for other in mixed)
    torch.testing.assert_close(threat_model.project(near, x), near)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_outside_of_the_ball_or_of_the_clip_range_is_not_allowed(norm: str) -> None:
    threat_model, x = ball(0.1, norm), torch.tensor([0.5, 0.5, 0.02, 0.98, 0.5]).view(5, 1, 1, 1).expand(-1, *SHAPE)
    moved = x.clone()
    moved[:, 0, 0, 0] += torch.tensor([0.1, 0.1001, -0.03, 0.03, torch.nan])
    assert threat_model.contains(moved, x).tolist() == [True, False, False, False, False]


@pytest.mark.parametrize("eps", [0.01, 1.0, 10.0, 30.0])
def test_what_was_projected_is_allowed_in_float32(eps: float) -> None:
    x = torch.rand(20, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    threat_model = ball(eps)
    found = threat_model.project(threat_model.step(x, x - 0.5, 2 * eps), x)
    assert threat_model.contains(found, x).all()


def linear(classes: int = 2) -> tuple[Linear, Tensor, Tensor, Tensor]:
    """A linear model, images out of the clip range's reach, labels, and which are robust: ``margin > eps |w|_2``."""
    generator = torch.Generator().manual_seed(0)
    model = Linear(torch.randn(classes, math.prod(SHAPE), generator=generator), torch.zeros(classes))
    x = EPS + (1 - 2 * EPS) * torch.rand(300, *SHAPE, generator=generator)
    with torch.no_grad():
        model.bias -= model(x).mean(0)
        logits = model(x)
    y = logits.argmax(1)
    weight = model.weight.detach()[y][:, None] - model.weight.detach()
    slack = logits.gather(1, y[:, None]) - logits - EPS * weight.norm(dim=2)
    slack[torch.arange(len(y)), y] = torch.inf
    least = slack.amin(1)
    decided = least.abs() > 1e-4
    return model.requires_grad_(False), x[decided], y[decided], (least > 0)[decided]


def left(text: str) -> tuple[Tensor, Tensor]:
    """Which images an attack leaves of those of a linear model, and which are truly robust."""
    model, x, y, robust = linear()
    target = Target(model, input_shape=SHAPE, classes=2)
    attack = build(parse([text], surrogate=True)[0], target, ball(), defaults={}, surrogate=target)
    found = attack.search(x, y, torch.Generator().manual_seed(0), lambda *_: None)
    assert ball().contains(found.x, x).all()
    return ~verify(target.scores, found.x, x, y, ball()).adversarial, robust


@pytest.mark.parametrize(
    "text", ["fgsm", "pgd(step_size=0.1)", "pgd-margin(step_size=0.1)", "apgd", "apgd(loss='dlr')", "apgd-targeted"]
)
def test_a_gradient_attack_finds_what_is_within_reach_of_l2(text: str) -> None:
    stands, robust = left(text)
    assert 0.1 < robust.float().mean() < 0.9, "the problem decides nothing"
    assert torch.equal(stands, robust)


@pytest.mark.parametrize(("text", "missed"), [("pgd", 0.02), ("transfer", 0.02), ("pgd-smooth(samples=3)", 0.02)])
def test_small_steps_come_near_the_closed_form_and_never_below(text: str, missed: float) -> None:
    stands, robust = left(text)
    assert (stands >= robust).all()
    assert (stands != robust).float().mean() <= missed


def test_noise_of_l2_hardly_finds_anything() -> None:
    stands, robust = left("noise")
    assert (stands >= robust).all()
    assert stands.float().mean() > robust.float().mean() + 0.1


@pytest.mark.parametrize("text", ["square", "spsa", "art:DeepFool"])
def test_an_attack_of_l_infinity_alone_refuses_another_norm(text: str) -> None:
    target = Target(linear()[0], input_shape=SHAPE, classes=2)
    with pytest.raises(InputError, match="it searches in linf alone, not in l2"):
        build(parse([text])[0], target, ball(), defaults={})


@pytest.mark.parametrize("threat_model", [0.1, None, "linf", ThreatModel(eps=0.0)])
@pytest.mark.parametrize("name", ["pgd", "fgsm"])
def test_what_is_no_threat_model_is_refused(name: str, threat_model: object) -> None:
    target = Target(linear()[0], input_shape=SHAPE, classes=2)
    with pytest.raises(InputError, match=r"ThreatModel|eps=.* is no number in \(0, 1\]"):
        ATTACKS[name](target, threat_model)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"eps": "8/255"}, r"^eps='8/255' is no number in \[0, 1\]"),
        ({"eps": -0.1}, r"^eps=-0.1 is no number in"),
        ({"eps": float("nan")}, r"^eps=nan is no number in"),
        ({"eps": 0.1, "norm": "l3"}, r"^norm='l3' must be one of"),
        ({"eps": 0.1, "clip": (1, 0)}, r"^clip=\(1, 0\) must be \(low, high\)"),
        ({"eps": 0.1, "clip": 1}, r"^clip=1 must be \(low, high\)"),
    ],
)
def test_a_threat_model_that_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ThreatModel(**options)


def test_a_damaged_document_of_a_threat_model_is_a_value_error() -> None:
    """Readers of runs tell by it that a document is damaged."""
    with pytest.raises(ValueError, match="eps"):
        ThreatModel.model_validate({"eps": "far"})
    assert ThreatModel.model_validate_json('{"norm": "linf", "eps": 0.1, "clip": [0, 1]}') == ThreatModel(eps=0.1)


def test_a_norm_that_nobody_knows_is_refused() -> None:
    with pytest.raises(InputError, match="norm='l3' must be one of linf, l2"):
        ThreatModel.of(0.1, "l3")
    assert ThreatModel.of(1) == ThreatModel(norm=Linf.name, eps=1.0)
