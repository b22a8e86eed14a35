"""A caller's model, watched while examples are made: labels without a class, NaN gradients, buffers that change."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from advtool.errors import InputError
from advtool.perturb.gradients import logits_of


class Watched(nn.Module):
    """Answers as ``model`` does, and notes what would go wrong without a word.

    It makes a GPU wait twice: at the first call, for the labels, and in :meth:`warn`.

    Args:
        model: maps images to logits (N, classes).
        labels: of the images, int64 (N,).
    """

    def __init__(self, model: nn.Module, labels: Tensor) -> None:
        super().__init__()
        self._model = model
        self._unchecked: Tensor | None = labels
        self._undefined = torch.zeros((), dtype=torch.int64, device=labels.device)
        self._values = 0

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, classes).

        Raises:
            InputError: the answer is something else, or a label has no logit.
        """
        # A hook on x itself would stay for the next pass and count twice.
        x = x.view_as(x)
        x.register_hook(self._note)
        logits = logits_of(self._model(x), len(x))
        if self._unchecked is not None:
            _check_labels(self._unchecked, logits.shape[1])
            self._unchecked = None
        return logits

    def warn(self) -> None:
        """Warn the caller of the method if a part of the gradients was NaN, whose sign is 0."""
        undefined = int(self._undefined)
        if undefined:
            warnings.warn(
                f"{undefined / self._values:.2%} of the gradient is NaN and counts as zero: no step follows it there. "
                "Look for NaN weights, a division by zero or the root of zero in the model",
                RuntimeWarning,
                stacklevel=3,
            )

    def _note(self, gradient: Tensor) -> None:
        self._undefined += gradient.isnan().sum()
        self._values += gradient.numel()


@contextmanager
def kept_buffers(model: nn.Module) -> Iterator[None]:
    """After this context all buffers hold what they held before: counters, the vectors of a spectral norm.

    A lazy module's buffers that the context fills stay filled.
    """
    held = [
        (module, name, buffer, buffer.detach().clone())
        for module in model.modules()
        for name, buffer in module.named_buffers(recurse=False)
        if not is_lazy(buffer)
    ]
    try:
        yield
    finally:
        for module, name, buffer, values in held:
            setattr(module, name, buffer)
            if _can_change(buffer):
                # Not in the eyes of autograd: a graph of the caller may hold the buffer.
                buffer.data.copy_(values)


def _can_change(buffer: Tensor) -> bool:
    """Whether torch writes to it in place: neither to what inference mode made nor to an expanded tensor."""
    return not buffer.is_inference() and not (buffer.layout is torch.strided and 0 in buffer.stride())


def _check_labels(labels: Tensor, classes: int) -> None:
    low, high = torch.stack(labels.aminmax()).tolist()
    if low < 0 or high >= classes:
        raise InputError(f"labels must lie in 0 to {classes - 1}, the classes of the model: these span {low} to {high}")
