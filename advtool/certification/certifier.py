"""Which images no attack can break, for one model."""

from collections.abc import Callable
from dataclasses import dataclass
from math import log

import torch
from torch import Tensor

from advtool import seeding
from advtool.certification.branching import refine
from advtool.certification.linear_bounds import LinearBounds
from advtool.certification.rounding import LARGEST, UNIT
from advtool.certification.rows import Rows
from advtool.compute.layers import Affine, Box, Nonlinear, UnknownLayer, read
from advtool.target.target import Target
from advtool.threat import ThreatModel

Report = Callable[[int, int, int], None]
"""Called as ``report(images done, images in all, images certified)`` now and then."""

LINEAR, BRANCHING = "CROWN", "CROWN, alpha-CROWN, beta-CROWN with branching"
"""The methods without and with time for undecided images."""
TIE = 16 * UNIT
"""A margin counts as above 0 only if rounding a log softmax cannot make it 0: relative to the largest logit."""
LARGEST_DISAGREEMENT = 1e-3
"""Share of the largest logit by which the graph and the model may differ on an image; rounding stays far below."""
NUMBERS_AT_ONCE = {"cpu": 2**22, "cuda": 2**28}
"""By device, the coefficients of a node in one pass. On a CPU they stay near its cache."""
PASSES_OF_A_WAY_BACK = 4
"""How many forward passes take about as long as one row's way back to the images: 1 to 6 on nets of others."""
WINDOW = 64
"""Typical coefficients of a row, for the number of images at once."""


class NotCertifiable(Exception):  # noqa: N818
    """The model has no bounds. The message is one line that says why."""


@dataclass(frozen=True, eq=False)
class Certificate:
    """What is proved of N images."""

    certified: Tensor
    """bool (N,): no adversarial example exists in the ball, and the image itself is classified right"""
    lower: Tensor
    """float64 (N,): a lower bound of the margin over the whole ball; minus infinity if it is unknown"""
    method: str
    """the bounds that were used"""


def no_report(done: int, total: int, certified: int) -> None:
    """For bounds that nobody watches."""


class Certifier:
    """The bounds of a model.

    Args:
        target: the model.
        x: a few images, float32 (n, C, H, W) on the device.

    Raises:
        NotCertifiable: the model is random, or a part of it has no bounds.
    """

    def __init__(self, target: Target, x: Tensor) -> None:
        if target.randomised:
            raise NotCertifiable("the model is random, and bounds of one draw say nothing of the votes")
        try:
            self.graph = read(target.model, x[:1]).to(torch.float32, x.device)
        except UnknownLayer as error:
            raise NotCertifiable(str(error)) from None
        if target.classes < 2:
            raise NotCertifiable("the model has one class alone, so nothing can go wrong")
        if self.graph.nodes[-1].shape != (target.classes,):
            raise NotCertifiable(f"the model's output of one image has shape {self.graph.nodes[-1].shape}")
        stream = seeding.generator(x.device, 0, "certify")
        for batch in (x, x[:1], torch.rand(x.shape, generator=stream, device=x.device)):
            self._check_agreement(batch, target.logits(batch))
        self._target, self._images_a_pass = target, target.batch_size

    def _check_agreement(self, x: Tensor, theirs: Tensor) -> None:
        ours = self.graph(x)
        largest = torch.maximum(ours.abs(), theirs.abs()).amax(1, keepdim=True)
        # A log softmax at the end, which the graph leaves out, takes the same number from every class.
        rest = (ours - theirs) - (ours - theirs).mean(1, keepdim=True)
        if not bool((rest.abs() <= LARGEST_DISAGREEMENT * largest).all()):
            raise NotCertifiable("the layers that torch.export reads give other logits than the model")

    def passes(self, x: Tensor, threat_model: ThreatModel) -> float:
        """About what the bounds of an image cost, in forward passes of one image.

        Each entry that interval arithmetic leaves unsure goes back to the images, twice if it stays unsure.

        Args:
            x: a few images, float32 (n, C, H, W) on the device.
            threat_model: what the attacker may do.
        """
        boxes, work, total = self.graph.intervals(Box(*threat_model.box(x))), [0.0], 0.0
        for node in self.graph.nodes[1:]:
            layer = node.layer
            products = layer.terms if isinstance(layer, Affine) else 1
            before = sum(work[source] for source in node.inputs)
            work.append(before + products * torch.Size(node.shape).numel())
            if isinstance(layer, Nonlinear):
                unsure = layer.ambiguous(boxes[node.inputs[0]])
                total += float(unsure.flatten(1).sum(1).double().mean()) * before
        return PASSES_OF_A_WAY_BACK * (total / work[-1] + 2 * (self.graph.nodes[-1].shape[0] - 1))

    @torch.no_grad()
    def certify(
        self, x: Tensor, y: Tensor, threat_model: ThreatModel, *, seconds: float = 0.0, report: Report = no_report
    ) -> Certificate:
        """Prove what can be proved.

        Args:
            x: images, float32 (N, C, H, W) in the clip range, on the device.
            y: their labels, int64 (N,).
            threat_model: what the attacker may do.
            seconds: for each image that linear bounds leave undecided; 0: linear bounds alone.
            report: is told of the progress.
        """
        lower = torch.full((len(x),), -torch.inf, dtype=torch.float64, device=x.device)
        certified = torch.zeros(len(x), dtype=torch.bool, device=x.device)
        for rows in torch.arange(len(x), device=x.device).split(self._images_at_once()):
            bounds = LinearBounds(self.graph, Box(*threat_model.box(x[rows])), self._numbers())
            differences = self._differences(y[rows])
            margins, room = self._margins(bounds, differences), self._room(bounds)
            if seconds:
                right = self.graph(x[rows]).argmax(1) == y[rows]
                for image in (right & room.isfinite() & (margins <= room[:, None]).any(1)).nonzero().flatten().tolist():
                    known, enough = margins[image], float(room[image])
                    margins[image] = refine(bounds, image, differences[image], known, enough, seconds)
            lower[rows] = margins.amin(1).where(room.isfinite(), -torch.inf)
            certified[rows] = (margins > room[:, None]).all(1)
            report(int(rows[-1]) + 1, len(x), int(certified.sum()))
        return Certificate(certified, lower, BRANCHING if seconds else LINEAR)

    def _differences(self, y: Tensor) -> Tensor:
        """The logit of the label minus that of each other class, as rows (n, classes - 1, classes)."""
        (classes,) = self.graph.nodes[-1].shape
        one_of = torch.eye(classes, device=y.device)
        others = torch.ones(len(y), classes, dtype=torch.bool, device=y.device).scatter_(1, y[:, None], False)
        return (one_of[y][:, None] - one_of)[others].view(len(y), classes - 1, classes)

    def _margins(self, bounds: LinearBounds, differences: Tensor) -> Tensor:
        """Lower bounds of the margins to every other class, float64 (n, classes - 1)."""
        count, others, classes = differences.shape
        images = torch.arange(count, device=differences.device).repeat_interleave(others)
        rows = Rows(differences.flatten(0, 1), images, (classes,))
        parts = torch.arange(count * others, device=images.device).split(bounds.rows_at_once(bounds.last))
        margins = torch.cat([bounds.lower(bounds.last, rows.at(part), at_boxes=True) for part in parts])
        return margins.view(count, others)

    def _room(self, bounds: LinearBounds) -> Tensor:
        """What a margin must exceed (n,), float64; infinite for an image whose values may overflow in float32."""
        room = TIE * (bounds.boxes[-1].magnitude.amax(1).double() + log(self.graph.nodes[-1].shape[0]))
        return torch.where(bounds.largest < LARGEST, room, torch.inf)

    def _numbers(self) -> int:
        """Coefficients of a node in one pass: fewer once the target's passes had to shrink."""
        shrunk = max(1, self._images_a_pass // max(1, self._target.batch_size))
        return max(1, NUMBERS_AT_ONCE[self._target.device.type] // shrunk)

    def _images_at_once(self) -> int:
        nodes = self.graph.nodes
        sizes = [torch.Size(nodes[node.inputs[0]].shape).numel() for node in nodes if isinstance(node.layer, Nonlinear)]
        return max(1, self._numbers() // (WINDOW * max(1, sum(sizes))))
