"""Models that take batches of certain sizes only, made to take any."""

import torch
from torch import Tensor, nn


class AnyBatch(nn.Module):
    """Splits a batch into parts that the model takes, and fills up the last one.

    The images of a part must not influence each other, as in any classifier in eval mode.

    Args:
        model: maps a batch of ``smallest`` to ``largest`` images to as many rows.
        smallest: the fewest images that it takes.
        largest: the most; None for no limit.
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
        rows: Tensor = self.model(filled)
        return rows[: len(part)]

    def extra_repr(self) -> str:
        return f"smallest={self.smallest}, largest={self.largest}"
