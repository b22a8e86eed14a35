"""How training makes its adversarial examples: plain tensor functions with one signature.

A new kind is a function and a line in ``EXAMPLES``, the names by which recipes know them.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from advtool.perturbation import CLIP, sign_step


class Examples(Protocol):
    """Makes adversarial examples of ``x`` against the weights as they are now.

    Arguments: ``x`` float32 (N, C, H, W) in [0, 1]; ``y`` int64 (N,); ``eps`` in (0, 1], a fraction of the
    pixel range; ``generator`` on the device of ``x``, the only source of the examples' own noise. Returns a
    tensor like ``x``, detached. Parameter gradients and batch-norm statistics stay as they were.
    """

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor, *, eps: float, generator: torch.Generator) -> Tensor: ...


def fgsm(model: nn.Module, x: Tensor, y: Tensor, *, eps: float, generator: torch.Generator) -> Tensor:
    """Fast gradient sign method: ``clip(x + eps sign(dL/dx))`` (Goodfellow et al. 2014).

    See :class:`Examples`; it draws nothing from ``generator``.
    """
    del generator
    return sign_step(x, input_gradient(model, x, y), eps).clamp_(*CLIP)


EXAMPLES: dict[str, Examples] = {"fgsm": fgsm}


def input_gradient(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """``dL/dx``, L the cross entropy summed over the batch, in the mode (train or eval) that the model is in.

    Like ``x``: float32 (N, C, H, W). Batch norm in training mode normalises by the batch, as it does in the
    training step, but its running statistics stay as they were; so do the gradients of the parameters.
    """
    x = x.detach().requires_grad_()
    with torch.enable_grad(), frozen_statistics(model):
        loss = cross_entropy(model(x), y, reduction="sum")
    return torch.autograd.grad(loss, x)[0]


@contextmanager
def frozen_statistics(model: nn.Module) -> Iterator[None]:
    """No normalisation layer in training mode updates its running statistics."""
    tracking = [
        module for module in model.modules() if module.training and getattr(module, "track_running_stats", False)
    ]
    _track(tracking, on=False)
    try:
        yield
    finally:
        _track(tracking, on=True)


def _track(modules: Iterable[nn.Module], *, on: bool) -> None:
    for module in modules:
        setattr(module, "track_running_stats", on)  # noqa: B010 - nn.Module does not declare it
