"""Let models that take batches of certain sizes only take batches of any size."""

import torch
from torch import Tensor, nn

from advtool.target.adapting import logits_of


class AnyBatch(nn.Module):
    """Splits a batch into parts that the model takes, and fills up the last part with copies of its last image.

    The images of a part must not influence each other, as in any classifier in eval mode.

    Args:
        model: takes batches of ``smallest`` to ``largest`` images and gives one row for each image, alone or in an
            answer that holds the logits (:func:`~advtool.target.adapting.logits_of`).
        smallest: the fewest images that the model takes.
        largest: the most images that the model takes; None: no limit.
    """

    def __init__(self, model: nn.Module, smallest: int, largest: int | None) -> None:
        super().__init__()
        self.model, self.smallest, self.largest = model, smallest, largest

    def forward(self, x: Tensor) -> Tensor:
        parts = x.split(self.largest or max(len(x), 1))
        return torch.cat([self._rows(part) for part in parts])

    def _rows(self, part: Tensor) -> Tensor:
        missing = max(self.smallest - len(part), 0)
        filled = torch.cat([part, part[-1:].detach().expand(missing, *part.shape[1:])]) if missing else part
        return logits_of(self.model(filled), len(filled))[: len(part)]

    def extra_repr(self) -> str:
        return f"smallest={self.smallest}, largest={self.largest}"
