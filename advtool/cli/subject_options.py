"""What is evaluated, on which images and how hard: the options of every command that evaluates, and their meaning."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from advtool.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import nn

    from advtool.checkpoints import Header
    from advtool.data import Split

ALL = 0
CHECKPOINTS = Path("checkpoints")
RUNS = Path("runs")


def parse_images(text: str) -> int:
    """A count of images; ``all`` is 0."""
    if text == "all":
        return ALL
    if not text.isdecimal() or int(text) < 1:
        raise InputError(f"--images '{text}': write a number of at least 1, or 'all'")
    return int(text)


def attack_option(default: str) -> Any:
    """The option ``--attack``; ``default`` names what runs when it is left out."""
    return typer.Option(
        "--attack",
        metavar="NAME",
        help="fgsm, pgd, spsa, the suite 'paper' (these three) or 'audit' (a cascade of all), another of ours "
        "(pgd-margin, apgd, square, ...), or any attack of ART by its class, art:CLASS. Parameters go in brackets. "
        "Repeat for more.",
        show_default=default,
    )


CheckpointFile = Annotated[
    Path | None,
    typer.Option("--checkpoint", metavar="FILE", help="The model.", show_default="newest under checkpoints/"),
]
TestSet = Annotated[
    str | None,
    typer.Option("--dataset", metavar="NAME|PATH", help="Images to test on.", show_default="the checkpoint's"),
]
Images = Annotated[
    int,
    typer.Option(
        "--images",
        parser=parse_images,
        metavar="N|all",
        help="The first N of a fixed permutation of the test set.",
    ),
]
Eot = Annotated[
    int | None,
    typer.Option("--eot", min=1, metavar="N", help="Draws of a gradient.", show_default="1; random models 20"),
]
Votes = Annotated[
    int | None,
    typer.Option("--votes", min=1, metavar="N", help="Draws of a prediction.", show_default="1; random models 20"),
]
PgdSteps = Annotated[int, typer.Option("--pgd-steps", min=1, metavar="N", help="Gradient steps of PGD.")]
SpsaSteps = Annotated[int, typer.Option("--spsa-steps", min=1, metavar="N", help="Steps of SPSA.")]
SpsaSamples = Annotated[
    int,
    typer.Option("--spsa-samples", min=2, metavar="N", help="Evaluations a step of SPSA, even."),
]
RunDir = Annotated[
    Path | None,
    typer.Option(
        "--run-dir",
        metavar="DIR",
        help="Folder of the run: finished parts are kept there, and the same command goes on from them.",
        show_default="one under runs/ for each question",
    ),
]


@dataclass(frozen=True)
class Subject:
    """A checkpoint's model and the test images that it is held against."""

    path: Path
    header: Header
    model: nn.Module
    split: Split
    indices: list[int]
    """of the split's images in the data set's own order"""
    origin: dict[str, Any]
    """the checkpoint as a result describes it"""
    title: str
    """for people: the path, and that it is the newest one if nobody named it"""

    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of :func:`advtool.evaluate` that say what is evaluated."""
        from advtool.data import to_float
        from advtool.results import DatasetInfo

        return {
            "model": self.model,
            "images": to_float(self.split.images),
            "labels": self.split.labels,
            "indices": self.indices,
            "dataset": DatasetInfo(name=self.split.name, split="test", images=len(self.split)),
            "checkpoint": self.origin,
        }

    def surrogate(self, path: Path) -> nn.Module:
        """The model of another checkpoint for the same images and classes.

        Raises:
            InputError: it is broken, or made for other images or classes.
        """
        from advtool import checkpoints, models

        try:
            theirs, model = checkpoints.read_header(path).architecture, models.load_checkpoint(path)
        except InputError as error:
            raise InputError(f"--surrogate: {error}") from None
        ours = self.header.architecture
        if (theirs.input_shape, theirs.classes) != (ours.input_shape, ours.classes):
            raise InputError(
                f"--surrogate '{path}' takes images {theirs.input_shape} of {theirs.classes} classes, the model "
                f"{ours.input_shape} of {ours.classes}: name one that was trained for the same task"
            )
        return model

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
            "checkpoint": self.origin["sha256"],
            "images": provenance.tensors(self.split.images, self.split.labels),
            "device": device.type,
            "code": provenance.code(),
        }
        return default_folder(RUNS, self.path.stem + purpose, question)


def open_subject(checkpoint: Path | None, dataset: str | None, images: int, data_dir: Path | None) -> Subject:
    """The model of ``checkpoint`` (None: the newest one) and the first ``images`` of ``dataset`` (None: its own).

    Raises:
        InputError: one of them is missing, broken, or does not fit the other.
    """
    from advtool import checkpoints, data, models

    path = checkpoint or checkpoints.newest(CHECKPOINTS)
    header = checkpoints.read_header(path)
    model = models.load_checkpoint(path)
    try:
        test = data.load(dataset or header.dataset, "test", data_dir)
    except InputError as error:
        hint = "" if dataset else " (the checkpoint's data set; --dataset names another)"
        raise InputError(f"{error}{hint}") from None
    chosen = data.first_indices(test, None if images == ALL else images)
    split = test[chosen]
    models.check_images(header.architecture, split.shape)
    title = f"{'' if checkpoint else 'the newest checkpoint, '}{path}"
    return Subject(path, header, model, split, chosen.tolist(), checkpoints.describe(path, header), title)
