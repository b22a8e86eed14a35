"""Parts of balls, with slopes and multipliers that can be optimised: alpha-CROWN and beta-CROWN.

The slope below an ambiguous ReLU may be any number in [0, 1] (Xu et al. 2021). A part of a ball in which some ReLUs
are known to be on or off has a multiplier beta >= 0 for each of them: ``z >= 0`` on the part, so A . z - beta z bounds
A . z below (Wang et al. 2021, section 3.1). Every choice gives a sound bound; gradient ascent finds good ones.
"""

import time
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass

import torch
from torch import Tensor

from advtool.certification.linear_bounds import LinearBounds, down
from advtool.certification.rows import Rows
from advtool.compute.layers import Box, Nonlinear
from advtool.compute.layers.activations import LeakyReLU, Lines
from advtool.compute.layers.layer import Take

SLOPE_RATE, MULTIPLIER_RATE, DECAY = 0.25, 0.1, 0.95
"""Step sizes of the ascent (Adam), and their factor from step to step."""


@dataclass(frozen=True, eq=False)
class SplitLines(Lines):
    """Lines of a ReLU with the multipliers of its splits."""

    multiplier: Tensor
    """beta times the sign of the known side, (N, ...)"""

    def back(self, rows: Tensor, take: Take) -> tuple[Tensor, Tensor]:
        values, constant = super().back(rows, take)
        return values - take(self.multiplier), constant


class Domains(LinearBounds):
    """D parts of one ball.

    Args:
        bounds: of some balls.
        image: the place of this ball among them. There is one part at first, the whole ball.
    """

    def __init__(self, bounds: LinearBounds, image: int) -> None:
        only = torch.tensor([image], device=bounds.boxes[0].low.device)
        self.graph, self.numbers = bounds.graph, bounds.numbers
        self.boxes = [box.at(only) for box in bounds.boxes]
        """of the inputs of ReLUs (D, ...), and of all other nodes (1, ...)"""
        self.errors = [None if error is None else error[only] for error in bounds.errors]
        self.relaxations, nodes = {}, list(enumerate(self.graph.nodes))
        self.slopes: dict[int, Tensor] = {}
        """alpha by the place of the ReLU, (D, ...)"""
        self.seen: dict[int, Tensor] = {}
        """the coefficients of each ReLU's output in the last bound, (P, ...)"""
        for place, node in nodes:
            if isinstance(node.layer, LeakyReLU):
                self.slopes[place] = node.layer.relax(self.boxes[node.inputs[0]]).low_slope
            elif isinstance(node.layer, Nonlinear):
                self.relaxations[place] = node.layer.relax(self.boxes[node.inputs[0]])
        self.sides = {place: torch.zeros_like(slope) for place, slope in self.slopes.items()}
        """1 where the input is known to be >= 0, -1 where it is <= 0, else 0, by the place of the ReLU"""
        self.multipliers = {place: torch.zeros_like(slope) for place, slope in self.slopes.items()}
        """beta by the place of the ReLU"""
        self.relax()

    def at(self, rows: Tensor) -> "Domains":
        """Some of the parts, or one several times. Nothing is shared with these."""
        return self._changed(lambda numbers: numbers[rows])

    def join(self, *others: "Domains") -> "Domains":
        """These parts and the others of the same ball."""
        return self._changed(lambda *every: torch.cat(every), *others)

    @property
    def numbers_of_a_part(self) -> int:
        """Of each input of a ReLU both ends of its box, slope, side and multiplier."""
        return 5 * sum(slope[0].numel() for slope in self.slopes.values())

    def _changed(self, change: Callable[..., Tensor], *others: "Domains") -> "Domains":
        made, every = copy(self), (self, *others)
        made.boxes, made.relaxations, made.seen = self.boxes.copy(), self.relaxations.copy(), {}
        for place in self.slopes:
            ends = zip(*(each.boxes[self.source(place)] for each in every), strict=True)
            made.boxes[self.source(place)] = Box(*(change(*end) for end in ends))
        for name in ("slopes", "sides", "multipliers"):
            tensors = [getattr(each, name) for each in every]
            setattr(made, name, {place: change(*(each[place] for each in tensors)) for place in self.slopes})
        made.relax()
        return made

    def source(self, place: int) -> int:
        """The place of a ReLU's input."""
        return self.graph.nodes[place].inputs[0]

    def _relu(self, place: int) -> LeakyReLU:
        layer = self.graph.nodes[place].layer
        assert isinstance(layer, LeakyReLU)
        return layer

    def ambiguous(self, place: int) -> Tensor:
        """Which inputs of the ReLU at ``place`` may have both signs, bool (D, ...)."""
        return self._relu(place).ambiguous(self.boxes[self.source(place)])

    def split(self, place: int, parts: Tensor, entries: Tensor, side: int) -> None:
        """Cut some parts: an entry of the ReLU's input, counted flat, has the sign ``side`` there. Then call ``relax``.

        Args:
            place: of the ReLU.
            parts: int64 (K,).
            entries: int64 (K,), one for each of them.
            side: 1 or -1.
        """
        source, shape = self.source(place), self.sides[place].shape
        low, high, sides = (each.flatten(1).clone() for each in (*self.boxes[source], self.sides[place]))
        (low if side > 0 else high)[parts, entries] = 0
        sides[parts, entries] = side
        self.boxes[source], self.sides[place] = Box(low.view(shape), high.view(shape)), sides.view(shape)

    def relax(self) -> None:
        """Make the lines anew, of the boxes, slopes and multipliers as they are now."""
        for place, slope in self.slopes.items():
            lines = self._relu(place).relax_with(self.boxes[self.source(place)], slope)
            if bool(self.sides[place].any()):
                lines = SplitLines(**vars(lines), multiplier=self.multipliers[place] * self.sides[place])
            self.relaxations[place] = lines

    def ascend(self, place: int, rows: Rows, steps: int, enough: float, until: float) -> Tensor:
        """Improve slopes and multipliers for these rows. Returns the best lower bounds (P,) met, float64.

        Args:
            place: of the node that the rows belong to.
            rows: their ``images`` are parts.
            steps: gradient steps at most.
            enough: a bound above this needs no better one.
            until: no pass begins at this time of the monotonic clock or later; minus infinity is a bound then.
        """
        free = [each.requires_grad_() for each in self.slopes.values()]
        multipliers = [each.requires_grad_() for each in self.multipliers.values()]
        groups = [{"params": free, "lr": SLOPE_RATE}, {"params": multipliers, "lr": MULTIPLIER_RATE}]
        optimiser = torch.optim.Adam(groups, maximize=True)
        best = torch.full((len(rows.values),), -torch.inf, dtype=torch.float64, device=rows.values.device)
        for step in range(steps + 1):
            optimiser.zero_grad()
            with torch.set_grad_enabled(step < steps):
                if not self._climb(place, rows, best, enough, until):
                    break
            optimiser.step()
            self._keep_allowed()
            for group in optimiser.param_groups:
                group["lr"] *= DECAY
        for each in (*free, *multipliers):
            each.requires_grad_(False)
        self.relax()
        return best

    def _climb(self, place: int, rows: Rows, best: Tensor, enough: float, until: float) -> bool:
        """Raise ``best`` by the bounds as they are, and add up the gradients; whether there is a step to take.

        Autograd keeps the layers of a pass, so its gradients are taken before the next pass begins.
        """
        has_gradients = False
        for part in torch.arange(len(best), device=best.device).split(self.rows_at_once(place)):
            if time.monotonic() >= until:
                return False
            self.relax()
            bounds = self.lower(place, rows.at(part))
            best[part] = torch.maximum(best[part], bounds.detach())
            left = ~(best[part] > enough)
            if bounds.requires_grad and bool(left.any()):
                bounds[left].sum().backward()
                has_gradients = True
        return has_gradients

    def tighten(self, place: int, steps: int, until: float) -> None:
        """Bound the ambiguous inputs of the ReLU at ``place`` anew, with slopes made for them. For a single part.

        The lower ends share slopes, and the upper ends share others. :meth:`ascend` explains the arguments.
        """
        source = self.source(place)
        entries = self.ambiguous(place)[0].flatten().nonzero().squeeze(1)
        if not len(entries):
            return
        own = self.at(torch.zeros(2, dtype=torch.long, device=entries.device))
        count, like = len(entries), self.boxes[source].low
        parts = torch.arange(2, device=entries.device).repeat_interleave(count)
        rows = Rows.units(entries.repeat(2), parts, self.graph.nodes[source].shape, like)
        rows.values[count:] *= -1
        ends = own.ascend(source, rows, steps, torch.inf, until)
        low, high = (end.flatten(1).clone() for end in self.boxes[source])
        low[:, entries] = torch.maximum(low[:, entries], down(ends[:count]))
        high[:, entries] = torch.minimum(high[:, entries], -down(ends[count:]))
        self.boxes[source] = Box(low.view_as(like), high.view_as(like))
        self.relax()

    def _keep_allowed(self) -> None:
        for place, slope in self.slopes.items():
            least = torch.as_tensor(self._relu(place).slope, device=slope.device).expand_as(slope)
            slope.data.clamp_(max=1).copy_(torch.maximum(slope.data, least))
            self.multipliers[place].data.clamp_(min=0)

    def _back(self, at: int, rows: Rows) -> tuple[Tensor, list[Rows]]:
        if at in self.slopes and not rows.values.requires_grad:
            self.seen[at] = rows.values
        return super()._back(at, rows)
