"""The search form of a model: a faster copy, in which attacks search.

The model itself verifies what an attack finds, so the copy decides nothing, and rounding does no harm. Each shortcut is
compared with the model on a few images before an attack uses it.
"""

import copy
from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor, nn

from advtool import seeding
from advtool.compute.convolution import QuickConv2d
from advtool.compute.precision import Precision, autocast, layout
from advtool.compute.quick import make_quick

LARGEST_DISAGREEMENT = 1e-3
"""Share of an image's largest logit, or gradient, by which the two may differ in float32. Rounding stays far below."""
COMPARED_IMAGES, COMPARED_CALLS = 4, 4
"""The two are compared in several calls: a model may compute something else from call to call."""
ROUGHNESS = 0.1
"""Weight of noise in the images of the first call. In a flat area all pixels of a max pooling window are equal, so
rounding decides which of them has the gradient."""
LARGEST_ROUNDING = 0.25
"""Largest rounding of a logit with which small steps of a search still show. Larger logits need float32."""

Answering = Callable[[Tensor], Tensor]


class Shared(NamedTuple):
    """The first convolution, which :meth:`SearchForm.nearby` computes less often."""

    convolution: str
    """its name in the model"""
    memory_format: torch.memory_format
    """the layout of its output"""
    needs_points: bool
    """something else in the model reads the images too"""


class SearchForm(nn.Module):
    """A model with quick convolutions, in one memory layout and one precision.

    Args:
        model: a copy, which the form changes and keeps.
        memory_format: of weights and images.
    """

    def __init__(self, model: nn.Module, memory_format: torch.memory_format) -> None:
        super().__init__()
        self.inner, self.memory_format = model.to(memory_format=memory_format), memory_format
        self.precision: Precision = "float32"
        self.shared: Shared | None = None
        make_quick(model)

    def forward(self, x: Tensor) -> Tensor:
        return self._logits(x.contiguous(memory_format=self.memory_format))

    def _logits(self, x: Tensor) -> Tensor:
        with autocast(self.precision, x.device):
            logits: Tensor = self.inner(x)
        return logits

    def nearby(self, x: Tensor, changes: Tensor) -> Tensor:
        """Logits (P N, classes) of the N images ``x`` (N, C, H, W) moved by each of P ``changes`` (P, C, H, W).

        A convolution is affine: conv(x + v) = conv(x) + conv(v) - conv(0). So the model's first one is computed for the
        N images and the P changes, not for the P N points; and in float32, where small changes show.
        """
        if self.shared is None or self.shared.needs_points:
            points = (x + changes[:, None]).flatten(0, 1).contiguous(memory_format=self.memory_format)
        else:
            points = x[:1].expand(len(changes) * len(x), *x.shape[1:])  # nobody reads them, so none is made
        if self.shared is None:
            return self._logits(points)
        first = self.inner.get_submodule(self.shared.convolution)
        parts = first.forward(x), first.forward(changes) - first.forward(torch.zeros_like(changes[:1]))
        of_x, of_changes = (part.contiguous(memory_format=self.shared.memory_format) for part in parts)
        output = (of_x + of_changes[:, None]).flatten(0, 1)
        vars(first)["forward"] = lambda _: output
        try:
            return self._logits(points)
        finally:
            del vars(first)["forward"]


@torch.inference_mode(False)
@torch.enable_grad()
def search_form(model: nn.Module, images: Tensor, precision: Precision = "float32") -> nn.Module:
    """The search form of ``model``; the model itself if it cannot be copied, or if the copy computes something else.

    Args:
        model: in eval mode, parameters frozen; stays as it is.
        images: a few images (N, C, H, W) on its device, to compare the two on.
        precision: float32 or bfloat16. The form stays in float32 where bfloat16 rounds the logits too much.
    """
    with seeding.global_streams(images.device, 0, "search form"):
        for memory_format in dict.fromkeys((layout(model), torch.contiguous_format)):
            try:
                form = SearchForm(_copy(model), memory_format)
                if agree(model, form, images):
                    _share_first_convolution(model, form, images)
                    form.precision = precision
                    if precision == "bfloat16" and _is_coarse(form, images):
                        form.precision = "float32"
                    return form
            except Exception:  # whatever a user's model does when it is copied or runs in another layout
                continue
    return model


def _copy(model: nn.Module) -> nn.Module:
    """A copy that shares no module and no parameter with the model.

    Raises:
        ValueError: the model's own ``__deepcopy__`` shares one.
    """
    twin = copy.deepcopy(model)
    ours, theirs = ({id(part) for part in (*each.modules(), *each.parameters())} for each in (model, twin))
    if ours & theirs:
        raise ValueError("the copy is the model in part")
    return twin


def agree(model: Answering, other: Answering, images: Tensor) -> bool:
    """Whether the two give each image the same logits and gradient, under equal draws, from call to call."""
    for call in range(COMPARED_CALLS):
        for a, b in zip(_answers(model, images, call), _answers(other, images, call), strict=True):
            if not bool((_largest(b - a) <= LARGEST_DISAGREEMENT * _largest(a)).all()):
                return False
    return True


def _answers(model: Answering, images: Tensor, call: int) -> list[Tensor]:
    """The logits (N, classes) and, in the first call, the gradient (N, C, H, W) of their log-sum-exp."""
    with seeding.global_streams(images.device, call, "search form"):
        if call:
            with torch.no_grad():
                return [model(images[:2])]
        x = _roughened(images[:COMPARED_IMAGES].detach()).requires_grad_()
        logits = model(x)
        return [logits.detach(), *(torch.autograd.grad(logits.logsumexp(1).sum(), x) if logits.requires_grad else ())]


def _roughened(x: Tensor) -> Tensor:
    """The images (N, C, H, W) with noise, the same in every call and thread."""
    stream = seeding.generator(x.device, 0, "search form", "roughness")
    return x.lerp(torch.rand(x.shape, generator=stream, device=x.device, dtype=x.dtype), ROUGHNESS)


def _largest(values: Tensor) -> Tensor:
    """The largest absolute value of each image (N,)."""
    return values.abs().flatten(1).amax(1)


def _is_coarse(form: SearchForm, images: Tensor) -> bool:
    """Whether bfloat16 loses a logit of the form, or rounds one so much that small steps do not show."""
    with torch.no_grad():
        largest = float(form(images).abs().max())
    return not largest * torch.finfo(torch.bfloat16).eps / 2 <= LARGEST_ROUNDING  # true of NaN too


def _share_first_convolution(model: nn.Module, form: SearchForm, images: Tensor) -> None:
    """Set ``form.shared`` if the images reach a convolution unchanged and :meth:`SearchForm.nearby` is right then."""
    name = _convolution_of_images(form, images)
    if name is None:
        return
    # Without a gradient a CPU is quicker with channels last for narrow models too. Some models bear one layout only.
    quickest = torch.channels_last if images.device.type == "cpu" else form.memory_format
    for memory_format, needs_points in product(dict.fromkeys((quickest, torch.contiguous_format)), (False, True)):
        form.shared = Shared(name, memory_format, needs_points)
        try:
            if agree(model, lambda x: form.nearby(x - x[:1], x[:1]), images):
                return
        except Exception:  # whatever a user's model does in another layout
            continue
    form.shared = None


def _convolution_of_images(form: SearchForm, images: Tensor) -> str | None:
    """The name of the first plain convolution that the images reach unchanged."""
    x, names = images[:2].clone(memory_format=form.memory_format), list[str]()

    def look(name: str, inputs: tuple[Tensor, ...]) -> None:
        if inputs and inputs[0] is x:
            names.append(name)

    hooks = [
        module.register_forward_pre_hook(lambda _, inputs, name=name: look(name, inputs))
        for name, module in form.inner.named_modules()
        if type(module) is QuickConv2d and "forward" not in vars(module)
    ]
    try:
        if hooks:
            with torch.no_grad():
                form.inner(x)
    finally:
        for hook in hooks:
            hook.remove()
    return names[0] if names else None
