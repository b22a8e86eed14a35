"""The epochs of a training for TensorBoard, an extra: ``advtool train --log-dir DIR``."""

import json
from pathlib import Path
from typing import Any

from advtool import arguments
from advtool.arguments import shown
from advtool.checkpoints import Header
from advtool.errors import InputError
from advtool.results import Figures
from advtool.training.observer import Observer


class TensorBoard(Observer):
    """Writes one point an epoch of everything in its :meth:`~advtool.training.Figures.metrics`, and the recipe as text.

    Args:
        folder: of the event file. It is made when the training starts.

    Raises:
        InputError: the package ``tensorboard`` is absent, or ``folder`` cannot be a folder.
    """

    def __init__(self, folder: Path | str) -> None:
        self._folder = arguments.path(f"TensorBoard's folder {shown(folder)}", folder)
        arguments.encodable("TensorBoard's folder", str(self._folder))
        if self._folder.exists() and not self._folder.is_dir():
            raise InputError(f"TensorBoard's folder '{folder}' is a file: name a folder")
        self._writer_class = _writer_class()
        self._writer: Any = None

    def started(self, header: Header, batches: int) -> None:
        del batches
        try:
            self._writer = self._writer_class(self._folder)
        except OSError as error:
            raise InputError(f"TensorBoard's folder '{self._folder}' cannot be written: {error.strerror}") from None
        described = header.model_dump(mode="json", by_alias=True, exclude={"metrics"})
        self._writer.add_text("training", f"```json\n{json.dumps(described, indent=2)}\n```")

    def epoch(self, figures: Figures, *, kept: bool) -> None:
        del kept
        for name, value in figures.metrics().items():
            self._writer.add_scalar(name, value, figures.epoch)
        self._writer.flush()  # so that TensorBoard shows it now, and an interrupt loses no epoch

    def finished(self, header: Header) -> None:
        del header
        self._writer.close()


def _writer_class() -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - an extra, and slow to import
    except ImportError:
        raise InputError("TensorBoard needs its package: pip install 'advtool[tensorboard]'") from None
    return SummaryWriter
