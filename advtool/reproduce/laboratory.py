"""Trains, evaluates and times what a plan names, and keeps what is finished.

::

    RUN_DIR/models/NAME.safetensors       a finished training; beside it, while it runs, NAME.partial.safetensors
    RUN_DIR/evaluations/NAME-HASH/        a run of shards (advtool.evaluation.run)
    RUN_DIR/timings/NAME.json             seconds of each timed epoch

A kill therefore loses one training and one shard at most, and a model that two tables name is trained once.
"""

import hashlib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch

from advtool import checkpoints, models
from advtool.checkpoints import SUFFIX, Header
from advtool.data import Split, first_images, load, to_float, train_validation
from advtool.errors import InputError
from advtool.evaluation import provenance
from advtool.evaluation.evaluator import evaluate
from advtool.evaluation.finished import FinishedRun, read_finished
from advtool.evaluation.run import default_folder
from advtool.reproduce import folds, timing
from advtool.reproduce.observer import EvaluationShare, Observer, TrainingShare
from advtool.reproduce.plan import Model, Plan, Question, Step, Timing
from advtool.reproduce.timing import Timed
from advtool.results import DatasetInfo
from advtool.training.recipes import Recipe
from advtool.training.session import Prepared, prepare, train


@dataclass(frozen=True)
class Measured:
    """What a plan asked for. ``files`` are the checkpoints, ``cards`` their headers; ``data_dir`` is the cache."""

    data_dir: Path | None = None
    files: dict[Model, Path] = field(default_factory=dict)
    cards: dict[Model, Header] = field(default_factory=dict)
    runs: dict[Question, FinishedRun] = field(default_factory=dict)
    times: dict[Timing, Timed] = field(default_factory=dict)

    def test_images(self, dataset: str, count: int) -> Split:
        """The first ``count`` test images of the fixed permutation, to look at what a model learned."""
        return first_images(load(dataset, "test", self.data_dir), count)


class Laboratory:
    """Carries out plans in one folder.

    Args:
        folder: where everything is kept; several tables may share it.
        device: where to compute.
        data_dir: the cache of data sets; None: its default.
        observer: hears of the progress.
    """

    def __init__(self, folder: Path, device: torch.device, data_dir: Path | None, observer: Observer) -> None:
        self._folder, self._device, self._data_dir, self._observer = folder, device, data_dir, observer
        self._load = cache(self._load_split)

    def carry_out(self, plan: Plan) -> Measured:
        """Do every step of ``plan`` that is not done yet.

        Raises:
            InputError: a data set cannot be read, a training diverges, or the folder cannot be written.
        """
        measured, steps = Measured(self._data_dir), plan.steps()
        self._observer.planned(steps)
        for step in steps:
            kept = self._do(step, measured)
            self._observer.finish(step, kept=kept)
        return measured

    def _do(self, step: Step, measured: Measured) -> bool:
        """Whether nothing had to be computed."""
        if isinstance(step, Model):
            return self._train(step, measured)
        if isinstance(step, Question):
            return self._evaluate(step, measured)
        return self._time(step, measured)

    def _train(self, model: Model, measured: Measured) -> bool:
        path = self._folder / "models" / f"{model.name}{SUFFIX}"
        source = measured.files[model.examples_of] if model.examples_of else None
        card = _read_card(path)
        kept = card is not None and agrees(card, model, source)
        if not kept:
            self._observer.begin(model)
            train(
                **self._training_arguments(model, source),
                output=path,
                observer=TrainingShare(self._observer.advance),
            )
        measured.files[model] = path
        measured.cards[model] = checkpoints.read_header(path)
        return kept

    def _evaluate(self, question: Question, measured: Measured) -> bool:
        path, card = measured.files[question.model], measured.cards[question.model]
        images = first_images(self._test_split(question.model), question.images)
        folder = self._run_folder(question, path, images)
        if (folder / "result.json").exists():
            try:
                measured.runs[question] = read_finished(folder)
                return True
            except InputError as error:
                self._observer.note(f"{error}; what is missing is computed again")
        self._observer.begin(question)
        evaluate(
            models.load_checkpoint(path),
            to_float(images.images),
            images.labels,
            **question.settings(),
            device=self._device,
            run_dir=folder,
            dataset=DatasetInfo(name=images.name, split=_tested_on(question.model), images=len(images)),
            checkpoint=checkpoints.describe(path, card),
            observer=EvaluationShare(question.stages, self._observer),
        )
        measured.runs[question] = read_finished(folder)
        return False

    def _time(self, wanted: Timing, measured: Measured) -> bool:
        path = self._folder / "timings" / f"{wanted.name}.json"
        kept = timing.read(path, wanted, self._device)
        measured.times[wanted] = kept or self._take_times(wanted, path, measured)
        return kept is not None

    def _take_times(self, wanted: Timing, path: Path, measured: Measured) -> Timed:
        self._observer.begin(wanted)
        epochs = {model.name: timing.epoch_of(self._prepare(model, measured)) for model in wanted.models}
        timed = Timed(
            seconds=timing.take_turns(epochs, wanted.repeats, self._observer.advance),
            device=self._device.type,
            threads=torch.get_num_threads(),
        )
        timing.write(path, timed)
        return timed

    def _prepare(self, model: Model, measured: Measured) -> Prepared:
        source = measured.files[model.examples_of] if model.examples_of else None
        return prepare(**self._training_arguments(model, source))

    def _training_arguments(self, model: Model, source: Path | None) -> dict[str, Any]:
        data, validation = self._training_splits(model)
        return {
            "data": data,
            "recipe": model.recipe,
            "eps": model.eps,
            "seed": model.seed,
            "device": self._device,
            "limit": model.limit,
            "data_dir": self._data_dir,
            "validation": validation,
            "epochs": model.epochs,
            **dict(model.settings),
            **({"fixed_examples": source} if source else {}),
        }

    def _training_splits(self, model: Model) -> tuple[Split, Split | None]:
        """The images to train on, and those that choose the epoch; None leaves them to the training."""
        train_split = self._load(model.dataset, "train")
        if model.fold is not None:
            parts = folds.cut(model.fold, train_split, self._load(model.dataset, "test"))
            return parts.training, first_images(parts.validation, model.validated)
        if model.validated is None:
            return train_split, None
        training, validation = train_validation(train_split)
        return training, first_images(validation, model.validated)

    def _test_split(self, model: Model) -> Split:
        test = self._load(model.dataset, "test")
        return test if model.fold is None else folds.cut(model.fold, self._load(model.dataset, "train"), test).test

    def _load_split(self, dataset: str, split: Any) -> Split:
        return load(dataset, split, self._data_dir)

    def _run_folder(self, question: Question, path: Path, images: Split) -> Path:
        """The same question to the same weights finds the same folder; another one, or other code, its own."""
        asked = {
            **question.settings(),
            "checkpoint": hash_of(path),
            "images": provenance.tensors(images.images, images.labels),
            "device": self._device.type,
            "code": provenance.code(),
        }
        return default_folder(self._folder / "evaluations", question.model.name, asked)


def agrees(card: Header, model: Model, source: Path | None) -> bool:
    """Whether a checkpoint's card is that of ``model``, trained to its end, on the examples of ``source`` if any."""
    found = card.recipe
    wanted = _described(model.resolved) | {"limit": model.limit}
    same_recipe = all(found.get(key) == value for key, value in wanted.items())
    same_examples = found.get("fixed_examples_sha256") == (None if source is None else hash_of(source))
    place = (card.dataset, card.seed, card.threat_model.eps)
    return same_recipe and same_examples and place == (model.dataset, model.seed, model.eps)


def hash_of(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _described(recipe: Recipe) -> dict[str, Any]:
    """The card's fields but the precision, which depends on the device."""
    return {key: value for key, value in recipe.to_dict().items() if key != "precision"}


def _read_card(path: Path) -> Header | None:
    try:
        return checkpoints.read_header(path)
    except InputError:  # not there, or damaged: trained again
        return None


def _tested_on(model: Model) -> str:
    return "test" if model.fold is None else f"train, fold {model.fold.name}"
