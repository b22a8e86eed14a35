"""Trains, evaluates and times what the lines of a table ask for, and keeps what is finished.

::

    RUN_DIR/models/NAME.safetensors       a finished training; beside it, while it runs, NAME.partial.safetensors
    RUN_DIR/evaluations/NAME-HASH/        a run of shards (advtool.evaluation.run)
    RUN_DIR/timings/NAME.json             seconds of each timed epoch
    RUN_DIR/origins/NAME.json             where and when each of these was finished

A kill therefore loses one training and one shard at most, and a model that two tables name is trained once.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch

from advtool import checkpoints, models
from advtool.checkpoints import SUFFIX, Header
from advtool.compute.convolution import in_torch_layers
from advtool.data import Split, first_images, load, to_float, train_validation
from advtool.errors import InputError
from advtool.evaluation import provenance
from advtool.evaluation.evaluator import evaluate
from advtool.evaluation.run import default_folder
from advtool.files import write_atomically
from advtool.models.noise import PNIL, input_pnil
from advtool.reproduce import folds, timing
from advtool.reproduce.answers import Answer, read_answer
from advtool.reproduce.observer import EvaluationShare, Observer, TrainingShare
from advtool.reproduce.steps import Asked, Model, Step, Timing
from advtool.reproduce.timing import Timed
from advtool.results import DatasetInfo, Reused
from advtool.training.session import prepare, train


@dataclass(frozen=True)
class Measured:
    """What was asked for. ``files`` are the checkpoints, ``cards`` their headers; ``data_dir`` is the cache."""

    data_dir: Path | None = None
    files: dict[Model, Path] = field(default_factory=dict)
    cards: dict[Model, Header] = field(default_factory=dict)
    answers: dict[Asked, Answer] = field(default_factory=dict)
    times: dict[Timing, Timed] = field(default_factory=dict)
    reused: list[Reused] = field(default_factory=list)

    def layer(self, model: Model) -> PNIL:
        """The PNIL of a trained model, on the CPU."""
        found = input_pnil(models.load_checkpoint(self.files[model]))
        assert found is not None, model.name
        return found

    def test_images(self, dataset: str, count: int) -> Split:
        """The first ``count`` test images of the fixed permutation, to look at what a model learned."""
        return first_images(load(dataset, "test", self.data_dir), count)


class Laboratory:
    """Carries out steps in one folder.

    Args:
        folder: where everything is kept; several tables may share it.
        device: where to compute.
        data_dir: the cache of data sets; None: its default.
        observer: hears of the progress.
    """

    def __init__(self, folder: Path, device: torch.device, data_dir: Path | None, observer: Observer) -> None:
        self._folder, self._device, self._data_dir, self._observer = folder, device, data_dir, observer
        self._load = cache(lambda dataset, split: load(dataset, split, data_dir))

    def carry_out(self, steps: Sequence[Step]) -> Measured:
        """Do every step that is not done yet; what a step needs stands before it.

        Raises:
            InputError: a data set cannot be read, a training diverges, or the folder cannot be written.
        """
        measured = Measured(self._data_dir)
        self._observer.planned(steps)
        for step in steps:
            do = {Model: self._train, Asked: self._ask, Timing: self._time}[type(step)]
            origin, kept = do(step, measured)  # type: ignore[operator]
            if kept:
                measured.reused.append(_read_origin(origin, step))
            else:
                made = Reused(part=step.title, environment=provenance.machine(self._device), date=checkpoints.now())
                write_atomically(origin, made.model_dump_json(indent=2).encode())
            self._observer.finish(step, kept=kept)
        return measured
