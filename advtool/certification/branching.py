"""Branch and bound on ReLUs (Bunel et al. 2020): cut a ball into parts until each is proved, or the time is up."""

import time
from dataclasses import dataclass

import torch
from torch import Tensor

from advtool.certification.domains import Domains
from advtool.certification.linear_bounds import LinearBounds
from advtool.certification.rows import Rows
from advtool.compute.layers.activations import Lines

ROOT_STEPS, TIGHTEN_STEPS, BRANCH_STEPS = 20, 10, 10
"""Gradient steps for the whole ball, for the boxes of its ReLUs, and for a part."""
CANDIDATES = 4
"""ReLUs that are tried for each cut (filtered smart branching; De Palma et al. 2021)."""
PARTS_AT_ONCE = {"cpu": 64, "cuda": 1024}
PROVED = 1e-9
"""What is known of a margin by cuts beyond the least that proves it."""
PASSES_TO_TIGHTEN = 8
"""How many passes a gradient step may take for the boxes of a ReLU: more time is better spent on cuts."""
PASSES_KEPT = {"cpu": 64, "cuda": 1}
"""How many passes' numbers all open parts together may have. With more the image is out of reach."""


@dataclass(frozen=True, eq=False)
class Goal:
    """What is to be proved of a ball, and by when."""

    margins: Tensor
    """rows of the logits (M, classes)"""
    enough: float
    """a margin above this is proved"""
    until: float
    """of the monotonic clock"""

    @property
    def is_late(self) -> bool:
        """Whether the time is up: then no pass begins any more."""
        return time.monotonic() >= self.until


@dataclass
class Open:
    """Parts that are not proved yet, each of one margin."""

    domains: Domains
    targets: Tensor
    """int64 (D,): the margin that each part belongs to"""
    lower: Tensor
    """float64 (D,)"""

    def at(self, rows: Tensor) -> "Open":
        """Some of the parts."""
        return Open(self.domains.at(rows), self.targets[rows], self.lower[rows])

    def rows(self, goal: Goal) -> Rows:
        """The margin of each part."""
        parts = torch.arange(len(self.targets), device=self.targets.device)
        return Rows(goal.margins[self.targets], parts, goal.margins.shape[1:])

    def join(self, *others: "Open") -> "Open":
        """These parts and the others."""
        every = (self, *others)
        targets, lower = torch.cat([each.targets for each in every]), torch.cat([each.lower for each in every])
        return Open(self.domains.join(*(each.domains for each in others)), targets, lower)

    def ascend(self, steps: int, goal: Goal) -> None:
        """Improve the slopes, multipliers and bounds of the parts by so many gradient steps at most."""
        best = self.domains.ascend(self.domains.last, self.rows(goal), steps, goal.enough, goal.until)
        self.lower = torch.maximum(self.lower, best)

    def undecided(self, goal: Goal) -> "Open":
        """The parts that are not proved."""
        return self.at((~(self.lower > goal.enough)).nonzero().squeeze(1))


def refine(bounds: LinearBounds, image: int, margins: Tensor, lower: Tensor, enough: float, seconds: float) -> Tensor:
    """Better lower bounds of an image's margins, float64 (M,).

    Args:
        bounds: of some balls.
        image: one of them.
        margins: rows of the logits (M, classes).
        lower: what is known, float64 (M,).
        enough: a margin above this is proved.
        seconds: how long to try. The pass that has begun by then is finished.
    """
    goal = Goal(margins, enough, time.monotonic() + seconds)
    lower, root = lower.clone(), Domains(bounds, image)
    if not root.slopes:
        return lower
    _ascend_whole(root, lower, goal)
    if not bool((lower > enough).all()):
        _tighten(root, goal.until - seconds / 2)
        first, *others = _ascend_whole(root, lower, goal)
        _branch(first.join(*others), lower, goal)
    return lower


def _ascend_whole(root: Domains, lower: Tensor, goal: Goal) -> list[Open]:
    """Optimise slopes of the whole ball for each undecided margin, and raise ``lower``. Returns what is left to cut."""
    left, most = list[Open](), _most_parts(root)
    for targets in (~(lower > goal.enough)).nonzero().squeeze(1).split(_parts_at_once(root)):
        whole = Open(root.at(torch.zeros_like(targets)), targets, torch.full_like(lower[targets], -torch.inf))
        whole.ascend(ROOT_STEPS, goal)
        lower[targets] = torch.maximum(lower[targets], whole.lower)
        if sum(len(each.targets) for each in left) < most:
            left.append(whole.undecided(goal))
        if goal.is_late:
            break
    return left


def _tighten(root: Domains, until: float) -> None:
    """Bound the inputs of all ReLUs anew, as far as there is time."""
    for place in list(root.slopes):
        count = 2 * int(root.ambiguous(place).sum())
        if count <= PASSES_TO_TIGHTEN * root.rows_at_once(root.source(place)) and time.monotonic() < until:
            root.tighten(place, TIGHTEN_STEPS, until)


def _parts_at_once(domains: Domains) -> int:
    """How many parts go back together. They are copied some times for a cut, so all their numbers count."""
    device = domains.boxes[0].low.device.type
    fitting = min(domains.rows_at_once(domains.last), domains.numbers // domains.numbers_of_a_part)
    return max(1, min(PARTS_AT_ONCE[device], fitting))


def _most_parts(domains: Domains) -> int:
    """How many parts may be open."""
    kept = PASSES_KEPT[domains.boxes[0].low.device.type] * domains.numbers
    return max(1, kept // domains.numbers_of_a_part)


def _branch(queue: Open, lower: Tensor, goal: Goal) -> None:
    """Cut the parts with the lowest bounds first, and raise ``lower``: a margin of which no part is left is proved."""
    asked, at_once, most = queue.targets.unique(), _parts_at_once(queue.domains), _most_parts(queue.domains)
    while 0 < len(queue.targets) < most and not goal.is_late:
        order = queue.lower.argsort()
        now, later = queue.at(order[:at_once]), queue.at(order[at_once:])
        children = _cut(now, goal)
        if children is None:
            break
        children.ascend(BRANCH_STEPS, goal)
        queue = later.join(children.undecided(goal))
    for target in asked:
        rest = queue.lower[queue.targets == target]
        known = rest.min() if len(rest) else lower.new_tensor(goal.enough + PROVED)
        lower[target] = torch.maximum(lower[target], known)


def _cut(now: Open, goal: Goal) -> Open | None:
    """Both halves of each part, cut at the ReLU whose worse half has the best bound.

    None if nothing is left to cut, or the time is up.
    """
    domains, rows = now.domains, now.rows(goal)
    domains.lower(domains.last, rows)
    places, scores = list(domains.slopes), [_score(domains, place) for place in domains.slopes]
    sizes = torch.tensor([each.shape[1] for each in scores], device=now.lower.device)
    ends = sizes.cumsum(0)
    value, choice = torch.cat(scores, 1).topk(min(CANDIDATES, int(ends[-1])), 1)
    if not bool((value[:, 0] > 0).all()):
        return None
    worse = []
    for number in range(choice.shape[1]):
        if goal.is_late:
            return None
        bound = _worse(_halves(now, choice[:, number].contiguous(), places, ends, sizes), rows)
        worse.append(bound.where(value[:, number] > 0, -torch.inf))
    best = choice.gather(1, torch.stack(worse, 1).argmax(1, keepdim=True)).squeeze(1)
    first, second = _halves(now, best, places, ends, sizes)
    return Open(first.join(second), now.targets.repeat(2), now.lower.repeat(2))


def _worse(halves: tuple[Domains, Domains], rows: Rows) -> Tensor:
    """The bound of the worse half. The halves of one candidate are gone before those of the next are made."""
    first, second = (half.lower(half.last, rows) for half in halves)
    return torch.minimum(first, second)


def _halves(now: Open, choice: Tensor, places: list[int], ends: Tensor, sizes: Tensor) -> tuple[Domains, Domains]:
    """Each part with the chosen ReLU on, and off. ``choice`` (D,) counts the ReLUs of all places."""
    every = torch.arange(len(choice), device=choice.device)
    halves = now.domains.at(every), now.domains.at(every)
    which = torch.bucketize(choice, ends, right=True)
    for number, place in enumerate(places):
        mine = (which == number).nonzero().squeeze(1)
        if len(mine):
            entries = choice[mine] - (ends[number] - sizes[number])
            for half, side in zip(halves, (1, -1), strict=True):
                half.split(place, mine, entries, side)
    for half in halves:
        half.relax()
    return halves


def _score(domains: Domains, place: int) -> Tensor:
    """How much the bound loses at each ambiguous ReLU, about, (D, entries); 0 at the others."""
    rows, lines = domains.seen[place], domains.relaxations[place]
    assert isinstance(lines, Lines)
    low, high = domains.boxes[domains.source(place)]
    above = -rows.clamp(max=0) * lines.high_offset
    below = rows.clamp(min=0) * torch.minimum(-low * lines.low_slope, high * (1 - lines.low_slope))
    return ((above + below) * domains.ambiguous(place)).flatten(1)
