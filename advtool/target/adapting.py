"""What some models need beyond float32 images in and logits out: found out beforehand, done at every call."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from advtool.target.arithmetic import cudnn_enabled
from advtool.target.facts import Needs
from advtool.target.handling import Handled

DTYPES = {"float64": torch.float64, "float16": torch.float16, "bfloat16": torch.bfloat16}


class Adapted(nn.Module):
    """A user's model that takes float32 (N, C, H, W) and gives float32 logits (N, classes), whatever it is inside.

    Args:
        handled: the user's.
        needs: what it needs.
    """

    def __init__(self, handled: Handled, needs: Needs) -> None:
        super().__init__()
        self.inner, self.needs = handled.model, needs
        self._state = handled.state if needs.rewinding else None
        self._trainable = handled.trainable if needs.with_gradients else ()

    def forward(self, x: Tensor) -> Tensor:
        count = len(x)
        if self._state is not None:
            self._state.restore(generators=False)
        if self.needs.companions and count == 1:
            x = torch.cat((x, x))
        if self.needs.dtype is not None:
            x = x.to(DTYPES[self.needs.dtype])
        elif self.needs.own_input:
            x = x.clone()
        logits = self._ask(x)[:count].float()
        if self.needs.single is not None:
            logits = of_two_classes(logits, self.needs.single)
        return finite(logits) if self.needs.finite else logits

    def _ask(self, x: Tensor) -> Tensor:
        wanted = x.requires_grad
        if not self.needs.with_gradients:
            with cudnn_enabled(not (self.needs.no_cudnn and wanted)):
                return logits_of(self.inner(x))
        with trainable(self._trainable), torch.inference_mode(False), torch.enable_grad():
            with cudnn_enabled(not self.needs.no_cudnn):
                logits = logits_of(self.inner(x if wanted else x.clone().requires_grad_()))
        return logits if wanted else logits.detach()


@contextmanager
def trainable(parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    """Parameters that take gradients for a while."""
    try:
        for parameter in parameters:
            parameter.requires_grad_(True)
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(False)


def adapted(handled: Handled, needs: Needs) -> nn.Module:
    """The model itself where it needs nothing, otherwise :class:`Adapted`."""
    return handled.model if needs == Needs() else Adapted(handled, needs)


def logits_of(answer: Any) -> Tensor:
    """The tensor of logits in what a model answers; axes of one element behind the classes go.

    Of a tuple or list it is the first member, of a mapping or a record the one called ``logits``.

    Raises:
        TypeError: there is none.
    """
    if isinstance(answer, Mapping):
        answer = answer.get("logits", answer)
    elif not isinstance(answer, Tensor):
        first = answer[0] if isinstance(answer, tuple | list) and answer else answer
        answer = getattr(answer, "logits", first)
    if not isinstance(answer, Tensor):
        raise TypeError(type(answer).__name__)
    return answer.flatten(1) if answer.ndim > 2 and answer[0, 0].numel() == 1 else answer


def of_two_classes(numbers: Tensor, kind: str) -> Tensor:
    """Logits (N, 2) of one number an image, (N,) or (N, 1), which speaks of class 1."""
    of_one = numbers.reshape(-1)
    return torch.stack((torch.zeros_like(of_one) if kind == "logit" else 1 - of_one, of_one), 1)


def finite(logits: Tensor) -> Tensor:
    """Minus infinity, which rules a class out, becomes a number just below the image's lowest finite logit."""
    ruled_out = logits.isneginf()
    lowest = logits.detach().masked_fill(ruled_out, torch.inf).amin(1, keepdim=True) - 1
    return torch.where(ruled_out, lowest, logits)
