"""The options that say what is evaluated, on which images, for every command that evaluates."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from advtool import arguments
from advtool.cli.gathering import options_of
from advtool.cli.model_options import MODEL_OPTIONS, PANEL, ModelOptions
from advtool.cli.options import DATA_SETS, DataDir, data_sets
from advtool.errors import InputError
from advtool.evaluation.settings import RUNS, Settings
from advtool.ranks import Ranks
from advtool.settings import checked

if TYPE_CHECKING:
    import torch
    from torch import nn

    from advtool.data import Split
    from advtool.target.opening.spec import Opened

ALL_IMAGES = 0
IMAGES_PANEL = "Test images"


def parse_images(text: str) -> int:
    """Read a count of images; ``all`` gives ``ALL_IMAGES``.

    Raises:
        InputError: the text is neither ``all`` nor an integer of at least 1.
    """
    if text == "all":
        return ALL_IMAGES
    count = arguments.written_count(text)
    if count is None:
        raise InputError(f"--images {arguments.shown(text)}: write an integer of at least 1, or 'all'")
    return count


def images_option(help: str) -> Any:
    """The option ``--images``, which a command may tell in words of its own."""
    return Annotated[
        int,
        typer.Option("--images", parser=parse_images, metavar="N|all", rich_help_panel=IMAGES_PANEL, help=help),
    ]


def settings_options(*without: str, attacks: str = "paper") -> dict[str, Any]:
    """The options of the evaluation settings, for :func:`advtool.cli.gathering.gathering`.

    Args:
        without: names of settings that the command sets itself.
        attacks: words for the help that say what runs without ``--attack``.
    """
    defaults = {"attacks": attacks, "eps": "the checkpoint's, or 8/255"}
    return {name: option for name, option in options_of(Settings, defaults=defaults).items() if name not in without}


def chosen(**given: Any) -> dict[str, Any]:
    """The settings that were given, checked. An option that was left out is None or empty, and gives no setting.

    Raises:
        InputError: a value is wrong; the message names the option.
    """
    return checked(Settings, {name: value for name, value in given.items() if value not in (None, ())})


RunDir = Annotated[
    Path | None,
    typer.Option(
        "--run-dir",
        metavar="DIR",
        help="Folder of the run. It keeps finished parts, and the same command goes on from them.",
        show_default="a folder under runs/ for each question",
    ),
]

SUBJECT_OPTIONS: dict[str, Any] = {
    **MODEL_OPTIONS,
    "classes": Annotated[
        Path | None,
        typer.Option(
            "--classes",
            metavar="FILE",
            rich_help_panel=PANEL,
            help="The class of each output: one name on each line in the order of the outputs, or JSON {name: output}.",
            show_default="the data set's order",
        ),
    ],
    "force": Annotated[
        bool,
        typer.Option(
            "--force", rich_help_panel=PANEL, help="Evaluate the model even if it is no better than guessing."
        ),
    ],
    "dataset": Annotated[
        str | None,
        typer.Option(
            "--dataset",
            metavar="NAME|PATH",
            autocompletion=data_sets,
            rich_help_panel=IMAGES_PANEL,
            help=f"Images to test on: {DATA_SETS}, a .npz file, or a folder with test/CLASS/* or CLASS/*.",
            show_default="the checkpoint's",
        ),
    ],
    "input_size": Annotated[
        str | None,
        typer.Option(
            "--input-size",
            metavar="HxW|N",
            rich_help_panel=IMAGES_PANEL,
            help="Resize the shorter side of each image and crop the centre.",
            show_default="the images as they are",
        ),
    ],
    "images": (
        images_option("The first N images of a fixed permutation of the test set."),
        "1000",
    ),
    "data_dir": DataDir,
}


@dataclass(frozen=True)
class Subject:
    """A model and its test images."""

    opened: Opened
    split: Split
    indices: list[int]
    """the index of each image in the data set"""
    checkpoint: dict[str, Any] | None
    """the card of the checkpoint, for results; None if the model is no checkpoint of ours"""
    title: str
    """the model's name for people, as the user wrote it; it says so if the newest checkpoint was taken"""
    force: bool
    as_written: dict[str, str | None]
    """how the user named the data set: fields of a ``DatasetInfo``"""

    @property
    def eps(self) -> float:
        """The eps that the model was trained for, or the default."""
        return Settings.eps if self.opened.header is None else self.opened.header.threat_model.eps

    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of :func:`advtool.evaluate` that say what is evaluated."""
        from advtool.data import to_float
        from advtool.results import DatasetInfo

        names = self.split.classes
        numbers = tuple(map(str, range(len(names))))
        return {
            "model": self.opened.model,
            "images": to_float(self.split.images),
            "labels": self.split.labels,
            "indices": self.indices,
            "dataset": DatasetInfo(
                name=self.split.name,
                split="test",
                images=len(self.split),
                classes=None if names == numbers else list(names),
                **self.as_written,
            ),
            "checkpoint": self.checkpoint,
            "origin": self.opened.description,
        }

    @property
    def refuse_chance(self) -> bool:
        """Whether to stop if the model only guesses. A user's own model was then probably opened the wrong way."""
        return self.opened.header is None and not self.force

    def surrogate(self, model: str, weights: str | None) -> nn.Module:
        """Open another model for the same images and classes.

        Args:
            model: as MODEL names one.
            weights: file of its weights; None takes its own.

        Raises:
            InputError: the model cannot be opened, or was made for other images or classes.
        """
        try:
            theirs = ModelOptions(model=model, weights=weights).open()[0]
        except InputError as error:
            raise InputError(f"--surrogate: {error}") from None
        if self.opened.header is not None and theirs.header is not None:
            ours, other = self.opened.header.architecture, theirs.header.architecture
            if (other.input_shape, other.classes) != (ours.input_shape, ours.classes):
                raise InputError(
                    f"--surrogate '{model}' takes images {other.input_shape} of {other.classes} classes, the model "
                    f"{ours.input_shape} of {ours.classes}: name a surrogate that was trained for the same task"
                )
        return theirs.model

    def run_folder(self, asked: dict[str, Any], device: torch.device, purpose: str = "") -> Path:
        """The folder of a run that was given none. The same question finds the same folder.

        Args:
            asked: the settings that define the answer, plain JSON data.
            device: where to compute.
            purpose: a part of the folder's name, e.g. ``-sweep-eps``.
        """
        from advtool.evaluation import provenance
        from advtool.evaluation.run import default_folder

        question = {
            **asked,
            "model": self.opened.description,
            "sources": self.opened.sources,
            "images": provenance.tensors(self.split.images, self.split.labels),
            "dataset": [self.split.name, *self.split.classes],
            "device": device.type,
            "code": provenance.code(),
        }
        return default_folder(RUNS, self._name + purpose, question)

    @property
    def _name(self) -> str:
        """The model's name in the name of a folder: ``net-make`` for ``models/net.py:make``."""
        name = Path(self.opened.description["spec"]).name
        stem, _, factory = name.rpartition(":")
        words = f"{stem.removesuffix('.py')}-{factory}" if stem else Path(name).stem
        return "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in words)


@dataclass(frozen=True)
class SubjectOptions:
    """The values of ``SUBJECT_OPTIONS``."""

    models: ModelOptions
    classes: Path | None
    force: bool
    dataset: str | None
    input_size: str | None
    images: int
    data_dir: Path | None

    @classmethod
    def of(cls, **given: Any) -> SubjectOptions:
        """The values as Typer gives them, read."""
        of_model = {field.name: given.pop(field.name) for field in fields(ModelOptions)}
        return cls(ModelOptions.of(**of_model), **given)

    def open(self) -> Subject:
        """Open the model and load its images.

        Raises:
            InputError: the model or the data set is missing or broken, or they do not fit each other.
        """
        self.models.check()
        from advtool import checkpoints, data, models

        if self.dataset:  # opening a model takes seconds
            data.check_exists(self.dataset)
        outputs = None if self.classes is None else data.read_classes(self.classes)  # once: it may be a pipe
        opened, title = self.models.open()
        header = opened.header
        split, indices = self._images(opened)
        if outputs is not None:
            split = split.relabelled(outputs)
        if header is not None:
            models.check_images(header.architecture, split.shape)
        card = None if header is None else checkpoints.describe(Path(opened.description["spec"]), header)
        return Subject(opened, split, indices.tolist(), card, title, self.force, self._as_written(split.name))

    def _as_written(self, name: str) -> dict[str, str | None]:
        """What a result keeps of the words that name the data set, beside its ``name``."""
        return {
            "path": None if self.dataset in (None, name) else self.dataset,
            "classes_file": None if self.classes is None else str(self.classes),
            "input_size": self.input_size,
        }

    def _images(self, opened: Opened) -> tuple[Split, torch.Tensor]:
        from advtool import data

        name = self.dataset or (opened.header and opened.header.dataset)
        if not name:
            raise InputError(
                f"--dataset: '{opened.description['spec']}' does not say which images to test it on: name a data set, "
                "an .npz file or a folder"
            )
        size = opened.input_size if opened.header is None else None
        if self.input_size is not None:
            size = data.read_size(self.input_size)
        data.check_fetched(name, self.data_dir, Ranks.of_environment())
        count = None if self.images == ALL_IMAGES else self.images
        try:
            split, indices = data.load_first(name, "test", count, self.data_dir, input_size=size)
        except InputError as error:
            hint = "" if self.dataset else " (the checkpoint's data set; --dataset names another)"
            raise InputError(f"{error}{hint}") from None
        return split, indices
