"""What some models need beyond float32 images in and logits out: found out beforehand, done at every call."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from advtool.target.arithmetic import cudnn_enabled
from advtool.target.facts import Needs
from advtool.target.state import State

DTYPES = {"float64": torch.float64, "float16": torch.float16, "bfloat16": torch.bfloat16}


class Adapted(nn.Module):
    """A user's model that takes float32 (N, C, H, W) and gives float32 logits (N, classes), whatever it is inside.

    Args:
        model: the user's.
        needs: what it needs.
        state: its buffers and attributes before the first call, for a model that is to be rewound.
    """

    def __init__(self, model: nn.Module, needs: Needs, state: State) -> None:
        super().__init__()
        self.inner, self.needs, self._state = model, needs, state

    def forward(self, x: Tensor) -> Tensor:
        count = len(x)
        if self.needs.rewinding:
            self._state.restore(generators=False)
        if self.needs.companions and count == 1:
            x = torch.cat((x, x))
        if self.needs.dtype is not None:
            x = x.to(DTYPES[self.needs.dtype])
        elif self.needs.own_input:
            x = x.clone()
        with cudnn_enabled(not (self.needs.no_cudnn and x.requires_grad)):
            logits = logits_of(self.inner(x))[:count].float()
        if self.needs.single is not None:
            logits = of_two_classes(logits, self.needs.single)
        return finite(logits) if self.needs.finite else logits


def adapted(model: nn.Module, needs: Needs, state: State) -> nn.Module:
    """The model itself where it needs nothing, otherwise :class:`Adapted`."""
    return model if needs == Needs() else Adapted(model, needs, state)


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
