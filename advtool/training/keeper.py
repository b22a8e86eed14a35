"""The best epoch so far, in memory and on disk: nothing that is finished is lost."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor, nn

from advtool import checkpoints
from advtool.checkpoints import Header
from advtool.training.observer import Observer
from advtool.training.validation import Figures, best


@dataclass(frozen=True)
class Trained:
    """A model with its best epoch's weights, in eval mode, on the device that trained it; and its card."""

    model: nn.Module
    header: Header


class Keeper:
    """Keeps the best epoch, and with an ``output`` writes it beside it at once, as :func:`partial_path`."""

    def __init__(
        self,
        header: Header,
        keep_by: Literal["clean", "adversarial"],
        output: Path | None,
        observer: Observer,
    ) -> None:
        self._header = header
        self._keep_by = keep_by
        self._output = output
        self._observer = observer
        self._history: list[Figures] = []
        self._tensors: dict[str, Tensor] = {}

    def offer(self, model: nn.Module, figures: Figures) -> None:
        """Take note of an epoch, and keep the model's weights if it is the best so far."""
        self._history.append(figures)
        kept = best(self._history, self._keep_by) is figures
        if kept:
            self._tensors = {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}
            self._save_partial()
        self._observer.epoch(figures, kept=kept)

    def finish(self, model: nn.Module) -> Trained:
        """Give the model its best weights, and write the checkpoint with the whole history in its card."""
        model.load_state_dict(self._tensors)
        header = self._card()
        if self._output is not None:
            checkpoints.write(self._output, header, self._tensors)
            partial_path(self._output).unlink(missing_ok=True)
        return Trained(model.eval(), header)

    def _save_partial(self) -> None:
        if self._output is not None:
            path = partial_path(self._output)
            checkpoints.write(path, self._card(), self._tensors)
            self._observer.saved(path)

    def _card(self) -> Header:
        kept = best(self._history, self._keep_by)
        metrics = self._header.metrics | {
            "epoch": kept.epoch,
            "clean_accuracy": kept.clean,
            "adversarial_accuracy": kept.adversarial,
            "history": [figures.to_dict() for figures in self._history],
        }
        return self._header.model_copy(update={"date": checkpoints.now(), "metrics": metrics})


def partial_path(output: Path) -> Path:
    """``NAME.partial.safetensors`` beside ``NAME.safetensors``."""
    return output.with_name(f"{output.name.removesuffix(checkpoints.SUFFIX)}.partial{checkpoints.SUFFIX}")
