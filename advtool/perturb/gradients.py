"""The gradient that examples follow: the gradient of the summed cross entropy with respect to the images."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from advtool.errors import InputError


def input_gradient(model: nn.Module, x: Tensor, y: Tensor, *, eot: int = 1) -> Tensor:
    """``sum_{i=1..L} dL(F(x), y)/dx``: the sum in Algorithm 1 of Schwinn et al., L = ``eot`` passes.

    The loss L(F(x), y) is the cross entropy summed over the batch. The passes differ only if the model is randomised.
    The model stays in its mode (train or eval). In training mode batch norm normalises by the batch, as in the training
    step. Its running statistics and the gradients of the parameters stay as they were.

    Args:
        model: maps images like ``x`` to logits (N, classes).
        x: float32 (N, C, H, W) in [0, 1].
        y: labels, int64 (N,).
        eot: the number L of passes.

    Returns:
        A tensor like ``x``.

    Raises:
        InputError: the model answers with something else than logits, or autograd finds no way from them to ``x``, or
            none through reentrant checkpointing.
    """
    x = x.detach().requires_grad_()
    with torch.enable_grad(), frozen_statistics(model), frozen_parameters(model):
        passes = (_gradient(cross_entropy(logits_of(model(x), len(x)), y, reduction="sum"), x) for _ in range(eot))
        total = next(passes)
        for gradient in passes:
            total += gradient
    return total


@contextmanager
def frozen_statistics(model: nn.Module) -> Iterator[None]:
    """Within this context no normalisation layer updates its running statistics.

    Scripted layers do, since TorchScript has made the switch a constant. :func:`advtool.perturb.watched.kept_buffers`
    puts theirs back.
    """
    tracking = [
        module
        for module in model.modules()
        if module.training
        and getattr(module, "track_running_stats", False)
        and not isinstance(module, torch.jit.ScriptModule)
    ]
    _track(tracking, on=False)
    try:
        yield
    finally:
        _track(tracking, on=True)


@contextmanager
def frozen_parameters(model: nn.Module) -> Iterator[None]:
    """Within this context no parameter gets a gradient, which saves the time of computing it."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)


def logits_of(answer: Any, images: int) -> Tensor:
    """What a model answered.

    Raises:
        InputError: it is no tensor (images, classes).
    """
    if not isinstance(answer, Tensor) or answer.ndim != 2 or len(answer) != images:
        given = tuple(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
        raise InputError(f"the model must answer with logits ({images}, classes), not with {given}")
    return answer


def _gradient(loss: Tensor, x: Tensor) -> Tensor:
    try:
        gradient = torch.autograd.grad(loss, x, allow_unused=True)[0] if loss.requires_grad else None
    except RuntimeError as error:
        if not all(word in str(error).lower() for word in ("checkpoint", ".grad()")):  # releases word it differently
            raise
        raise InputError(
            "the model's activation checkpointing gives no gradient to the images: set use_reentrant=False in "
            "torch.utils.checkpoint, or in the gradient_checkpointing_kwargs of transformers"
        ) from error
    if gradient is None:
        raise InputError(
            "the model's logits have no gradient to the images: it must not detach them, leave torch for NumPy, "
            "or compute under torch.no_grad"
        )
    return gradient


def _track(modules: Iterable[nn.Module], *, on: bool) -> None:
    for module in modules:
        setattr(module, "track_running_stats", on)  # noqa: B010 - nn.Module does not declare it
