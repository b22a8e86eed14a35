"""Keeps the best epoch so far, in memory and on disk: an interrupt loses no finished epoch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from advtool import checkpoints, models
from advtool.checkpoints import Header
from advtool.models.bias import collapse
from advtool.results import Collapse, Figures, TrainingMetrics
from advtool.training.history import best, decided_by_floor, find_collapse
from advtool.training.observer import Observer
from advtool.training.place import Place
from advtool.training.recipes import Recipe


@dataclass(frozen=True)
class Trained:
    """The model of the best epoch, in eval mode, on the device that trained it, and its checkpoint header."""

    model: nn.Module
    header: Header


class Keeper:
    """Keeps the best epoch. If there is a ``place``, it also writes the epoch there at once.

    Args:
        header: of the checkpoint, without the figures that are measured while training.
        recipe: says which epoch is the best.
        floor: epochs with an adversarial accuracy up to it tie (:func:`advtool.training.history.floor_of`).
        place: where the checkpoint goes; None: nowhere.
        observer: hears of every epoch, and once of a collapse.
    """

    def __init__(
        self, header: Header, recipe: Recipe, floor: float, *, place: Place | None, observer: Observer
    ) -> None:
        self.collapse: Collapse | None = None
        self._header = header
        self._recipe = recipe
        self._floor = floor
        self._place = place
        self._observer = observer
        self._history: list[Figures] = []
        self._tensors: dict[str, Tensor] = {}

    @property
    def history(self) -> list[Figures]:
        """The figures of all epochs so far."""
        return list(self._history)

    @property
    def best_tensors(self) -> dict[str, Tensor]:
        """The tensors of the best epoch so far, on the CPU."""
        return dict(self._tensors)

    @property
    def is_over(self) -> bool:
        """Whether the training ends here, because it collapsed and the recipe stops then."""
        return self.collapse is not None and self._recipe.stop_on_collapse

    def restore(self, history: Sequence[Figures], best_tensors: Mapping[str, Tensor]) -> None:
        """Take over the epochs that another process did. The observer does not hear of them."""
        self._history, self._tensors = list(history), dict(best_tensors)
        if self._recipe.clean_weight < 1:
            self.collapse = find_collapse(self._history)

    def offer(self, model: nn.Module, figures: Figures) -> None:
        """Record an epoch, and keep the model's weights if it is the best so far.

        A perturbation bias is kept as an ordinary bias (Wen & Itti, end of Algorithm 2).
        """
        self._history.append(figures)
        kept = self._best() is figures
        if kept:
            self._tensors = {name: tensor.cpu() for name, tensor in collapse(model).state_dict().items()}
        self._observer.epoch(figures, kept=kept)
        self._look_for_collapse()
        if kept:
            self._save_partial()

    def finish(self, device: torch.device | str) -> Trained:
        """Write the checkpoint, with the whole history in its header, and give the best epoch's model on ``device``."""
        header = self._finished_header()
        if self._place is not None:
            checkpoints.write(self._place.output, header, self._tensors)
            self._place.partial.unlink(missing_ok=True)
        return Trained(models.from_checkpoint(header, self._tensors).to(device), header)

    def _best(self) -> Figures:
        return best(self._history, self._recipe.kept_by, self._floor)

    def _look_for_collapse(self) -> None:
        if self.collapse is None and self._recipe.clean_weight < 1:
            self.collapse = find_collapse(self._history)
            if self.collapse is not None:
                self._observer.collapsed(self.collapse)

    def _save_partial(self) -> None:
        if self._place is not None:
            checkpoints.write(self._place.partial, self._finished_header(), self._tensors)
            self._observer.saved(self._place.partial)

    def _finished_header(self) -> Header:
        kept = self._best()
        metrics = TrainingMetrics(
            **self._header.metrics,
            epoch=kept.epoch,
            clean_accuracy=kept.clean,
            one_step_accuracy=kept.one_step,
            pgd_accuracy=kept.pgd,
            adversarial_loss=kept.adversarial_loss,
            certified_accuracy=kept.certified,
            fixed_examples_accuracy=kept.fixed,
            noise_centre=kept.noise_centre,
            noise_border=kept.noise_border,
            decided_by_floor=self._floor if decided_by_floor(kept, self._recipe.kept_by, self._floor) else None,
            collapse=self.collapse,
            history=self._history,
        )
        return self._header.model_copy(update={"date": checkpoints.now(), "metrics": metrics.to_dict()})
