"""Bounds of a model's outputs over a whole ball: they prove that an image has no adversarial example."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from advtool.target.target import Target
from advtool.threat import ThreatModel

Report = Callable[[int, int, int], None]


def _no_report(done: int, total: int, standing: int) -> None:
    """For bounds that nobody watches."""


class NotCertifiable(Exception):  # noqa: N818
    """The model cannot be bounded. The message is one line."""


@dataclass(frozen=True, eq=False)
class Certificate:
    """What is proved of N images."""

    certified: Tensor
    """bool (N,): no adversarial example exists in the ball"""
    lower: Tensor
    """float64 (N,): a lower bound of the margin over the whole ball; minus infinity if it is unknown"""
    method: str
    """the strongest bounds that were used, e.g. ``CROWN``"""


class Certifier:
    """A stub: no model can be bounded yet."""

    def __init__(self, target: Target, x: Tensor) -> None:
        del x
        raise NotCertifiable("the model is random" if target.randomised else "bounds are not there yet")

    def passes(self, x: Tensor, threat_model: ThreatModel) -> float:
        """About what the bounds of an image cost, in forward passes of one image."""
        raise NotImplementedError

    def certify(
        self, x: Tensor, y: Tensor, threat_model: ThreatModel, *, seconds: float = 0.0, report: Report = _no_report
    ) -> Certificate:
        """Prove what can be proved of images (N, C, H, W) with labels (N,)."""
        raise NotImplementedError
