"""The outcome of every image in every stage of a run: one array, stage x image."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import torch
from torch import Tensor

CLEAN = "clean"
"""The first stage of every run: the images themselves, without an attack."""
CERTIFIED = "certified"
"""The stage that proves images robust, in a run that certifies."""
PLANTED = "planted"
"""The stage that attacks changed copies of the model, in a run that plants."""

KNOWN_NOISE = "known noise"
"""The stage that attacks a random model whose noise is known."""
NO_ATTACKS = frozenset({CERTIFIED, KNOWN_NOISE, PLANTED})
"""The stages that say nothing of an adversarial example of the model itself, as attacks and ``clean`` do."""


class Outcome(IntEnum):
    """The outcome of one image in one stage."""

    not_asked = 0
    """the stage did not see the image: it was misclassified, had fallen before, or was proved robust"""
    robust = 1
    """classified right (stage ``clean``), or the attack found no adversarial example"""
    fallen = 2
    """misclassified (stage ``clean``), or a verified adversarial example was found"""
    proved = 3
    """stage ``certified`` alone: no adversarial example exists in the ball"""
    unproved = 4
    """stage ``certified`` alone: the bounds leave it open"""
    found = 5
    """stage ``planted``: an attack found an adversarial example in the copy of the model; stage ``known noise``: the
    image is misclassified in a field of noise, or an attack found an adversarial example there"""
    missed = 6
    """stage ``planted``: no attack found the adversarial example that surely exists in the copy; stage ``known noise``:
    the image is right in every field of noise, and no attack found an adversarial example in any"""


@dataclass(frozen=True, eq=False)
class Outcomes:
    """The outcomes of S stages on N images, on the CPU, in the order of the stages and of the images.

    The label of a stage in the results is its name here. The first stage is ``clean``.
    """

    stages: tuple[str, ...]
    outcome: Tensor
    """uint8 (S, N), values of :class:`Outcome`"""
    prediction: Tensor
    """int64 (S, N): the class of the image (``clean``) or of the candidate; -1 where its scores are not finite"""
    margin: Tensor
    """float64 (S, N): the score of the true class minus the best other score; NaN where it is unknown. Of the stage
    ``certified`` a lower bound over the whole ball"""
    step: Tensor
    """int64 (S, N): the step of the search that found the candidate; -1 where there was no search"""
    queries: Tensor
    """int64 (S, N): passes of the image through the model in the search"""
    distance: Tensor
    """float64 (S, N): how far the verified adversarial example is from its image, in the norm of the run; NaN where
    there is none"""
    on_examples: Mapping[str, Tensor] = field(default_factory=dict)
    """bool (N,) by one-step attack: the example made of the image is classified right, also if the image is not"""
    probes: frozenset[str] = frozenset()
    """stages at another eps than the run's; they do not count for the worst case"""

    def __eq__(self, other: object) -> bool:
        """Whether every image has the same outcome in every stage."""
        return isinstance(other, Outcomes) and self.stages == other.stages and bool(self.outcome.equal(other.outcome))

    __hash__ = None  # type: ignore[assignment]

    def __len__(self) -> int:
        """N, the number of images."""
        return int(self.outcome.shape[1])

    def of(self, stage: str) -> Tensor:
        """The outcomes in one stage, uint8 (N,)."""
        return self.outcome[self.stages.index(stage)]

    def asked(self, stage: str) -> Tensor:
        """Which images the stage worked on, bool (N,)."""
        return self.of(stage) != Outcome.not_asked

    @property
    def clean(self) -> Tensor:
        """Which images are classified right without an attack, bool (N,)."""
        return self.of(CLEAN) == Outcome.robust

    @property
    def unanswered(self) -> Tensor:
        """Which images have scores that are not finite without an attack, and so count as misclassified, bool (N,)."""
        return self.prediction[self.stages.index(CLEAN)] < 0

    def survives(self, stage: str) -> Tensor:
        """Which images are classified right and did not fall to the attack, bool (N,).

        A later attack of a cascade does not see the images that fell before, so they have not fallen to it.
        """
        return self.clean & (self.of(stage) != Outcome.fallen)

    def standing_before(self, stage: str) -> Tensor:
        """Which images are classified right and survive every earlier attack at the eps of the run, bool (N,)."""
        return self._standing(self.stages[: self.stages.index(stage)])

    @property
    def certified(self) -> Tensor:
        """Which images are proved robust at the eps of the run, bool (N,); none if the run does not certify."""
        if CERTIFIED not in self.stages:
            return torch.zeros(len(self), dtype=torch.bool)
        return self.of(CERTIFIED) == Outcome.proved

    @property
    def lower(self) -> Tensor:
        """What is proved of each image's margin over the whole ball: a lower bound, float64 (N,); NaN where unknown."""
        if CERTIFIED not in self.stages:
            return torch.full((len(self),), math.nan, dtype=torch.float64)
        return self.margin[self.stages.index(CERTIFIED)]

    @property
    def planted(self) -> Tensor:
        """For which images an adversarial example was planted in a copy of the model, bool (N,); none if none was."""
        if PLANTED not in self.stages:
            return torch.zeros(len(self), dtype=torch.bool)
        return self.asked(PLANTED)

    @property
    def worst_case(self) -> Tensor:
        """Which images are classified right and survive every attack at the eps of the run, bool (N,)."""
        return self._standing(self.stages)

    @property
    def weakest_stage(self) -> Tensor:
        """Where each image has its lowest margin, among clean and the attacks at the eps of the run: stages int64 (N,).

        Scores that are not finite are wrong, and so lower than all others.
        """
        others = NO_ATTACKS | self.probes
        counted = torch.tensor([stage not in others for stage in self.stages])
        asked = (self.outcome != Outcome.not_asked) & counted[:, None]
        return self.margin.nan_to_num(nan=-math.inf).where(asked, math.inf).argmin(0)

    @property
    def lowest_margin(self) -> Tensor:
        """The margin of each image in its ``weakest_stage``, float64 (N,); NaN where it is unknown."""
        return self.margin.gather(0, self.weakest_stage[None])[0]

    def _standing(self, stages: Sequence[str]) -> Tensor:
        counted = [place for place, stage in enumerate(stages) if stage not in self.probes]
        return self.clean & (self.outcome[counted] != Outcome.fallen).all(0)

    @property
    def smallest_eps(self) -> Tensor:
        """How far the nearest verified adversarial example of each image is from it, float64 (N,).

        0 if the image is misclassified as it is; infinite if no attack found an example in the ball of the run.
        """
        return self._smallest_eps(self._distances.amin(0))

    def smallest_eps_by(self, stage: str) -> Tensor:
        """``smallest_eps`` by the examples of one attack alone, float64 (N,)."""
        return self._smallest_eps(self._distances[self.stages.index(stage)])

    @property
    def nearest_stage(self) -> Tensor:
        """The attack that found the nearest example of each image: stages int64 (N,); 0, which is clean, for none."""
        nearest, stage = self._distances.min(0)
        return stage.where(self.clean & nearest.isfinite(), 0)

    @property
    def _distances(self) -> Tensor:
        """``distance``; infinite where there is none, and in the probes, which search other balls than the run's."""
        probes = torch.tensor([stage in self.probes for stage in self.stages])
        return self.distance.nan_to_num(nan=math.inf).masked_fill(probes[:, None], math.inf)

    def _smallest_eps(self, nearest: Tensor) -> Tensor:
        return torch.where(self.clean, nearest, 0.0)

    def part(self, stages: Sequence[str], images: int) -> "Outcomes":
        """The outcomes of the first ``images`` images in these ``stages`` alone. ``clean`` must come first."""
        rows = [self.stages.index(stage) for stage in stages]
        return Outcomes(
            stages=tuple(stages),
            outcome=self.outcome[rows, :images],
            prediction=self.prediction[rows, :images],
            margin=self.margin[rows, :images],
            step=self.step[rows, :images],
            queries=self.queries[rows, :images],
            distance=self.distance[rows, :images],
            on_examples={stage: correct[:images] for stage, correct in self.on_examples.items() if stage in stages},
            probes=self.probes & set(stages),
        )
