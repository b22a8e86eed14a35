"""What a training says on stderr where no terminal shows a bar."""

from pathlib import Path

import pytest
import torch

from advtool import checkpoints
from advtool.cli import progress
from advtool.cli.training_progress import TrainingProgress
from advtool.training import Figures


class Clock:
    """Stands still unless the test moves it."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def lines(
    clock: Clock, capsys: pytest.CaptureFixture[str], checkpoint: Path, *, epochs: int, seconds_a_batch: float
) -> list[str]:
    """A training of that many epochs of ten batches."""
    header = checkpoints.read_header(checkpoint)
    recipe = header.recipe | {"epochs": epochs}
    watching = TrainingProgress(Path("none"))
    watching.started(header.model_copy(update={"recipe": recipe}), batches=10)
    history = []
    for number in range(1, epochs + 1):
        for _ in range(10):
            clock.now += seconds_a_batch
            watching.batch(torch.tensor(0.5))
        figures = Figures(
            epoch=number, loss=0.5, learning_rate=0.1, seconds=1, clean=0.9, one_step=0.5, pgd=0.25, adversarial_loss=1
        )
        history.append(figures.to_dict())
        watching.epoch(figures, kept=number == 2)
    watching.finished(header.model_copy(update={"metrics": {"epoch": 2, "history": history}}))
    return capsys.readouterr().err.replace("advtool: ", "").splitlines()


def test_short_epochs_are_told_every_five_seconds_and_the_last_one_always(
    clock: Clock, capsys: pytest.CaptureFixture[str], digits_checkpoint: Path
) -> None:
    told = lines(clock, capsys, digits_checkpoint, epochs=60, seconds_a_batch=0.04)
    epochs = [int(line.removeprefix("epoch ").partition("/60")[0]) for line in told[:-1]]
    assert epochs == [13, 26, 39, 52, 60]
    assert told[0] == "epoch 13/60: loss 0.500, clean 90.0 %, one-step 50.0 %, PGD 25.0 % (1.0 s)"
    assert told[-1] == "kept epoch 2: clean 90.0 %, one-step 50.0 %, PGD 25.0 %"


def test_long_epochs_are_told_each_and_every_half_a_minute(
    clock: Clock, capsys: pytest.CaptureFixture[str], digits_checkpoint: Path
) -> None:
    told = lines(clock, capsys, digits_checkpoint, epochs=2, seconds_a_batch=8)
    assert [line.partition(", ")[0] for line in told] == [
        "epoch 1/2: 40 % of the images",
        "epoch 1/2: 80 % of the images",
        "epoch 1/2: loss 0.500",
        "epoch 2/2: 40 % of the images",
        "epoch 2/2: 80 % of the images",
        "epoch 2/2: loss 0.500",
        "kept epoch 2: clean 90.0 %",
    ]
    assert told[1].endswith(", loss 0.500")
    assert "best so far" in told[5]
    assert "best so far" not in told[2]
