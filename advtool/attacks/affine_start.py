"""A model cut after its first convolution: up to there it is affine, so sums of inputs need not pass it again."""

import copy
from typing import NamedTuple

import torch
from torch import Tensor, fx, nn

from advtool.attacks.rewriting import trace
from advtool.attacks.search_form import agree
from advtool.precision import Precision, autocast, layout

CHANGE = 0.0317
"""Share of an image by which others are moved to try a start: small, and no level of 8 bits, so that rounding shows."""
CLOSE = 1e-3
"""Share of the largest movement by which the sum of the parts may differ from the whole: float32's rounding is less."""


class AffineStart(NamedTuple):
    """The model is ``tail(head(x))``."""

    head: nn.Module
    """images (N, C, H, W) to the first convolution's output (N, O, h, w): a linear map and a constant"""
    tail: nn.Module
    """from there to the logits (N, classes); may overwrite what it is given"""
    layout: torch.memory_format
    """of what the tail is given"""
    precision: Precision
    """of the tail; the head's sums are in float32, where small changes show"""

    def moved(self, x: Tensor, changes: Tensor) -> Tensor:
        """The head's output (P N, O, h, w) for images ``x`` (N, C, H, W) moved by each of ``changes`` (P, C, H, W)."""
        at_x: Tensor = self.head(x)
        offsets: Tensor = self.head(changes) - self.head(torch.zeros_like(changes[:1]))
        at_x, offsets = (part.contiguous(memory_format=self.layout) for part in (at_x, offsets))
        return (at_x + offsets[:, None]).flatten(0, 1)

    def logits(self, features: Tensor) -> Tensor:
        """Of what the head, or :meth:`moved`, has given."""
        with autocast(self.precision, features.device):
            logits: Tensor = self.tail(features)
        return logits


def affine_start(model: nn.Module, form: nn.Module, images: Tensor) -> AffineStart | None:
    """A copy of ``form`` in two parts; None if it has no such start or cannot be traced.

    Args:
        model: in eval mode, parameters frozen.
        form: its search form, or itself.
        images: a few images (N, C, H, W) on its device, to try the parts on.
    """
    for memory_format in _layouts(form, images.device):
        try:
            head, tail = _cut(trace(copy.deepcopy(form), images.device))
            start = AffineStart(head, tail, memory_format, getattr(form, "precision", "float32"))
            if _is_affine(start, images) and agree(model, _Joined(start), images, gradient=False):
                return start
        except Exception:  # whatever comes of tracing a user's model
            continue
    return None


def _layouts(form: nn.Module, device: torch.device) -> dict[torch.memory_format, None]:
    """Without a gradient a CPU is faster with channels last for narrow models too; some tails bear one layout only."""
    first = torch.channels_last if device.type == "cpu" else layout(form)
    return dict.fromkeys((first, torch.channels_last, torch.contiguous_format))


class _Joined(nn.Module):
    """The parts as they are used, in float32."""

    def __init__(self, start: AffineStart) -> None:
        super().__init__()
        self.start = start._replace(precision="float32")

    def forward(self, x: Tensor) -> Tensor:
        return self.start.logits(self.start.moved(x, torch.zeros_like(x[:1])))


@torch.no_grad()
def _is_affine(start: AffineStart, images: Tensor) -> bool:
    base, changes = (1 - CHANGE) * images[:1], CHANGE * torch.cat((images, -images))
    at_base, whole = start.head(base), start.head(base + changes)
    return bool((start.moved(base, changes) - whole).abs().max() <= CLOSE * (whole - at_base).abs().max())


def _cut(traced: fx.GraphModule) -> tuple[nn.Module, nn.Module]:
    """Raises a KeyError if something but constants goes past the first convolution, a StopIteration without one."""
    nodes = list(traced.graph.nodes)
    place, first = next((place, node) for place, node in enumerate(nodes) if _is_convolution(traced, node))
    head, tail = fx.Graph(), fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    for node in nodes[: place + 1]:
        copies[node] = head.node_copy(node, copies.__getitem__)
    head.output(copies[first])
    copies = {first: tail.placeholder("features")}
    constants = (node for node in nodes[:place] if node.op == "get_attr")
    for node in (*constants, *nodes[place + 1 :]):
        copies[node] = tail.node_copy(node, copies.__getitem__)
    return fx.GraphModule(traced, head), fx.GraphModule(traced, tail)


def _is_convolution(traced: fx.GraphModule, node: fx.Node) -> bool:
    return node.op == "call_module" and isinstance(traced.get_submodule(str(node.target)), nn.Conv2d)
