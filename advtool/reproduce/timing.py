"""What an epoch of each training costs: all take turns, so that a busy machine slows all of them alike."""

import time
from collections.abc import Callable, Mapping
from itertools import cycle
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, ValidationError

from advtool import seeding
from advtool.reproduce.steps import Timing
from advtool.training import loop
from advtool.training.schedule import Updates, schedule_of
from advtool.training.session import Prepared

Epoch = Callable[[], None]


class Timed(BaseModel):
    """Seconds of each timed epoch, by the model's name, in the order in which they ran."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seconds: dict[str, list[float]]
    device: str
    threads: int


def epoch_of(prepared: Prepared, seed: int = 0) -> Epoch:
    """One epoch of a training without its validation; every call trains on."""
    training, recipe, model = prepared.training, prepared.recipe, prepared.model
    steps = loop.batches_per_epoch(len(training), recipe.batch_size)
    updates = Updates(model, recipe, schedule_of(recipe, 1000 * steps))
    generator = seeding.generator(training.images.device, seed, "timing")
    fixed = None if prepared.fixed is None else prepared.fixed.training
    numbers = cycle(range(1, 1000))

    def epoch() -> None:
        batches = loop.batches(training, recipe.batch_size, seed, next(numbers), fixed)
        last = torch.zeros(())
        for loss, _ in loop.train_on(batches, model, recipe, updates, eps=prepared.eps, generator=generator):
            last = loss
        last.item()  # waits for the device

    return epoch


def take_turns(
    epochs: Mapping[str, Epoch], repeats: int, advance: Callable[[float], None] = lambda _: None
) -> dict[str, list[float]]:
    """The seconds of ``repeats`` epochs of each, one after the other, after a round to warm up.

    Args:
        epochs: each trains one epoch and waits for the device.
        repeats: how many of each are timed.
        advance: hears the share that is done.
    """
    seconds: dict[str, list[float]] = {name: [] for name in epochs}
    done = 0
    for turn in range(repeats + 1):
        for name, epoch in epochs.items():
            start = time.perf_counter()
            epoch()
            if turn:
                seconds[name].append(time.perf_counter() - start)
            done += 1
            advance(done / ((repeats + 1) * len(epochs)))
    return seconds


def read(path: Path, timing: Timing, device: torch.device) -> Timed | None:
    """What was timed before, if it was the same on the same kind of device; else None."""
    try:
        found = Timed.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
    wanted = {model.name: timing.repeats for model in timing.models}
    complete = {name: len(times) for name, times in found.seconds.items()} == wanted
    return found if complete and (found.device, found.threads) == (device.type, torch.get_num_threads()) else None
