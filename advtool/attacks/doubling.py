"""The end of a cascade: APGD on several losses, from more and more starts, until a round takes nothing."""

from itertools import count

import torch
from torch import Tensor

from advtool.attacks.apgd import APGD
from advtool.attacks.base import Guide, StepReport, TensorAttack, part_of
from advtool.attacks.candidates import Candidates
from advtool.attacks.losses import difference_of_logits_ratio, targeted_difference_of_logits_ratio, targeted_gap
from advtool.attacks.parameters import Parameter, or_none, positive_integer, positive_number
from advtool.attacks.targets import Targets
from advtool.target.scores import Loss, negative_margin, per_image_cross_entropy

FIRST_ROUNDS = 2
"""How many rounds always run: the second doubles the first, and so tells whether doubling helps."""
NEAREST = 2
"""A round works on the nearest of this many times fewer images than the last: where a search came near, more falls."""
FEW_IMAGES = 4
"""A round works on as many images at least, if so many stand."""
LITTLE = 64
"""After a round that took nothing, a round still runs if its units times its images are no more than this. That takes
seconds on a small model, and some images fall to one start of a thousand: no margin tells which."""
USUAL_UNITS = 5
"""For each image, the units that the later rounds may cost by default."""


def _targeted_margin(logits: Tensor, goal: Tensor) -> Tensor:
    return -targeted_gap(logits, goal)


def _untargeted(loss: Loss) -> Loss:
    return lambda logits, goal: loss(logits, goal[:, 0])


LOSSES: tuple[Loss, ...] = (
    targeted_difference_of_logits_ratio,
    _targeted_margin,
    _untargeted(negative_margin),
    _untargeted(per_image_cross_entropy),
    _untargeted(difference_of_logits_ratio),
)
"""What the units of a search climb, in turn. Each takes the logits and the classes (label, target), int64 (N, 2)."""


class Doubling(TensorAttack):
    """APGD from ever more starts, until a round breaks no image.

    Each round has twice as many starts as the last, on five losses in turn.
    A unit of the search is a start towards each class on one loss, or as many starts away from the label. The first
    round is one unit for every image, on the targeted ratio of Croce and Hein (2020). The later ones go on through
    ``LOSSES``, for the images that came nearest to falling: what one loss misses from every start, another often finds
    from any.

    Source: advtool's own; APGD and the targeted ratio are those of Croce and Hein 2020, Algorithm 1 and equation 7,
    arXiv 2003.01690.
    """

    name = "doubling"
    guide = Guide.gradient
    starts_at_random = True
    goes_towards_classes = True

    steps = Parameter(positive_integer, 100)
    """gradient steps a start"""
    targets = Parameter(positive_integer, 9)
    """classes tried, those whose borders are nearest (MALT); at most all others"""
    spare = Parameter(or_none(positive_number))
    """units times images that the rounds after the first two may cost; None: five for each image. ``--budget`` of an
    evaluation decides it"""

    def _check_params(self) -> None:
        """ART's hook, called after each change: there are no more targets than other classes."""
        self.targets = min(self.targets, self.target.classes - 1)

    @property
    def queries_a_unit(self) -> int:
        """The gradients that a unit of the search takes for an image."""
        return self.targets * self.steps

    @property
    def most_queries(self) -> int:
        """An image that nothing breaks is in a shard where the first rounds took nothing, mostly."""
        units = sum(2**number // NEAREST**number for number in range(FIRST_ROUNDS))
        return int((self._targets.measured + units * self.queries_a_unit) * self.eot)

    @property
    def _targets(self) -> Targets:
        return Targets(self.target, self.threat_model, self.targets, eot=self.eot)

    def is_moot(self, x: Tensor, y: Tensor) -> bool:
        """It is too dear for a random model: each gradient costs as many passes as there are EOT samples."""
        del x, y
        return self.target.randomised

    def explore(self, x: Tensor, y: Tensor, found: Candidates, generator: torch.Generator, report: StepReport) -> None:
        others = self._targets.of(x, y, found)
        goals = torch.stack((y[:, None].expand_as(others), others), 2)
        spare = USUAL_UNITS * len(x) if self.spare is None else self.spare
        spent, total = 0, FIRST_ROUNDS * len(x) + spare
        for number in count():
            standing = found.rows
            found.rows = nearest(found, max(FEW_IMAGES, -(-len(standing) // NEAREST**number)))
            units = 2**number * len(found.rows)
            if number >= FIRST_ROUNDS:
                spare -= units
                if spare < 0 or (units > LITTLE and not found.late.any()):
                    found.rows = standing
                    return
            own = part_of(report, before=min(spent, total - units), share=units, total=total)
            self._round(number, x, goals, found, generator, own)
            spent += units
            found.drop_fallen(at_least=0)
            found.rows = standing[~found.confirmed[standing]]
            if len(found.rows) == 0:
                found.late.zero_()  # nothing is left that could fall
                return
            found.late = found.confirmed & torch.isin(torch.arange(len(x), device=x.device), standing)

    def _round(
        self,
        number: int,
        x: Tensor,
        goals: Tensor,
        found: Candidates,
        generator: torch.Generator,
        report: StepReport,
    ) -> None:
        """Round ``number`` with 2^``number`` units; ``goals`` are the label and target of each start, (N, T, 2)."""
        apgd = APGD(self.target, self.threat_model, steps=self.steps, eot=self.eot)
        earlier = (2**number - 1) * self.targets
        starts = 2**number * self.targets
        for first, beside, images in found.rounds(starts, queries=self.eot, steps=self.steps, earlier=earlier):
            start = found.numbers(first, images)
            pair = goals[images, start % self.targets]
            loss = start // self.targets % len(LOSSES)
            goal = torch.cat((pair, loss[:, None]), 1)
            own = part_of(report, before=first - earlier, share=1, total=starts)
            apgd.climb(x[images], pair[:, 0], goal, _climbed, beside, generator, own)


def nearest(found: Candidates, most: int) -> Tensor:
    """The rows of the standing images of lowest score, int64 (K,) in their order; K is at most ``most``."""
    return found.rows[found.score[found.rows].argsort(stable=True)[:most]].sort().values


def _climbed(logits: Tensor, goal: Tensor) -> Tensor:
    """The loss of each row, (N,); ``goal`` is int64 (N, 3): the label, the target, and the place in ``LOSSES``."""
    values = torch.stack([loss(logits, goal[:, :2]) for loss in LOSSES])
    return values.gather(0, goal[None, :, 2])[0]
