"""Trains, evaluates and times what the lines of a table ask for, and keeps what is finished.

::

    RUN_DIR/models/NAME.safetensors       a finished training; while it runs, its state is beside it
    RUN_DIR/evaluations/NAME-HASH/        a run of shards (advtool.evaluation.run)
    RUN_DIR/timings/NAME.json             seconds of each timed epoch
    RUN_DIR/origins/NAME.json             where and when each of these was finished

A kill therefore loses one epoch and one shard at most, and a model that two tables name is trained once.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from advtool import checkpoints, models
from advtool.checkpoints import SUFFIX, Header
from advtool.data import Split, first_images, folds, load, to_float, train_validation
from advtool.errors import InputError
from advtool.evaluation import provenance
from advtool.evaluation.evaluator import evaluate
from advtool.evaluation.finished import read_finished
from advtool.evaluation.run import default_folder
from advtool.files import sha256, write_atomically
from advtool.models.noise import PNIL, input_pnil
from advtool.reproduce.observer import Observer
from advtool.reproduce.steps import Asked, Model, Step, Timing, title
from advtool.results import DatasetInfo, Evaluation, Reused
from advtool.training.session import prepare, train
from advtool.training.timing import epoch_of, take_turns


@dataclass(frozen=True)
class Measured:
    """What was asked for: checkpoints and their cards, answers, seconds of each epoch by the model's name."""

    data_dir: Path | None
    files: dict[Model, Path] = field(default_factory=dict)
    cards: dict[Model, Header] = field(default_factory=dict)
    answers: dict[Asked, Evaluation] = field(default_factory=dict)
    times: dict[Timing, dict[str, list[float]]] = field(default_factory=dict)
    reused: list[Reused] = field(default_factory=list)
    """what an earlier call had finished"""

    def layer(self, model: Model, count: int) -> tuple[PNIL, Split]:
        """The PNIL of a trained model, on the CPU, and the first test images of the fixed permutation."""
        found = input_pnil(models.load_checkpoint(self.files[model]))
        assert found is not None, model.name
        return found, first_images(load(model.dataset, "test", self.data_dir), count)


class Laboratory:
    """Carries out steps in one folder, which several tables may share."""

    def __init__(self, folder: Path, device: torch.device, data_dir: Path | None, observer: Observer) -> None:
        self._folder, self._device, self._observer = folder, device, observer
        self._load = cache(lambda dataset, split: load(dataset, split, data_dir))
        self._measured = Measured(data_dir)

    def carry_out(self, steps: Sequence[Step]) -> Measured:
        """Do every step that is not done yet; what a step needs stands before it.

        Raises:
            InputError: a data set cannot be read, a training diverges, or the folder cannot be written.
        """
        self._observer.planned(steps)
        for step in steps:
            if isinstance(step, Model):
                name, kept = self._train(step)
            else:
                name, kept = self._ask(step) if isinstance(step, Asked) else self._time(step)
            self._note_origin(self._folder / "origins" / f"{name}.json", title(step), kept=kept)
            self._observer.end(step, kept=kept)
        return self._measured

    def _note_origin(self, path: Path, part: str, *, kept: bool) -> None:
        if kept:
            origin = Reused(part=part)
            with suppress(OSError, ValidationError):  # a folder of an earlier version has none
                origin = Reused.model_validate_json(path.read_bytes())
            self._measured.reused.append(origin)
        else:
            origin = Reused(part=part, environment=provenance.machine(self._device), date=checkpoints.now())
            write_atomically(path, origin.model_dump_json(indent=2).encode())

    def _train(self, model: Model) -> tuple[str, bool]:
        """A name for what is kept, and whether it was there before."""
        path, arguments = self._folder / "models" / f"{model.name}{SUFFIX}", self._training_arguments(model)
        kept = agrees(path, model, arguments)
        if not kept:
            self._observer.begin(model)
            train(**arguments, output=path, resume=True, observer=self._observer)
        self._measured.files[model], self._measured.cards[model] = path, checkpoints.read_header(path)
        return model.name, kept

    def _ask(self, asked: Asked) -> tuple[str, bool]:
        """Other weights, images, settings or code have a folder of their own."""
        model, (count, settings) = asked
        path, images = self._measured.files[model], first_images(self._splits(model)[2], count)
        origins = (sha256(path), provenance.tensors(images.images, images.labels), provenance.code())
        identity = asdict(settings) | {"origins": origins, "device": self._device.type}
        folder = default_folder(self._folder / "evaluations", model.name, identity)
        if (folder / "result.json").exists():
            try:
                self._measured.answers[asked] = read_finished(folder).result
                return folder.name, True
            except InputError as error:
                self._observer.note(f"{error}; what is missing is computed again")
        self._observer.begin(asked)
        split = "test" if model.fold is None else f"train, fold {model.fold.name}"
        self._measured.answers[asked] = evaluate(
            models.load_checkpoint(path),
            to_float(images.images),
            images.labels,
            **asdict(settings),
            device=self._device,
            run_dir=folder,
            dataset=DatasetInfo(name=images.name, split=split, images=len(images)),
            checkpoint=checkpoints.describe(path, self._measured.cards[model]),
            observer=self._observer,
        )
        return folder.name, False

    def _time(self, timing: Timing) -> tuple[str, bool]:
        """Another device, or another number of threads, has times of its own."""
        name = f"{timing.name}-{self._device.type}-{torch.get_num_threads()}"
        path = self._folder / "timings" / f"{name}.json"
        names = [model.name for model in timing.models]
        found: dict[str, list[float]] = {}
        with suppress(OSError, ValueError):
            found = json.loads(path.read_bytes())
        kept = {key: len(turns) for key, turns in found.items()} == dict.fromkeys(names, timing.repeats)
        if not kept:
            self._observer.begin(timing)
            # In torch's own layers, unlike a training: methods are compared, and others should be able to repeat it.
            epochs = [epoch_of(prepare(**self._training_arguments(model))) for model in timing.models]
            found = take_turns(dict(zip(names, epochs, strict=True)), timing.repeats, self._observer.timed)
            write_atomically(path, json.dumps(found, indent=2).encode())
        self._measured.times[timing] = found
        return name, kept

    def _training_arguments(self, model: Model) -> dict[str, Any]:
        training, validation, _ = self._splits(model)
        fixed = {"fixed_examples": self._measured.files[model.examples_of]} if model.examples_of else {}
        return {
            "data": training,
            "recipe": model.recipe,
            "eps": model.eps,
            "seed": model.seed,
            "device": self._device,
            "limit": None if model.limit is None or model.limit >= len(training) else model.limit,
            "validation": first_images(validation, model.validated),
            "epochs": model.epochs,
            **dict(model.settings),
            **fixed,
        }

    def _splits(self, model: Model) -> tuple[Split, Split, Split]:
        """What it trains on, what chooses the epoch, what it is tested on."""
        train_split, test_split = self._load(model.dataset, "train"), self._load(model.dataset, "test")
        if model.fold is not None:
            return folds.cut(model.fold, train_split, test_split)
        return *train_validation(train_split), test_split


def agrees(path: Path, model: Model, arguments: dict[str, Any]) -> bool:
    """Whether a checkpoint's card is that of ``model``, trained to its end with these arguments."""
    try:
        card = checkpoints.read_header(path)
    except InputError:  # not there, or damaged
        return False
    source = arguments.get("fixed_examples")
    wanted = model.resolved.to_dict() | {
        "limit": arguments["limit"],
        "fixed_examples_sha256": None if source is None else sha256(source),
        "precision": card.recipe.get("precision"),  # it depends on the device
    }
    place = (card.dataset, card.seed, card.threat_model.eps)
    same = all(card.recipe.get(key) == value for key, value in wanted.items())
    return same and place == (model.dataset, model.seed, model.eps)
