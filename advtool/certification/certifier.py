"""Which images no attack can break, for one model."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from advtool.certification.linear_bounds import NUMBERS_AT_ONCE, LinearBounds
from advtool.certification.rounding import LARGEST, UNIT
from advtool.certification.rows import Rows
from advtool.compute.layers import Affine, Box, Nonlinear, UnknownLayer, read
from advtool.target.target import Target
from advtool.threat import ThreatModel

Report = Callable[[int, int, int], None]
"""Called as ``report(images done, images in all, images certified)`` now and then."""

TIE = 16 * UNIT
"""A margin counts as above 0 only if rounding a log softmax cannot make it 0: relative to the largest logit."""
LARGEST_DISAGREEMENT = 1e-3
"""Share of the largest logit by which the graph and the model may differ on an image; rounding stays far below."""
WINDOW = 256
"""Typical numbers of a row, for the number of images at once."""


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
    """the strongest bounds that were used: CROWN, alpha-CROWN, or beta-CROWN with branching"""


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
            self.graph = read(target.model, x[:1]).to(torch.float32)
        except UnknownLayer as error:
            raise NotCertifiable(str(error)) from None
        if self.graph.nodes[-1].shape != (target.classes,):
            raise NotCertifiable(f"the model's output of one image has shape {self.graph.nodes[-1].shape}")
        ours, theirs = self.graph(x), target.logits(x)
        if not bool(((ours - theirs).abs() <= LARGEST_DISAGREEMENT * theirs.abs().amax(1, keepdim=True)).all()):
            raise NotCertifiable("the layers that torch.export reads give other logits than the model")

    def passes(self, x: Tensor, threat_model: ThreatModel) -> float:
        """About what the bounds of an image cost, in forward passes of one image.

        Each entry that interval arithmetic leaves unsure takes a pass back to the images, twice if it stays unsure.

        Args:
            x: a few images, float32 (n, C, H, W) on the device.
            threat_model: what the attacker may do.
        """
        boxes, work, total = [Box(*threat_model.box(x))], [0.0], 0.0
        for node in self.graph.nodes[1:]:
            layer = node.layer
            assert layer is not None
            boxes.append(layer.interval(*(boxes[source] for source in node.inputs)))
            products = layer.terms if isinstance(layer, Affine) else 1
            before = sum(work[source] for source in node.inputs)
            work.append(before + products * torch.Size(node.shape).numel())
            if isinstance(layer, Nonlinear):
                unsure = layer.ambiguous(boxes[node.inputs[0]])
                total += float(unsure.flatten(1).sum(1).double().mean()) * before
        return total / work[-1] + 2 * (self.graph.nodes[-1].shape[0] - 1)

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
        del seconds
        size = self._images_at_once(x.device.type)
        for rows in torch.arange(len(x), device=x.device).split(size):
            bounds = LinearBounds(self.graph, Box(*threat_model.box(x[rows])))
            margins, room = self._margins(bounds, y[rows])
            lower[rows] = margins.amin(1)
            certified[rows] = (margins > room).all(1)
            report(int(rows[-1]) + 1, len(x), int(certified.sum()))
        return Certificate(certified, lower, "CROWN")

    def _margins(self, bounds: LinearBounds, y: Tensor) -> tuple[Tensor, Tensor]:
        """Lower bounds of the margins to every other class (n, classes - 1), and what they must exceed (n, 1)."""
        classes = self.graph.nodes[-1].shape[0]
        images = torch.arange(len(y), device=y.device)
        differences = torch.nn.functional.one_hot(y, classes)[:, None] - torch.eye(
            classes, dtype=torch.long, device=y.device
        )
        others = torch.ones(len(y), classes, dtype=torch.bool, device=y.device).scatter_(1, y[:, None], False)
        rows = Rows(differences[others].float(), images.repeat_interleave(classes - 1), (classes,))
        margins = bounds.lower(len(self.graph.nodes) - 1, rows).view(len(y), -1)
        largest = bounds.largest
        room = TIE * (bounds.boxes[-1].magnitude.amax(1) + torch.tensor(classes).log())
        margins = torch.where((largest < LARGEST)[:, None], margins, -torch.inf)  # false for NaN too
        return margins.nan_to_num(nan=-torch.inf), room.double()[:, None]

    def _images_at_once(self, device: str) -> int:
        entries = sum(
            torch.Size(self.graph.nodes[node.inputs[0]].shape).numel()
            for node in self.graph.nodes
            if isinstance(node.layer, Nonlinear)
        )
        return max(1, NUMBERS_AT_ONCE[device] // (WINDOW * max(1, entries)))
