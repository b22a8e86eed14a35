"""Shows a training on stderr: a bar on a terminal, a line every few seconds elsewhere."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from torch import Tensor

from advtool.checkpoints import Header, read_header
from advtool.cli.progress import STDERR, Pace, has_bars, say
from advtool.errors import InputError
from advtool.report.card import COLUMNS, collapse_line, setting
from advtool.report.units import SHARE
from advtool.results import TrainingMetrics
from advtool.results.notation import percent
from advtool.training import Collapse, Figures, Observer
from advtool.training.loop import Diverged
from advtool.training.place import Place
from advtool.training.state import asked_of

SECONDS_BETWEEN_LOSS_READINGS = 0.25  # each reading makes a GPU wait
SECONDS_BETWEEN_EPOCHS = 5.0
"""Without a bar an epoch is told if the last line is that long ago. The last epoch is always told."""
SECONDS_WITHIN_AN_EPOCH = 30.0
"""Without a bar a long epoch is told that often before it ends."""


class TrainingProgress(Observer):
    """Shows a training. If the training breaks off, it says where the best epoch so far is, and how to go on.

    Args:
        output: where the checkpoint goes.
        again: options that the command which goes on needs again, with their values.
        resumes: the training was to go on, if it was begun before.
    """

    def __init__(self, output: Path, again: Mapping[str, str] | None = None, *, resumes: bool = False) -> None:
        self._place, self._again, self._resumes = Place(output), again or {}, resumes
        self._bar = Progress(
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(bar_width=10),
            TaskProgressColumn(),
            TextColumn("{task.fields[loss]}{task.fields[accuracies]}"),
            TimeRemainingColumn(compact=True),
            console=STDERR,
            disable=not has_bars(),
        )
        self._epochs = self._batches = self._done = 0
        self._stops = False
        self._pace = Pace()
        self._partial: Path | None = None
        self._state: Path | None = None
        self._before = 0
        self._versions: dict[str, str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
        if error is None:
            return
        best = "the best epoch before is in" if isinstance(error, InputError) else "the best epoch so far is in"
        notes = [] if self._partial is None else [f"{best} '{self._partial}'"]
        if self._state is not None and not isinstance(error, Diverged):
            notes.append(f"go on with: {self._going_on(self._state)}")
        if isinstance(error, InputError):
            raise InputError("; ".join([str(error), *notes])) from None
        for note in notes:
            say(note)

    def _going_on(self, file: Path) -> str:
        """The command that goes on with a training."""
        options = [part for option in self._again.items() for part in option]
        return shlex.join(["advtool", "train", "--resume", str(file), *options])

    def resumed(self, header: Header, epochs: int) -> None:
        self._before, self._versions = epochs, header.versions
        self._state = self._place.state
        if self._place.partial.exists():
            self._partial = self._place.partial

    def started(self, header: Header, batches: int) -> None:
        self._epochs, self._batches = header.recipe["epochs"], batches
        self._stops = header.recipe.get("stop_on_collapse", False)
        self._done = batches * self._before
        if self._versions is None:
            if self._resumes:
                say(f"no training at '{self._place.output}' yet: it begins")
            self._tell_what_is_replaced(header)
        else:
            say(f"goes on after epoch {self._before} of {self._epochs}")
            if different := [name for name, old in self._versions.items() if old != header.versions.get(name)]:
                say(f"it began with another version of {', '.join(different)}: the weights may differ in rounding")
        self._task = self._bar.add_task(
            "",
            total=batches * self._epochs,
            completed=self._done,
            epoch=min(self._before + 1, self._epochs),
            epochs=self._epochs,
            loss="",
            accuracies="",
        )
        self._bar.start()
        self._pace = Pace()

    def _tell_what_is_replaced(self, header: Header) -> None:
        output, state = self._place.output, self._place.state
        if replaced := _replaced(output, header):
            say(f"replaces '{output}' ({replaced}) when the training is over; --output keeps both")
        if state.exists():
            say(f"the stopped training at '{state}' is replaced after the first epoch of this one")
            say(f"to go on with it, interrupt now, and: {self._going_on(state)}")

    def batch(self, loss: Tensor) -> None:
        self._done += 1
        self._bar.advance(self._task)
        if not self._bar.disable:
            if self._pace.due(SECONDS_BETWEEN_LOSS_READINGS):
                self._bar.update(self._task, loss=f"loss {loss.item():.3f}")
        elif self._pace.due(SECONDS_WITHIN_AN_EPOCH):
            epochs, batches = divmod(self._done - 1, self._batches)
            share = f"{100 * (batches + 1) // self._batches} %"
            say(f"epoch {epochs + 1}/{self._epochs}: {share} of the images, loss {loss.item():.3f}")

    def epoch(self, figures: Figures, *, kept: bool) -> None:
        loss, accuracies = f"loss {figures.loss:.3f}", _accuracies(figures)
        self._bar.update(
            self._task, epoch=min(figures.epoch + 1, self._epochs), loss=loss, accuracies=f", {accuracies}"
        )
        if self._bar.disable and (self._pace.due(SECONDS_BETWEEN_EPOCHS) or figures.epoch == self._epochs):
            best = ", best so far" if kept else ""
            say(f"epoch {figures.epoch}/{self._epochs}: {loss}, {accuracies}{best} ({figures.seconds:.1f} s)")

    def collapsed(self, collapse: Collapse) -> None:
        end = "training ends here" if self._stops else "--stop-on-collapse would end the training here"
        say(f"{collapse_line(collapse)}; {end}")

    def saved(self, path: Path) -> None:
        self._partial = path

    def resumable(self, path: Path) -> None:
        self._state = path

    def nothing_left(self, output: Path) -> None:
        say(f"the training of '{output}' is finished")

    def finished(self, header: Header) -> None:
        metrics = TrainingMetrics.model_validate(header.metrics)
        kept = next(figures for figures in metrics.history if figures.epoch == metrics.epoch)
        self._bar.stop()
        if self._bar.disable:
            say(f"kept epoch {kept.epoch}: {_accuracies(kept)}")
        if kept.fixed is not None:
            say(
                f"validation accuracy of epoch {kept.epoch}: {percent(kept.fixed)} on the fixed examples; "
                f"white box: {percent(kept.one_step)} under FGSM, {percent(kept.pgd)} under PGD"
            )


def _accuracies(figures: Figures) -> str:
    """What was measured after an epoch: ``clean 96.1 %, one-step 81.2 %, PGD 60.0 %``."""
    shares = {column.heading: getattr(figures, column.name) for column in COLUMNS if column.unit is SHARE}
    return ", ".join(f"{heading} {percent(share)}" for heading, share in shares.items() if share is not None)


def _replaced(output: Path, header: Header) -> str:
    """The settings of the checkpoint at ``output`` that differ from this training's; empty if none differs.

    The default name says nothing of ``--pnil`` or ``--bias``, so variants of a recipe replace each other.
    """
    try:
        old, new = _settings(read_header(output)), _settings(header)
    except InputError:  # nothing there, or nothing of ours
        return ""
    different = [name for name in {**old, **new} if (old.get(name) or None) != (new.get(name) or None)]
    if not different:
        return ""
    name = str(old["name"])
    return name if "name" in different else ", ".join([name, *(setting(key, old.get(key)) for key in different)])


def _settings(header: Header) -> dict[str, Any]:
    asked = asked_of(header) | {"eps": f"{header.threat_model.eps:.4g}"}
    return {name: value for name, value in asked.items() if name != "train_images"}
