"""What an epoch of each training costs: all take turns, so that a busy machine slows all of them alike."""

import time
from collections.abc import Callable, Mapping
from itertools import cycle

import torch

from advtool import seeding
from advtool.training import loop
from advtool.training.prepared import Prepared
from advtool.training.schedule import Updates, schedule_of

Epoch = Callable[[], None]


def epoch_of(prepared: Prepared, seed: int = 0) -> Epoch:
    """One epoch of a training without its validation; every call trains on."""
    training, recipe = prepared.training, prepared.recipe
    steps = loop.batches_per_epoch(len(training), recipe.batch_size)
    updates = Updates(prepared.model, recipe, schedule_of(recipe, 1000 * steps), 1000 * steps)
    objective = loop.Objective(prepared.model, recipe, prepared.threat_model, prepared.layers)
    generator = seeding.generator(training.images.device, seed, "timing")
    fixed = None if prepared.fixed is None else prepared.fixed.training
    numbers = cycle(range(1, 1000))

    def epoch() -> None:
        batches = loop.batches(training, recipe.batch_size, seed, next(numbers), fixed)
        last = torch.zeros(())
        prepared.model.train()
        losses = loop.train_on(batches, objective, updates, generator=generator)
        for loss, _ in losses:
            last = loss
        last.item()  # waits for the device

    return epoch


def take_turns(
    epochs: Mapping[str, Epoch], repeats: int, advance: Callable[[float], None] = lambda _: None
) -> dict[str, list[float]]:
    """The seconds of ``repeats`` epochs of each, one after the other, after a round to warm up.

    Each of ``epochs`` trains one epoch and waits for the device; ``advance`` hears the share that is done.
    """
    seconds: dict[str, list[float]] = {name: [] for name in epochs}
    turns = [(number, name) for number in range(repeats + 1) for name in epochs]
    for done, (number, name) in enumerate(turns, start=1):
        start = time.perf_counter()
        epochs[name]()
        if number:
            seconds[name].append(time.perf_counter() - start)
        advance(done / len(turns))
    return seconds
