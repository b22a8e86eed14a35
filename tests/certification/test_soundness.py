"""What is certified is broken by nothing: attacks, corners, spikes that only a proof can find, rounding."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from advtool.attacks.registry import ATTACKS
from advtool.certification import Certificate, Certifier
from advtool.threat import ThreatModel
from tests.support.networks import images, target_of
from tests.support.random_networks import random_network, random_piecewise

RADII = (0.2, 0.08, 0.03, 0.01, 0.003)
QUICK_ATTACKS = {
    "pgd": {"steps": 10},
    "pgd-margin": {"steps": 10},
    "apgd": {"steps": 10},
    "square": {"queries": 40},
    "noise": {"samples": 20},
}


def certify(model: nn.Module, x: Tensor, y: Tensor, eps: float, seconds: float = 0.0) -> Certificate:
    target = target_of(model, tuple(x.shape[1:]), model(x).shape[1])
    return Certifier(target, x).certify(x, y, ThreatModel(eps=eps), seconds=seconds)


def margins(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """The logit of the label minus the largest other one, as the model computes them, float64 (N,)."""
    scores = model(x).double()
    true = scores.gather(1, y[:, None]).squeeze(1)
    return true - scores.scatter(1, y[:, None], -torch.inf).amax(1)


def corners_and_points(x: Tensor, eps: float, count: int, seed: int) -> Tensor:
    """(count, N, ...) of the balls of images (N, ...), and only what the verifier counts as inside."""
    low, high = ThreatModel(eps=eps).box(x)
    where = torch.rand(count, *x.shape, generator=torch.Generator().manual_seed(seed))
    where[::2] = where[::2].round()
    return torch.maximum(torch.minimum(low + where * (high - low), high), low)


def nothing_breaks(seed: int, *, seconds: float = 0.0) -> int:
    """How many of a random network's images are certified, at the largest radius at which one is."""
    model, shape, classes = random_network(seed)
    x = images(6, shape, seed)
    y, target = model(x).argmax(1), target_of(model, shape, classes)
    certifier = Certifier(target, x)
    for eps in RADII:
        threat_model = ThreatModel(eps=eps)
        found = certifier.certify(x, y, threat_model, seconds=seconds)
        if found.certified.any():
            break
    for points in corners_and_points(x, eps, 40, seed):
        compare(found, model, points, y, f"seed {seed}, a point")
    for name, parameters in QUICK_ATTACKS.items():
        attack = ATTACKS[name](target, threat_model, **parameters)
        reached = attack.search(x, y, torch.Generator().manual_seed(seed)).x
        inside = threat_model.contains(reached, x)
        compare(found, model, torch.where(inside.view(-1, 1, 1, 1), reached, x), y, f"seed {seed}, {name}")
    return int(found.certified.sum())


def compare(found: Certificate, model: nn.Module, points: Tensor, y: Tensor, where: str) -> None:
    """No margin lies below its bound, and no certified image is broken."""
    reached = margins(model, points, y)
    if found.method == "CROWN":  # branching looks for no better bound once a margin is proved, or known to be below 0
        assert (found.lower <= reached).all(), where
    assert (reached[found.certified] > 0).all(), where


@settings(max_examples=25)
@given(seed=st.integers(0, 10**9))
def test_nothing_breaks_a_certified_image(seed: int) -> None:
    nothing_breaks(seed)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(10))
def test_nothing_breaks_a_certified_image_of_a_thousand_networks(block: int) -> None:
    certified = [nothing_breaks(seed) for seed in range(100 * block, 100 * block + 100)]
    assert sum(each > 0 for each in certified) > 80, "the test proves nothing if nothing is certified"


@pytest.mark.slow
def test_nothing_breaks_what_branching_certifies() -> None:
    assert sum(nothing_breaks(seed, seconds=0.05) for seed in range(5000, 5030)) > 30


def corners(x: Tensor, eps: float) -> Tensor:
    """Every corner of the ball of one image."""
    low, high = (end.flatten() for end in ThreatModel(eps=eps).box(x))
    bits = torch.tensor(list(itertools.product((0, 1), repeat=len(low))))
    return torch.where(bits == 1, high, low).view(-1, *x.shape[1:])


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), eps=st.sampled_from([0.02, 0.1, 0.3]))
def test_every_corner_and_a_grid_of_small_balls(seed: int, eps: float) -> None:
    model, shape, _ = random_piecewise(seed)
    x = images(1, shape, seed)
    y = model(x).argmax(1)
    grid = torch.cartesian_prod(*[torch.linspace(0, 1, 7)] * shape[2]).view(-1, *shape)
    low, high = ThreatModel(eps=eps).box(x)
    points = torch.cat((corners(x, eps), torch.minimum(low + grid * (high - low), high)))
    worst = margins(model, points, y.expand(len(points))).amin()
    for seconds in (0.0, 0.3):
        found = certify(model, x, y, eps, seconds)
        assert not found.certified.any() or worst > 0
        assert seconds or found.lower <= worst


class Spike(nn.Module):
    """Class 0 wins everywhere by ``lead`` but for a narrow spike of height 2 ``lead`` around one point.

    The spike is ReLU(2 lead - slope * |x - centre|_1), with |d| = ReLU(d) + ReLU(-d): no gradient leads to it.
    """

    def __init__(self, centre: Tensor, lead: float, radius: float) -> None:
        super().__init__()
        pixels = centre.numel()
        self.distances = nn.Linear(pixels, 2 * pixels)
        self.distances.weight.copy_(torch.cat((torch.eye(pixels), -torch.eye(pixels))))
        self.distances.bias.copy_(torch.cat((-centre.flatten(), centre.flatten())))
        self.height = nn.Linear(2 * pixels, 1)
        self.height.weight.fill_(-2 * lead / radius)
        self.height.bias.fill_(2 * lead)
        self.logits = nn.Linear(1, 2)
        self.logits.weight.copy_(torch.tensor([[0.0], [1.0]]))
        self.logits.bias.copy_(torch.tensor([lead, 0.0]))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.logits(self.height(self.distances(x.flatten(1)).relu()).relu())
        return y


EPS, PIXELS = 0.1, 6


def spike(offset: float, seed: int) -> tuple[Spike, Tensor, Tensor]:
    """A spike ``offset`` away from the image in every pixel, with random signs; the image, and the spike's centre."""
    signs = torch.randint(0, 2, (1, 1, 2, 3), generator=torch.Generator().manual_seed(seed)) * 2.0 - 1
    x = torch.full((1, 1, 2, 3), 0.5)
    with torch.no_grad():
        return Spike(x + offset * signs, 1.0, 0.01).requires_grad_(False), x, x + offset * signs


ZERO = torch.zeros(1, dtype=torch.long)


@pytest.mark.parametrize(("seed", "seconds"), [*((seed, 0.0) for seed in range(8)), (0, 0.3), (1, 0.3)])
@pytest.mark.parametrize("offset", [0.02, 0.05, 0.09, 0.0999])
def test_a_hidden_adversarial_example_is_never_certified_away(seed: int, offset: float, seconds: float) -> None:
    model, x, centre = spike(offset, seed)
    assert margins(model, centre, ZERO) < 0
    assert ThreatModel(eps=EPS).contains(centre, x).all()
    found = certify(model, x, ZERO, EPS, seconds)
    assert not found.certified.any()
    assert found.lower <= margins(model, centre, ZERO)


def test_attacks_do_not_find_the_spike() -> None:
    """So the test above shows something that no attack can."""
    model, x, _ = spike(0.05, 0)
    target, threat_model = target_of(model, (1, 2, 3), 2), ThreatModel(eps=EPS)
    for name, parameters in QUICK_ATTACKS.items():
        attack = ATTACKS[name](target, threat_model, **parameters)
        assert margins(model, attack.search(x, ZERO, torch.Generator().manual_seed(0)).x, ZERO) > 0


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("offset", [0.105, 0.12, 0.3])
def test_a_spike_outside_the_ball_is_certified(seed: int, offset: float) -> None:
    """Its foot ends 0.01 / 6 before the ball in the corner."""
    model, x, _ = spike(offset, seed)
    assert certify(model, x, ZERO, EPS).certified.all()


@pytest.mark.parametrize("seed", range(4))
def test_a_spike_just_beyond_the_clip_range_is_no_danger(seed: int) -> None:
    with torch.no_grad():
        model = Spike(torch.full((1, 1, 2, 3), 1.003), 1.0, 0.01).requires_grad_(False)
    x = torch.full((1, 1, 2, 3), 0.95)
    assert certify(model, x, ZERO, EPS).certified.all()
