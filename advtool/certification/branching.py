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
LARGEST_TIGHTENED = 8
"""How many passes' rows may be optimised together; autograd keeps all their layers in memory."""
MOST_NUMBERS = 2**28
"""Numbers of all open parts together: more would fill the memory, and the image is out of reach then."""


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

    def rows(self, margins: Tensor) -> Rows:
        """The margin of each part, of rows of the logits (M, classes)."""
        parts = torch.arange(len(self.targets), device=self.targets.device)
        return Rows(margins[self.targets], parts, margins.shape[1:])

    def join(self, other: "Open") -> "Open":
        """These parts and the others."""
        targets, lower = torch.cat((self.targets, other.targets)), torch.cat((self.lower, other.lower))
        return Open(self.domains.join(other.domains), targets, lower)


def refine(bounds: LinearBounds, image: int, margins: Tensor, lower: Tensor, enough: float, seconds: float) -> Tensor:
    """Better lower bounds of an image's margins, float64 (M,).

    Args:
        bounds: of some balls.
        image: one of them.
        margins: rows of the logits (M, classes).
        lower: what is known, float64 (M,).
        enough: a margin above this is proved.
        seconds: how long to try.
    """
    until = time.monotonic() + seconds
    lower, last = lower.clone(), len(bounds.graph.nodes) - 1
    root = Domains(bounds, image)
    if not root.slopes:
        return lower
    undecided = (~(lower > enough)).nonzero().squeeze(1)
    for tightened in (False, True):
        if tightened:
            for place in list(root.slopes):
                count = 2 * int(root.ambiguous(place).sum())
                if time.monotonic() > until - seconds / 2:
                    break
                if count <= LARGEST_TIGHTENED * root.rows_at_once(root.source(place)):
                    root.tighten(place, TIGHTEN_STEPS)
        parts = root.at(torch.zeros_like(undecided))
        rows = Rows(margins[undecided], torch.arange(len(undecided), device=lower.device), margins.shape[1:])
        best = parts.ascend(last, rows, ROOT_STEPS, enough)
        lower[undecided] = torch.maximum(lower[undecided], best)
        left = ~(lower[undecided] > enough)
        if not bool(left.any()):
            return lower
        still = left.nonzero().squeeze(1)
        undecided, best = undecided[still], best[still]
        parts = parts.at(still)
    return _branch(Open(parts, undecided, best), margins, lower, enough, until)


def _branch(queue: Open, margins: Tensor, lower: Tensor, enough: float, until: float) -> Tensor:
    """Cut the parts with the lowest bounds first. A margin is proved once no part of it is left."""
    last, at_once = len(queue.domains.graph.nodes) - 1, PARTS_AT_ONCE[lower.device.type]
    asked = queue.targets.unique()
    most = MOST_NUMBERS // sum(5 * slope[0].numel() for slope in queue.domains.slopes.values())
    while 0 < len(queue.targets) < most and time.monotonic() < until:
        order = queue.lower.argsort()
        now, later = queue.at(order[:at_once]), queue.at(order[at_once:])
        children = _cut(now, margins)
        if children is None:
            break
        best = children.domains.ascend(last, children.rows(margins), BRANCH_STEPS, enough)
        children.lower = torch.maximum(best, children.lower)
        queue = later.join(children.at((~(children.lower > enough)).nonzero().squeeze(1)))
    for target in asked:
        rest = queue.lower[queue.targets == target]
        lower[target] = torch.maximum(lower[target], rest.min() if len(rest) else lower.new_tensor(enough + PROVED))
    return lower


def _cut(now: Open, margins: Tensor) -> Open | None:
    """Both halves of each part, cut at the ReLU whose worse half has the best bound; None if nothing is left to cut."""
    domains, last, rows = now.domains, len(now.domains.graph.nodes) - 1, now.rows(margins)
    domains.lower(last, rows)
    places, scores = list(domains.slopes), [_score(domains, place) for place in domains.slopes]
    sizes = torch.tensor([each.shape[1] for each in scores], device=now.lower.device)
    ends = sizes.cumsum(0)
    value, choice = torch.cat(scores, 1).topk(min(CANDIDATES, int(ends[-1])), 1)
    if not bool((value[:, 0] > 0).all()):
        return None
    tried = [_halves(now, choice[:, number].contiguous(), places, ends, sizes) for number in range(choice.shape[1])]
    worse = []
    for number, (first, second) in enumerate(tried):
        bound = torch.minimum(first.lower(last, rows), second.lower(last, rows))
        worse.append(bound.where(value[:, number] > 0, -torch.inf))
    best = choice.gather(1, torch.stack(worse, 1).argmax(1, keepdim=True)).squeeze(1)
    first, second = _halves(now, best, places, ends, sizes)
    return Open(first.join(second), now.targets.repeat(2), now.lower.repeat(2))


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
