"""Trains, evaluates and times what the lines of a table ask for, and keeps what is finished.

::

    RUN_DIR/parts/NAME.json               what a table reads of a model: small, and enough without the rest
    RUN_DIR/parts/NAME.diverged           a training that came to no end: why, and which one it was
    RUN_DIR/timings/NAME.json             seconds of each timed epoch
    RUN_DIR/models/NAME.safetensors       a finished training; beside it, while it runs, the state to go on from
    RUN_DIR/evaluations/NAME-HASH/        a run of shards (advtool.evaluation.run)

A kill therefore loses one epoch and one shard at most, and a model that two tables name is trained once. A folder
with parts alone is as good: a model is trained again only if something is left to ask of it.
"""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import torch

from advtool import checkpoints, documents, models
from advtool.checkpoints import SUFFIX
from advtool.data import Split, first_images, folds, load, to_float, train_validation
from advtool.errors import InputError
from advtool.evaluation import provenance
from advtool.evaluation.evaluator import evaluate
from advtool.evaluation.run import default_folder
from advtool.files import read_bytes, refuse_links, sha256, write_atomically
from advtool.models.noise import input_pnil
from advtool.reproduce.measured import Measured
from advtool.reproduce.observer import Observer
from advtool.reproduce.parts import Answer, Layer, Part, Parts, Turns, is_of
from advtool.reproduce.search import Chosen, Trial
from advtool.reproduce.steps import Asked, Learned, Model, Step, Timing, title
from advtool.results import DatasetInfo, Reused
from advtool.training.loop import Diverged
from advtool.training.prepared import prepare
from advtool.training.session import train
from advtool.training.timing import epoch_of, take_turns


class Laboratory:
    """Carries out steps in one folder, which several tables may share.

    Args:
        folder: of all that is kept.
        device: where to train and evaluate.
        data_dir: the cache of data sets.
        observer: hears of every step.
        command: noted beside what is finished now.
        seconds: after so many nothing more is begun; None: everything is done.
    """

    def __init__(
        self,
        folder: Path,
        device: torch.device,
        data_dir: Path | None,
        observer: Observer,
        *,
        command: str = "",
        seconds: float | None = None,
    ) -> None:
        self._folder, self._device, self._observer, self._command = folder, device, observer, command
        self._end = None if seconds is None else time.monotonic() + seconds
        self._load = cache(lambda dataset, split: load(dataset, split, data_dir))
        self._measured = Measured(data_dir)
        self._parts = Parts(folder / "parts")
        self._plan: Sequence[Step] = ()

    def carry_out(self, steps: Sequence[Step]) -> Measured:
        """Do every step that is not done yet; what a step needs stands before it.

        Raises:
            InputError: a data set cannot be read, or the folder cannot be written.
        """
        refuse_links(self._folder, "models", "evaluations", "parts", "timings")
        self._plan = steps
        self._observer.planned(steps)
        for planned in steps:
            if isinstance(planned, Chosen) and self._measured.left.isdisjoint(planned.trials):
                self._measured.chosen[planned] = planned.picked(self._measured.cards)
            step = self._measured.actual(planned)
            kept = self._find(step)
            if not kept and (self._is_over() or self._measured.has_diverged(step)):
                self._measured.left.add(step)
                continue
            if not kept:
                self._observer.begin(step)
                self._do(step)
                if self._measured.has_diverged(step) and not isinstance(step, Trial):
                    self._measured.left.add(step)
            self._observer.end(step, kept=kept)
        return self._measured

    def _is_over(self) -> bool:
        return self._end is not None and time.monotonic() >= self._end

    def _find(self, step: Step) -> bool:
        """Take over what was finished before, if it was."""
        match step:
            case Model():
                return self._find_model(step)
            case Timing():
                return self._find_times(step)
            case Learned(model):
                return self._find_layer(model)
            case Asked():
                return self._find_answer(step)

    def _do(self, step: Step) -> None:
        origin = Reused(
            part=title(step),
            environment=provenance.machine(self._device) | {"code": provenance.code()},
            date=checkpoints.now(),
            command=self._command or None,
        )
        match step:
            case Model():
                self._train(step, origin)
            case Timing():
                self._time(step, origin)
            case Learned(model):
                self._learn(model)
            case Asked():
                self._ask(step, origin)

    def _find_model(self, model: Model) -> bool:
        """The weights, or a part to which no question is left that needs them; or a trial that is known to diverge."""
        part, has_file = self._parts.get(model), self._agrees(model)
        of_file = has_file and part is not None and part.weights == _fingerprint(self._path(model))
        stands = part is not None and (self._is_over() or self._is_complete(model, part))
        if has_file and (of_file or not stands):  # a part that stands is worth more than other weights
            self._measured.files[model] = self._path(model)
        elif not stands:
            return self._is_known_to_diverge(model) and isinstance(model, Trial)
        if part is None or not (of_file or stands):
            part = self._adopted(model)
        self._note(model, part)
        self._measured.reused[model] = part.origin
        return True

    def _adopted(self, model: Model) -> Part:
        """A new part, of weights that are there."""
        part = self._begun(model, Reused(part=title(model)))
        if not self._is_over():  # who only looks writes nothing
            self._parts.put(model, part)
        return part

    def _is_known_to_diverge(self, model: Model) -> bool:
        known = self._parts.has_diverged(model)
        if known:
            self._measured.diverged.add(model)
        return known

    def _train(self, model: Model, origin: Reused) -> None:
        path = self._path(model)
        try:
            train(**self._training_arguments(model), output=path, resume=True, observer=self._observer)
        except Diverged as error:
            self._parts.note_divergence(model, error)
            self._measured.diverged.add(model)
            return
        self._measured.files[model] = path
        part = self._parts.get(model)
        if part is None or part.weights != _fingerprint(path):  # else equal weights: what they answered still holds
            part = self._begun(model, origin)
            self._parts.put(model, part)
        self._note(model, part)

    def _begun(self, model: Model, origin: Reused) -> Part:
        path = self._path(model)
        source = self._parts.get(model.examples_of) if model.examples_of else None
        return Part.of(
            checkpoints.read_header(path),
            sha256=sha256(path),
            weights=_fingerprint(path),
            source=source.weights if source else None,
            origin=origin,
        )

    def _note(self, model: Model, part: Part) -> None:
        self._measured.cards[model], self._measured.hashes[model] = part.card, part.sha256
        if part.source is not None:
            self._measured.sources[model] = part.source

    def _agrees(self, model: Model) -> bool:
        """Whether the model's checkpoint is there, trained to its end as the plan says."""
        try:
            card = checkpoints.read_header(self._path(model))
        except InputError:  # not there, or damaged
            return False
        source = None
        if model.examples_of in self._measured.files:
            source = sha256(self._measured.files[model.examples_of])
        elif model.examples_of and (part := self._parts.get(model.examples_of)):
            source = part.sha256
        return is_of(card, model) and card.recipe.get("fixed_examples_sha256") == source

    def _is_complete(self, model: Model, part: Part) -> bool:
        """Whether nothing in the plan needs the weights of a model."""
        return not any(self._needs(self._measured.actual(step), model, part) for step in self._plan)

    def _needs(self, step: Step, model: Model, part: Part) -> bool:
        """Whether a step is not finished and needs the weights of ``model``."""
        match step:
            case Model(examples_of=source):
                if source != model or self._agrees(step):
                    return False
                own = self._parts.get(step)
                return own is None or not self._is_complete(step, own)
            case Timing():
                fixed = {each.examples_of for each in step.models}
                return model in fixed and self._kept_times(step) is None
            case Learned(asked):
                return asked == model and part.layer is None
            case Asked(asked, question):
                return asked == model and part.to(question) is None

    def _find_answer(self, asked: Asked) -> bool:
        part = self._parts.get(asked.model)
        answer = None if part is None else part.to(asked.question)
        if answer is None:
            return False
        self._measured.answers[asked] = answer.result()
        self._measured.reused[asked] = answer.origin
        return True

    def _ask(self, asked: Asked, origin: Reused) -> None:
        """Other weights, images, settings or code have a folder of their own."""
        model, (count, settings) = asked
        path, images = self._measured.files[model], first_images(self._splits(model)[2], count)
        origins = (sha256(path), provenance.tensors(images.images, images.labels), provenance.code())
        identity = asdict(settings) | {"origins": origins, "device": self._device.type}
        split = "test" if model.fold is None else f"train, fold {model.fold.name}"
        result = evaluate(
            models.load_checkpoint(path),
            to_float(images.images),
            images.labels,
            **asdict(settings),
            device=self._device,
            run_dir=default_folder(self._folder / "evaluations", model.name, identity),
            dataset=DatasetInfo(name=images.name, split=split, images=len(images)),
            checkpoint=checkpoints.describe(path, self._measured.cards[model]),
            observer=self._observer,
        )
        self._measured.answers[asked] = result
        self._parts.extend(model, Answer.of(asked.question, result, origin))

    def _find_layer(self, model: Model) -> bool:
        part = self._parts.get(model)
        if part is None or part.layer is None:
            return False
        self._measured.layers[model] = part.layer.module()
        return True

    def _learn(self, model: Model) -> None:
        found = input_pnil(models.load_checkpoint(self._measured.files[model]))
        assert found is not None, model.name
        kept = Layer.of(found)
        self._measured.layers[model] = kept.module()
        self._parts.add_layer(model, kept)

    def _find_times(self, timing: Timing) -> bool:
        turns = self._kept_times(timing)
        if turns is None:
            return False
        self._measured.times[timing] = turns.seconds
        self._measured.reused[timing] = turns.origin
        return True

    def _time(self, timing: Timing, origin: Reused) -> None:
        # In torch's own layers, unlike a training: methods are compared, and others should be able to repeat it.
        epochs = {model.name: epoch_of(prepare(**self._training_arguments(model))) for model in timing.models}
        found = take_turns(epochs, timing.repeats, self._observer.timed)
        self._measured.times[timing] = found
        content = Turns(origin=origin, seconds=found).model_dump_json(indent=2)
        write_atomically(self._times_path(timing), content.encode())

    def _kept_times(self, timing: Timing) -> Turns | None:
        with suppress(OSError, ValueError):
            turns = Turns.model_validate(documents.parse(read_bytes(self._times_path(timing), documents.MOST_BYTES)))
            names = [model.name for model in timing.models]
            if {name: len(each) for name, each in turns.seconds.items()} == dict.fromkeys(names, timing.repeats):
                return turns
        return None

    def _times_path(self, timing: Timing) -> Path:
        """A CPU and a GPU have times of their own; a time tells by how many threads it was measured."""
        return self._folder / "timings" / f"{timing.name}-{self._device.type}.json"

    def _path(self, model: Model) -> Path:
        return self._folder / "models" / f"{model.name}{SUFFIX}"

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


def _fingerprint(path: Path) -> str:
    """Of the weights alone: equal trainings on different days have the same."""
    _, tensors = checkpoints.read(path)
    return provenance.tensors(*(tensors[name] for name in sorted(tensors)))
