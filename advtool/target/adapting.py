"""Some models need more than float32 images in and logits out. :class:`Adapted` gives it to them at every call."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor, nn

from advtool.target.arithmetic import cudnn_enabled, has_users_defaults, users_defaults
from advtool.target.facts import ImageType, Needs
from advtool.target.handling import Handled
from advtool.target.scores import finite

DTYPES: dict[ImageType, torch.dtype] = {name: getattr(torch, name) for name in get_args(ImageType)}


class Adapted(nn.Module):
    """A user's model that takes float32 images (N, C, H, W) and gives float32 logits (N, classes).

    Args:
        handled: the user's model, on its device, in eval mode and frozen.
        needs: what the model needs at every call.
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
        logits = self._ask(x)[:count].to(x.device, torch.float32)
        if self.needs.single is not None:
            logits = of_two_classes(logits, self.needs.single)
        return finite(logits) if self.needs.finite else logits

    def _ask(self, x: Tensor) -> Tensor:
        wants_gradient = x.requires_grad
        if not self.needs.with_gradients:
            with users_defaults(), cudnn_enabled(not (self.needs.no_cudnn and wants_gradient)):
                return logits_of(self.inner(x), len(x))
        cudnn = cudnn_enabled(not self.needs.no_cudnn)
        with users_defaults(), cudnn, trainable(self._trainable), torch.inference_mode(False), torch.enable_grad():
            logits = logits_of(self.inner(x if wants_gradient else x.clone().requires_grad_()), len(x))
        return logits if wants_gradient else logits.detach()


@contextmanager
def trainable(parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    """Let ``parameters`` take gradients within the context."""
    try:
        for parameter in parameters:
            parameter.requires_grad_(True)
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(False)


def adapted(handled: Handled, needs: Needs) -> nn.Module:
    """The model itself if it needs nothing, otherwise an :class:`Adapted` around it."""
    return handled.model if needs == Needs() and not has_users_defaults() else Adapted(handled, needs)


def logits_of(answer: Any, count: int) -> Tensor:
    """Find the logits in a model's answer to ``count`` images.

    A record or a mapping may have a member called ``logits``: this is taken. Otherwise it is the first member of the
    mapping, tuple or list that has ``count`` rows of single numbers, or else the first with ``count`` rows: the hidden
    state (layers, N, features) of a recurrent network has ``count`` rows by chance. (N, classes, 1, 1) becomes
    (N, classes).

    Args:
        answer: a tensor, a NumPy array, or a record, mapping, tuple or list of them.
        count: the number of images that the model was asked about.

    Raises:
        TypeError: the answer holds no such tensor. The message is the name of the answer's type.
    """
    tensor = _find(answer, count)
    if tensor is None:
        raise TypeError(type(answer).__name__)
    return tensor.flatten(1) if tensor.ndim > 2 and _has_flat_rows(tensor) else tensor


def logits_from(answer: Any, count: int) -> str | None:
    """Which of several tensors :func:`logits_of` takes; None where it has no choice.

    Args:
        answer: what the model gave.
        count: the number of images that the model was asked about.
    """
    if isinstance(answer, Tensor | np.ndarray) or isinstance(_named(answer), Tensor):
        return None
    found = _candidates(answer, count)
    if len(found) > 1:
        return f"the first of {len(found)} tensors in a {type(answer).__name__}"
    return next((words for member in _members(answer) if (words := logits_from(member, count))), None)


def _find(answer: Any, count: int) -> Tensor | None:
    if isinstance(answer, Tensor):
        return answer
    if isinstance(answer, np.ndarray) and answer.dtype.kind in "fiu":
        return torch.from_numpy(answer)
    if isinstance(named := _named(answer), Tensor):
        return named
    return next(iter(_candidates(answer, count)), None)


def _named(answer: Any) -> Any:
    """The member called ``logits``; None if there is none."""
    return answer.get("logits") if isinstance(answer, Mapping) else getattr(answer, "logits", None)


def _candidates(answer: Any, count: int) -> list[Tensor]:
    """Members that may be the logits: those with ``count`` rows of single numbers, or else all with ``count`` rows."""
    found = [_find(member, count) for member in _members(answer)]
    of_images = [each for each in found if each is not None and each.ndim and len(each) == count]
    return [each for each in of_images if _has_flat_rows(each)] or of_images


def _members(answer: Any) -> Iterable[Any]:
    return answer.values() if isinstance(answer, Mapping) else answer if isinstance(answer, tuple | list) else ()


def _has_flat_rows(tensor: Tensor) -> bool:
    return set(tensor.shape[2:]) <= {1}


def of_two_classes(numbers: Tensor, kind: str) -> Tensor:
    """Two scores for each image, (N, 2), from one number for class 1, (N,) or (N, 1).

    Args:
        numbers: the model's outputs.
        kind: "logit" gives class 0 the score 0, "probability" gives it the rest up to 1.
    """
    class_1 = numbers.reshape(-1)
    return torch.stack((torch.zeros_like(class_1) if kind == "logit" else 1 - class_1, class_1), 1)
