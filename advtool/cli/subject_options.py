"""What is evaluated, on which images and how hard: the options of every command that evaluates, and their meaning."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from advtool.cli.gathering import options_of
from advtool.cli.model_options import MODEL_OPTIONS, PANEL, ModelOptions
from advtool.cli.options import DataDir
from advtool.errors import InputError
from advtool.evaluation.settings import Settings
from advtool.settings import checked

if TYPE_CHECKING:
    import torch
    from torch import nn

    from advtool.data import Split
    from advtool.target.opening.spec import Opened

ALL = 0
RUNS = Path("runs")
EPS = 8 / 255
"""Of a model that says nothing of it."""


def parse_images(text: str) -> int:
    """A count of images; ``all`` is 0."""
    if text == "all":
        return ALL
    if not text.isdecimal() or int(text) < 1:
        raise InputError(f"--images '{text}': write a number of at least 1, or 'all'")
    return int(text)


def settings_options(*without: str, attacks: str = "paper") -> dict[str, Any]:
    """The options of the evaluation settings, for :func:`advtool.cli.gathering.gathering`.

    Args:
        without: settings that the command sets itself.
        attacks: what runs if no attack is named.
    """
    defaults = {"attacks": attacks, "eps": "the checkpoint's, or 8/255"}
    return {name: option for name, option in options_of(Settings, defaults=defaults).items() if name not in without}


def chosen(**given: Any) -> dict[str, Any]:
    """The settings that were given, checked: an option that was left out is None or empty.

    Raises:
        InputError: a value is not as it must be; the message names the option.
    """
    return checked(Settings, {name: value for name, value in given.items() if value not in (None, ())})


RunDir = Annotated[
    Path | None,
    typer.Option(
        "--run-dir",
        metavar="DIR",
        help="Folder of the run: finished parts are kept there, and the same command goes on from them.",
        show_default="one under runs/ for each question",
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
            help="Which output names which class: a name a line in the order of the outputs, or JSON {name: output}.",
            show_default="the classes in their order",
        ),
    ],
    "force": Annotated[
        bool,
        typer.Option(
            "--force", rich_help_panel=PANEL, help="Go on though the model is no better than guessing on clean images."
        ),
    ],
    "dataset": Annotated[
        str | None,
        typer.Option(
            "--dataset",
            metavar="NAME|PATH",
            help="Images to test on: digits, mnist, fashion-mnist, cifar10, a .npz file, or a folder with "
            "test/CLASS/* or CLASS/*.",
            show_default="the checkpoint's",
        ),
    ],
    "input_size": Annotated[
        str | None,
        typer.Option(
            "--input-size",
            metavar="HxW|N",
            help="Resize the shorter side and crop the centre.",
            show_default="the images as they are",
        ),
    ],
    "images": (
        Annotated[
            int,
            typer.Option(
                "--images",
                parser=parse_images,
                metavar="N|all",
                help="The first N of a fixed permutation of the test set.",
            ),
        ],
        "1000",
    ),
    "data_dir": DataDir,
}


@dataclass(frozen=True)
class Subject:
    """A model and the test images that it is held against."""

    opened: Opened
    split: Split
    indices: list[int]
    """of the split's images in the data set's own order"""
    checkpoint: dict[str, Any] | None
    """its card as a result describes it, if it is a checkpoint of ours"""
    title: str
    """for people: the model as it was named, and that it is the newest one if nobody named it"""
    force: bool

    @property
    def eps(self) -> float:
        """The radius that it was trained for, or a usual one."""
        return EPS if self.opened.header is None else self.opened.header.threat_model.eps

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
            ),
            "checkpoint": self.checkpoint,
            "origin": self.opened.description,
        }

    @property
    def refuse_chance(self) -> bool:
        """A stranger's model that guesses was probably opened the wrong way."""
        return self.opened.header is None and not self.force

    def surrogate(self, model: str, weights: str | None) -> nn.Module:
        """Another model for the same images and classes.

        Raises:
            InputError: it cannot be opened, or was made for other images or classes.
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
                    f"{ours.input_shape} of {ours.classes}: name one that was trained for the same task"
                )
        return theirs.model

    def run_folder(self, asked: dict[str, Any], device: torch.device, purpose: str = "") -> Path:
        """Where a run lives that was given no folder: the same question finds the same one.

        Args:
            asked: the settings that define the answer, plain JSON data.
            device: where it is computed.
            purpose: put into the folder's name, e.g. ``-sweep-eps``.
        """
        from advtool.evaluation import provenance
        from advtool.evaluation.run import default_folder

        question = {
            **asked,
            "model": self.opened.description,
            "sources": self.opened.sources,
            "images": provenance.tensors(self.split.images, self.split.labels),
            "device": device.type,
            "code": provenance.code(),
        }
        return default_folder(RUNS, self._name + purpose, question)

    @property
    def _name(self) -> str:
        """Fit for a folder: ``net-make`` of ``models/net.py:make``."""
        name = Path(self.opened.description["spec"]).name
        stem, _, factory = name.rpartition(":")
        words = f"{stem.removesuffix('.py')}-{factory}" if stem else Path(name).stem
        return "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in words)


@dataclass(frozen=True)
class SubjectOptions:
    """What ``SUBJECT_OPTIONS`` were given."""

    models: ModelOptions
    classes: Path | None
    force: bool
    dataset: str | None
    input_size: str | None
    images: int
    data_dir: Path | None

    @classmethod
    def of(cls, **given: Any) -> SubjectOptions:
        """From the options as Typer gives them."""
        of_model = {field.name: given.pop(field.name) for field in fields(ModelOptions)}
        return cls(ModelOptions.of(**of_model), **given)

    def open(self) -> Subject:
        """The model and its images.

        Raises:
            InputError: one of them is missing, broken, or does not fit the other.
        """
        self.models.check()
        from advtool import checkpoints, models

        opened, title = self.models.open()
        header = opened.header
        split, indices = self._images(opened)
        if header is not None:
            models.check_images(header.architecture, split.shape)
        card = None if header is None else checkpoints.describe(Path(opened.description["spec"]), header)
        return Subject(opened, split, indices.tolist(), card, title, self.force)

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
        count = None if self.images == ALL else self.images
        try:
            split, indices = data.load_first(name, "test", count, self.data_dir, input_size=size)
        except InputError as error:
            hint = "" if self.dataset else " (the checkpoint's data set; --dataset names another)"
            raise InputError(f"{error}{hint}") from None
        if self.classes is not None:
            split = split.relabelled(data.read_classes(self.classes))
        return split, indices
