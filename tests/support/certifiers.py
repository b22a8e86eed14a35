"""Certifiers that stand in for the real one: exact ones, sound ones, one that lies, one that cannot."""

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from advtool.certification import Certificate, Certifier, NotCertifiable
from advtool.threat import ThreatModel
from tests.support.linear import closed_form_slack
from tests.support.models import Linear

Lower = Callable[[Tensor, Tensor, float], Tensor]
"""Of images (N, C, H, W), labels (N,) and eps: a lower bound of each margin over the ball, float64 (N,)."""


class Known(Certifier):
    """Bounds that a test knows. A subclass sets ``lower``, and may change the rest."""

    lower: ClassVar[Lower]
    cost: ClassVar[float] = 10.0
    asked: ClassVar[list[int]]
    """how many images each call was asked for"""

    def __init__(self, target: Any, x: Tensor) -> None:
        self.target = target

    def passes(self, x: Tensor, threat_model: ThreatModel) -> float:
        return self.cost

    def certify(
        self, x: Tensor, y: Tensor, threat_model: ThreatModel, *, seconds: float = 0.0, report: Any = None
    ) -> Certificate:
        type(self).asked.append(len(x))
        lower = type(self).lower(x, y, threat_model.eps)
        return Certificate(lower > 0, lower, "by hand")


def known(lower: Lower, **changes: Any) -> type[Known]:
    return type("KnownHere", (Known,), {"lower": staticmethod(lower), "asked": [], **changes})


def exact(model: Linear, **changes: Any) -> type[Known]:
    """Of a linear model, with balls inside the clip range."""
    return known(lambda x, y, eps: closed_form_slack(model, x, y, eps), **changes)


def intervals(model: nn.Sequential, **changes: Any) -> type[Known]:
    """Interval arithmetic on linear layers and ReLUs (Gowal et al. 2019, equation 6): sound, not tight."""

    def lower(x: Tensor, y: Tensor, eps: float) -> Tensor:
        low, high = (x.double() - eps).clamp(0, 1), (x.double() + eps).clamp(0, 1)
        for layer in model:
            if isinstance(layer, nn.Linear):
                centre, radius = (low + high) / 2, (high - low) / 2
                centre = centre @ layer.weight.detach().double().T + layer.bias.detach().double()
                radius = radius @ layer.weight.detach().double().T.abs()
                low, high = centre - radius, centre + radius
            else:
                low, high = layer(low), layer(high)
        rows = torch.arange(len(y))
        true = low[rows, y]
        high[rows, y] = -torch.inf
        return true - high.amax(1)

    return known(lower, **changes)


def liar(**changes: Any) -> type[Known]:
    """Every image is certified, with a margin of 1."""
    return known(lambda x, *_: torch.ones(len(x), dtype=torch.float64), **changes)


class Unable(Certifier):
    def __init__(self, target: Any, x: Tensor) -> None:
        raise NotCertifiable("layer 'body.3' (aten.argmin) cannot be bounded")


class Unwanted(Certifier):
    def __init__(self, target: Any, x: Tensor) -> None:
        raise AssertionError("nobody may ask for bounds here")


def install(monkeypatch: pytest.MonkeyPatch, certifier: type[Certifier]) -> None:
    """From now on evaluations ask this certifier."""
    monkeypatch.setattr("advtool.evaluation.proof.Certifier", certifier)
