"""Linear bounds of a network, propagated backwards: CROWN (Zhang et al. 2018, section 3; Xu et al. 2020, section 3).

A function A . z of a node's output is bounded below by a linear function of the images: each affine layer is put in
exactly, each nonlinear layer by the line below it where its coefficient is positive and the line above it where it is
negative. Over the ball the linear function is least at a corner. The boxes of the nodes, which the lines need, are
found in the same way.
"""

from dataclasses import replace

import torch
from torch import Tensor

from advtool.certification.rounding import LOST, PIXELS, allowance
from advtool.certification.rows import Rows
from advtool.compute.layers import Affine, Box, LayerGraph, Nonlinear, Relaxation


class LinearBounds:
    """The boxes of all nodes of a network, over a box of images each.

    Args:
        graph: the network.
        images: the box of each image (N, C, H, W), float32.
        numbers: coefficients of the largest node in one pass.
    """

    def __init__(self, graph: LayerGraph, images: Box, numbers: int) -> None:
        self.graph, self.numbers = graph, numbers
        self.boxes = [images.widened(PIXELS)]
        self.errors: list[Tensor | None] = [None]
        """how far the model and these bounds may round in each node, (N, ...)"""
        self.relaxations: dict[int, Relaxation] = {}
        for place in range(1, len(graph.nodes)):
            self._enter(place)

    @property
    def last(self) -> int:
        """The place of the logits."""
        return len(self.graph.nodes) - 1

    @property
    def largest(self) -> Tensor:
        """The largest absolute value of any node of each image (N,)."""
        return torch.stack([box.magnitude.flatten(1).amax(1) for box in self.boxes]).amax(0)

    def lower(self, place: int, rows: Rows, *, sign_only: bool = False, at_boxes: bool = False) -> Tensor:
        """Lower bounds (P,) of A . z in float64, whatever the images in their boxes and the rounding of the model.

        Args:
            place: of the node with output z.
            rows: A.
            sign_only: stop at the first bound above 0, on the way back.
            at_boxes: take the best of the bounds over the boxes on the way back and over the images. In a network that
                trained by interval bounds the last box says more than the images (Gowal et al. 2019).
        """
        bounds = torch.full((len(rows.values),), -torch.inf, dtype=torch.float64, device=rows.values.device)
        left, total, pending = torch.arange(len(bounds), device=bounds.device), torch.zeros_like(bounds), {place: rows}
        for at in range(place, 0, -1):
            if (here := pending.pop(at, None)) is None:
                continue
            if (sign_only or at_boxes) and not pending and at in self.relaxations:
                bounds[left] = torch.maximum(bounds[left], total + here.least(self.boxes[at]))
                if sign_only:
                    undecided = (bounds[left] <= 0).nonzero().squeeze(1)
                    left, total, here = left[undecided], total[undecided], here.at(undecided)
            constant, parts = self._back(at, here)
            total = total + constant
            for source, part in zip(self.graph.nodes[at].inputs, parts, strict=True):
                pending[source] = pending[source] + part if source in pending else part
        least = total + pending[0].least(self.boxes[0]) if 0 in pending else total
        if sign_only or at_boxes:
            least = bounds.index_put((left,), torch.maximum(bounds[left], least))
        return (least - LOST).nan_to_num(nan=-torch.inf)

    def _back(self, at: int, rows: Rows) -> tuple[Tensor, list[Rows]]:
        """One layer back: constants (P,), and rows of the layer's inputs."""
        node, error = self.graph.nodes[at], self.errors[at]
        constant = torch.zeros((), device=rows.values.device)
        if error is not None:
            constant = -abs(rows).dot(error)
        if isinstance(node.layer, Affine):
            if (bias := node.layer.bias()) is not None:
                constant = constant + rows.dot(bias.expand(1, *node.shape))
            return constant, rows.through(node.layer, [self.graph.nodes[source].shape for source in node.inputs])
        relaxation = self.relaxations[at]
        rows = rows if relaxation.windowed else rows.dense()
        values, offset = relaxation.back(rows.values, rows.take)
        (source,) = node.inputs
        return constant + offset, [replace(rows, values=values, shape=self.graph.nodes[source].shape)]

    def _enter(self, place: int) -> None:
        node = self.graph.nodes[place]
        assert node.layer is not None
        inputs = [self.boxes[source] for source in node.inputs]
        error = allowance(node.layer, inputs)
        self.errors.append(error)
        box, room = node.layer.interval(*inputs), allowance(node.layer, inputs, interval=True)
        self.boxes.append(box if room is None else box.widened(room))
        if isinstance(node.layer, Nonlinear):
            self.relaxations[place] = node.layer.relax(inputs[0])
        users = [user for user in self.graph.users(place) if isinstance(user, Nonlinear)]
        if users and not self._is_exact(place):
            unsure = torch.stack([user.ambiguous(self.boxes[place]) for user in users]).any(0)
            self._tighten(place, unsure.flatten(1), sign_only=all(user.sign_decides for user in users))

    def _is_exact(self, place: int) -> bool:
        """Whether interval arithmetic is exact: at most one affine layer that mixes, on a box."""
        mixing = 0
        while place:
            node = self.graph.nodes[place]
            if not isinstance(node.layer, Affine) or len(node.inputs) > 1:
                return False
            mixing += not node.layer.keeps_boxes
            (place,) = node.inputs
        return mixing <= 1

    def _tighten(self, place: int, unsure: Tensor, *, sign_only: bool) -> None:
        """Bound some entries of a node backwards too, and keep the better ends.

        Args:
            place: of the node.
            unsure: bool (N, entries).
            sign_only: the end that is nearer to 0 comes first, and once it has the sign of the other end, that other
                end is not needed.
        """
        low, high = (end.flatten(1) for end in self.boxes[place])
        ends = {1: low.clone(), -1: -high}  # of z and of -z, both from below
        first = unsure & (low + high > 0)
        self._raise(place, ends[1], first, 1, sign_only)
        self._raise(place, ends[-1], unsure & ~first, -1, sign_only)
        rest = unsure & (ends[1] < 0) & (ends[-1] < 0) if sign_only else unsure
        self._raise(place, ends[1], rest & ~first, 1, sign_only)
        self._raise(place, ends[-1], rest & first, -1, sign_only)
        shape = self.boxes[place].low.shape
        self.boxes[place] = Box(ends[1].view(shape), -ends[-1].view(shape))

    def _raise(self, place: int, ends: Tensor, chosen: Tensor, sign: int, sign_only: bool) -> None:
        """Raise the lower ends (N, entries) of ``sign`` times a node's output, where ``chosen``."""
        images, entries = chosen.nonzero(as_tuple=True)
        at_once = self.rows_at_once(place)
        for some, theirs in zip(images.split(at_once), entries.split(at_once), strict=True):
            rows = Rows.units(theirs, some, self.graph.nodes[place].shape, ends)
            bounds = self.lower(place, rows if sign > 0 else -rows, sign_only=sign_only)
            ends[some, theirs] = torch.maximum(ends[some, theirs], down(bounds))

    def rows_at_once(self, place: int) -> int:
        """How many rows of a node's output go back together."""
        largest = max(torch.Size(node.shape).numel() for node in self.graph.nodes[: place + 1])
        return max(1, self.numbers // largest)


def down(bounds: Tensor) -> Tensor:
    """Float32 at most ``bounds`` (float64)."""
    rounded = bounds.float()
    return torch.where(rounded > bounds, rounded.nextafter(torch.full_like(rounded, -torch.inf)), rounded)
