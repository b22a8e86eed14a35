"""What some models need beyond float32 images in and logits out: found out beforehand, done at every call."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from advtool.target.arithmetic import cudnn_enabled, has_users_defaults, users_defaults
from advtool.target.facts import Needs
from advtool.target.handling import Handled
from advtool.target.scores import finite

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
            with users_defaults(), cudnn_enabled(not (self.needs.no_cudnn and wanted)):
                return logits_of(self.inner(x), len(x))
        cudnn = cudnn_enabled(not self.needs.no_cudnn)
        with users_defaults(), cudnn, trainable(self._trainable), torch.inference_mode(False), torch.enable_grad():
            logits = logits_of(self.inner(x if wanted else x.clone().requires_grad_()), len(x))
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
    return handled.model if needs == Needs() and not has_users_defaults() else Adapted(handled, needs)


def logits_of(answer: Any, count: int) -> Tensor:
    """The tensor of logits in what a model answers to ``count`` images; axes of one element behind the classes go.

    Of a record or a mapping it is the one called ``logits``, of these and of a tuple or list otherwise the first with
    the batch's axis.

    Raises:
        TypeError: there is none.
    """
    tensor = _find(answer, count)
    if tensor is None:
        raise TypeError(type(answer).__name__)
    return tensor.flatten(1) if tensor.ndim > 2 and set(tensor.shape[2:]) == {1} else tensor


def _find(answer: Any, count: int) -> Tensor | None:
    if isinstance(answer, Tensor):
        return answer
    if isinstance(answer, np.ndarray) and answer.dtype.kind in "fiu":
        return torch.from_numpy(answer)
    named = answer.get("logits") if isinstance(answer, Mapping) else getattr(answer, "logits", None)
    if isinstance(named, Tensor):
        return named
    members = answer.values() if isinstance(answer, Mapping) else answer if isinstance(answer, tuple | list) else ()
    found = (_find(member, count) for member in members)
    return next((each for each in found if each is not None and each.ndim and len(each) == count), None)


def of_two_classes(numbers: Tensor, kind: str) -> Tensor:
    """Logits (N, 2) of one number an image, (N,) or (N, 1), which speaks of class 1."""
    of_one = numbers.reshape(-1)
    return torch.stack((torch.zeros_like(of_one) if kind == "logit" else 1 - of_one, of_one), 1)
