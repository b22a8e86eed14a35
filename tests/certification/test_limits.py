"""The time limit of a proof, on a clock that counts bounding passes, and its memory, in coefficients."""

import time
from typing import Any
from weakref import WeakSet

import pytest
import torch
from torch import Tensor, nn

import advtool
from advtool.certification import branching, certifier
from advtool.certification.certifier import Certificate, Certifier
from advtool.certification.domains import Domains
from advtool.certification.linear_bounds import LinearBounds
from advtool.certification.rows import Rows
from advtool.errors import InputError
from advtool.target.target import Target
from advtool.threat import ThreatModel

CLASSES, WIDTH, EPS = 6, 64, 0.25
A_PART = 5 * 2 * WIDTH
"""Both ends of each box, slope, side and multiplier, of two layers of ReLUs."""


class Watched:
    """A net that no bounds prove, and what its bounds take. A second of its clock is a pass."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        layers = [nn.Linear(9, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, CLASSES)]
        model = nn.Sequential(nn.Flatten(), *layers).eval().requires_grad_(False)
        self.target, self.x = Target(model, input_shape=(1, 3, 3), classes=CLASSES), torch.rand(1, 1, 3, 3)
        self.certifier = Certifier(self.target, self.x)
        self.passes = self.coefficients = self.in_parts = 0
        self._alive = WeakSet[Domains]()

    def certify(self, seconds: float) -> Certificate:
        """With all counts begun anew. Linear bounds take no time of the image."""
        self.passes = self.coefficients = self.in_parts = 0
        y = self.target.logits(self.x).argmax(1)
        return self.certifier.certify(self.x, y, ThreatModel(eps=EPS), seconds=seconds)

    def entered(self, domains: Domains) -> None:
        self._alive.add(domains)
        self.in_parts = max(self.in_parts, sum(A_PART * len(next(iter(each.slopes.values()))) for each in self._alive))


@pytest.fixture(scope="module")
def net() -> Watched:
    return Watched()


@pytest.fixture
def watched(net: Watched, monkeypatch: pytest.MonkeyPatch) -> Watched:
    lower, back, relax = LinearBounds.lower, LinearBounds._back, Domains.relax

    def counted(self: LinearBounds, *arguments: Any, **options: Any) -> Tensor:
        net.passes += isinstance(self, Domains)
        return lower(self, *arguments, **options)

    def weighed(self: LinearBounds, at: int, rows: Rows) -> tuple[Tensor, list[Rows]]:
        net.coefficients = max(net.coefficients, rows.values.numel())
        return back(self, at, rows)

    def entered(self: Domains) -> None:
        relax(self)
        net.entered(self)

    monkeypatch.setattr(LinearBounds, "lower", counted)
    monkeypatch.setattr(LinearBounds, "_back", weighed)
    monkeypatch.setattr(Domains, "relax", entered)
    monkeypatch.setattr(time, "monotonic", lambda: float(net.passes))
    return net


@pytest.mark.parametrize("numbers", [2**22, 16 * WIDTH, 1])
@pytest.mark.parametrize("seconds", [1, 3, 30, 60])
def test_no_pass_begins_once_the_time_is_up(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, numbers: int, seconds: int
) -> None:
    monkeypatch.setitem(certifier.NUMBERS_AT_ONCE, "cpu", numbers)
    assert not watched.certify(seconds).certified.any()
    assert seconds <= watched.passes <= seconds + 1  # both halves of a cut go back without a look at the clock


def test_what_the_time_was_enough_for_counts(watched: Watched) -> None:
    lines, slopes, cuts = (float(watched.certify(seconds).lower) for seconds in (0, 15, 200))
    assert lines < slopes < cuts


@pytest.mark.parametrize("shrunk", [1, 4, 16])
def test_memory_shrinks_with_the_passes(watched: Watched, monkeypatch: pytest.MonkeyPatch, shrunk: int) -> None:
    """Out of memory halves the target's batch; as many times fewer coefficients must do for a proof then."""
    monkeypatch.setitem(certifier.NUMBERS_AT_ONCE, "cpu", 2**15)
    monkeypatch.setitem(branching.PASSES_KEPT, "cpu", 1)
    monkeypatch.setattr(watched.target, "batch_size", watched.target.batch_size // shrunk)
    watched.certify(400)
    assert 0 < watched.coefficients <= 2**15 // shrunk
    assert 0 < watched.in_parts <= 8 * 2**15 // shrunk


@pytest.mark.parametrize("fitting", [2**10, 0])
def test_out_of_memory_is_tried_again_with_less_at_once(monkeypatch: pytest.MonkeyPatch, fitting: int) -> None:
    """A device on which a pass of so many coefficients fits."""
    begin, asked = LinearBounds.__init__, list[int]()

    def measured(self: LinearBounds, graph: Any, images: Any, numbers: int) -> None:
        asked.append(numbers)
        if numbers > fitting:
            raise torch.OutOfMemoryError("CUDA out of memory")
        begin(self, graph, images, numbers)

    model, x, y = nn.Sequential(nn.Flatten(), nn.Linear(9, 2)), torch.rand(3, 1, 3, 3), [0, 1, 0]
    whole = advtool.certify(model, x, y, eps=0.01)
    monkeypatch.setattr(LinearBounds, "__init__", measured)
    if not fitting:
        with pytest.raises(InputError, match="out of memory with a single image at a time"):
            advtool.certify(model, x, y, eps=0.01)
        return
    found = advtool.certify(model, x, y, eps=0.01)
    assert torch.equal(found.certified, whole.certified)
    assert asked == sorted(asked, reverse=True)
    assert fitting // 2 < asked[-1] <= fitting
