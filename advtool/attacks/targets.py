"""Which other classes a targeted attack tries: all of few, of many those whose borders are nearest (MALT)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from advtool.attacks.candidates import Candidates
from advtool.attacks.losses import targeted_gap
from advtool.target.target import Target
from advtool.threat import ThreatModel

LIKELIEST = 100
"""Of so many of the likeliest classes the borders are measured, as in the paper of MALT."""


@dataclass(frozen=True)
class Targets:
    """The choice of ``count`` other classes for each image.

    Of more classes those are tried whose borders are nearest in the model linearised at the image (Melamed, Yehudai and
    Vardi 2024, arXiv 2407.02240): a gradient for each of the ``likeliest`` classes tells. None tries the likeliest.
    """

    target: Target
    threat_model: ThreatModel
    count: int
    """at most all other classes"""
    likeliest: int | None = LIKELIEST
    eot: int = 1

    @property
    def measured(self) -> int:
        """How many classes' borders are measured, for which a gradient each is spent."""
        others = self.target.classes - 1
        return 0 if self.likeliest is None or self.count == others else min(max(self.likeliest, self.count), others)

    def of(self, x: Tensor, y: Tensor, found: Candidates) -> Tensor:
        """The classes for images ``x`` (N, C, H, W) with labels ``y`` (N,), int64 (N, count), the first the nearest."""
        found.spend(self.target.votes + self.measured * self.eot)
        scores = self.target.scores(x)
        others = scores.scatter(1, y[:, None], -torch.inf).argsort(1, descending=True)
        if self.measured:
            others = others[:, : self.measured]
            at_once = max(1, self.target.batch_size // (len(x) * self.eot))
            distances = [self._distances(x, y, some, scores) for some in others.split(at_once, 1)]
            others = others.gather(1, torch.cat(distances, 1).argsort(dim=1, stable=True))
        return others[:, : self.count]

    def _distances(self, x: Tensor, y: Tensor, others: Tensor, scores: Tensor) -> Tensor:
        """How far the borders to the classes ``others`` (N, T) are in the linearised model, (N, T).

        The gap of the logits by the dual norm of its gradient, in L-infinity the L1 norm. Infinite where the gap has no
        gradient.
        """
        goal = torch.stack((y[:, None].expand_as(others), others), 2).flatten(0, 1)
        copies = others.shape[1]
        images, gap = x.repeat_interleave(copies, 0), targeted_gap(scores.repeat_interleave(copies, 0), goal)
        slope = self.target.scores_and_gradient(images, goal, targeted_gap, eot=self.eot)[1]
        steepest = self.threat_model.step(torch.zeros_like(images), slope, 1.0)
        return (gap / (slope * steepest).flatten(1).sum(1)).view_as(others)
