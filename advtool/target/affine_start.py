"""A model cut after its first convolution: up to there it is affine, so sums of inputs need not pass it again."""

import copy
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, fx, nn

from advtool import seeding
from advtool.compute.precision import Precision, autocast, layout
from advtool.errors import is_out_of_memory
from advtool.target.rewriting import trace
from advtool.target.search_form import Arranged, agree

Answer = TypeVar("Answer")

SIZES = (0.01, 0.3)
"""Of the changes that a start is tried with, as SPSA makes them: rounding to levels shows in small ones."""
TOLERANCE = 1e-3
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
    """The search form in two parts, which share its weights; None if it has no such start or cannot be traced.

    A model that takes its batch's size before the first convolution and uses it behind is one of these.

    Args:
        model: in eval mode, parameters frozen.
        form: its search form; itself if it has none, and then there is no start either.
        images: a few images (N, C, H, W) on its device, to try the parts on.
    """
    if not isinstance(form, Arranged):
        return None
    with seeding.global_streams(images.device, 0, "affine start"):
        parts = _tried(lambda: _cut(_graph(form.inner, images.device)))
        if parts is None:
            return None
        starts = (AffineStart(*parts, each, form.precision) for each in _layouts(form, images.device))
        return next((start for start in starts if _tried(partial(_is_right, start, model, images))), None)


def _tried(compute: Callable[[], Answer]) -> Answer | None:
    """None for whatever comes of tracing a user's model or of its tail's layout, but for memory that runs out."""
    try:
        return compute()
    except Exception as error:
        if is_out_of_memory(error):
            raise
        return None


def _is_right(start: AffineStart, model: nn.Module, images: Tensor) -> bool:
    return _is_affine(start, images) and agree(model, _Joined(start), images, gradient=False)


def _graph(inner: nn.Module, device: torch.device) -> fx.GraphModule:
    """A copy that shares the weights, traced unless it is a graph already."""
    twin = copy.deepcopy(inner, {id(weight): weight for weight in inner.parameters()})
    return twin if isinstance(twin, fx.GraphModule) else trace(twin, device)


def _layouts(form: Arranged, device: torch.device) -> dict[torch.memory_format, None]:
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
    generator = seeding.generator(images.device, 0, "affine start")
    base, signs = (torch.rand(images.shape, generator=generator, device=images.device) for _ in range(2))
    base, signs = base[:1], 2 * signs.round() - 1
    return all(_moves_by_sums(start, base, size * signs) for size in SIZES)


def _moves_by_sums(start: AffineStart, base: Tensor, changes: Tensor) -> bool:
    whole = start.head(base + changes)
    most = (whole - start.head(base)).abs().max()
    return bool((most > 0) & ((start.moved(base, changes) - whole).abs().max() <= TOLERANCE * most))


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
