"""Reads finished runs: the answer, and the outcome of each image. Nothing is written."""

from dataclasses import dataclass
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, PositiveInt

from advtool import arguments, documents
from advtool.arguments import shown
from advtool.errors import InputError
from advtool.evaluation import examples, shard_files
from advtool.evaluation.examples import Examples
from advtool.evaluation.ledger import Ledger
from advtool.evaluation.manifest import MANIFEST, Manifest
from advtool.evaluation.run import IMAGE_IDS, IMAGES, RESULT
from advtool.evaluation.shard import ShardRecord
from advtool.evaluation.shard_files import ShardsFound
from advtool.results import CERTIFIED, CLEAN, Evaluation

HOW_TO_GO_ON = "the command that began it goes on with it"
MOST_BYTES_OF_LINES = 2**30
"""Of the lines about the images: a million images of a cascade."""


class ImagesAsked(BaseModel):
    """How many images a run has."""

    images: PositiveInt


class Plan(BaseModel):
    """What a reader needs of a run's configuration, which a stranger may have written."""

    images: str
    dataset: ImagesAsked
    attacks: dict[str, Any]


class Labelled(NamedTuple):
    """The images of a run, in its order."""

    labels: list[int]
    indices: list[int]
    """the index of each image in its data set"""


@dataclass(frozen=True)
class FinishedRun:
    """A run with all its shards."""

    folder: Path
    manifest: Manifest
    result: Evaluation
    """with its outcomes, without the probes"""
    image_ids: list[str] | None
    """a fingerprint of each image with its label; None if the run has no such file"""

    @property
    def attacks(self) -> list[str]:
        """The labels of the attacks, in the order in which they ran."""
        return [attack.name for attack in self.result.attacks]

    @property
    def full(self) -> list[str]:
        """The labels of the attacks that saw every image. The later attacks of a cascade see survivors only."""
        return [attack.name for attack in self.result.attacks if attack.accuracy is not None]

    def examples(self, kept: str) -> dict[str, list[Examples]]:
        """The verified examples that the run kept, by attack, a list over shards.

        Args:
            kept: the folder, ``EXAMPLES`` for all that were asked for, or ``SHOWN`` for the first of the run.

        Raises:
            InputError: a file is damaged, or holds examples of other images.
        """
        return {
            name: [self._read_examples(path) for path in sorted((self.folder / kept).glob(f"{position}-*"))]
            for position, name in enumerate(self.result.outcomes.stages)
            if name in self.attacks
        }

    def _read_examples(self, path: Path) -> Examples:
        found = examples.read(path)
        if (found.places >= len(self.result.outcomes)).any():
            raise InputError(f"'{path}' holds examples of images that run '{self.folder}' does not have")
        return found

    def labelled(self) -> Labelled:
        """The label of each image, and its index in the data set.

        Raises:
            InputError: the run's file of images is missing or damaged.
        """
        try:
            lines = _read_lines(self.folder)
            found = Labelled([int(line["label"]) for line in lines], [int(line["index"]) for line in lines])
        except (OSError, ValueError, KeyError, TypeError):
            raise InputError(f"run '{self.folder}': its {IMAGES} is missing or damaged; {HOW_TO_GO_ON}") from None
        if len(found.labels) != len(self.result.outcomes):
            raise InputError(f"run '{self.folder}': its {IMAGES} has not a line for each image; {HOW_TO_GO_ON}")
        return found


def read_finished(folder: Path | str) -> FinishedRun:
    """Read a run that is complete.

    Args:
        folder: the folder of the run, as ``advtool eval`` or ``advtool.evaluate(run_dir=...)`` wrote it.

    Raises:
        InputError: the folder holds no run, the run is not finished, or one of its files is damaged.
    """
    folder = arguments.path(f"run {shown(folder)}", folder)
    manifest, plan, result = _read_answer(folder)
    found = shard_files.read(folder, manifest.configuration)
    if found.damaged:
        raise InputError(f"run '{folder}': shard {min(found.damaged)} is damaged; {HOW_TO_GO_ON}")
    images, size = plan.dataset.images, manifest.images_a_shard
    one_step = [attack.name for attack in result.attacks if attack.accuracy_on_examples is not None]
    counted = {CERTIFIED, *(attack.name for attack in result.attacks)}
    stages = [label for label in plan.attacks if label in counted]  # the probes come last
    records = [  # all are there, so that the run really is as large as it says
        (position, shard * size, _record(folder, found, position, label, shard))
        for position, label in enumerate((CLEAN, *stages))
        for shard in range(ceil(images / size))
    ]
    ledger = Ledger(stages, images, one_step=one_step)
    for position, first, record in records:
        ledger.enter(position, first, record)
    result = result.with_outcomes(ledger.outcomes, partial(_read_lines, folder))
    return FinishedRun(folder, manifest, result, _read_image_ids(folder))


def _what(folder: Path) -> str:
    """Why the folder is no run."""
    if not folder.is_dir():
        return "is no folder"
    inside = [str(each.parent) for each in sorted(folder.glob(f"*/{MANIFEST}"))[:3]]
    return f"holds no run, but folders of runs such as {', '.join(inside)}" if inside else "holds no run"


def _read_answer(folder: Path) -> tuple[Manifest, Plan, Evaluation]:
    if not (folder / MANIFEST).is_file():
        raise InputError(f"'{folder}' {_what(folder)}: name a folder that 'advtool eval' wrote, e.g. at its --run-dir")
    if not (folder / RESULT).is_file():
        raise InputError(f"run '{folder}' is not finished: {HOW_TO_GO_ON}")
    name = MANIFEST
    try:
        manifest = Manifest.model_validate(documents.read(folder, name))
        plan = Plan.model_validate(manifest.configuration)
        name = RESULT
        result = Evaluation.model_validate(documents.read(folder, name))
        if result.clean.total != plan.dataset.images or not all(each.name in plan.attacks for each in result.attacks):
            raise ValueError("the answer is that of another run")
    except (ValueError, OSError):
        raise InputError(f"run '{folder}': its {name} is damaged, or another version of advtool wrote it") from None
    return manifest, plan, result


def _record(folder: Path, found: ShardsFound, position: int, label: str, shard: int) -> ShardRecord:
    record = found.records.get((position, shard))
    if record is None or record.stage != label:
        raise InputError(f"run '{folder}': shard {shard} of '{label}' is missing; {HOW_TO_GO_ON}")
    return record


def _read_lines(folder: Path) -> list[dict[str, Any]]:
    text = documents.read_text(folder, IMAGES, MOST_BYTES_OF_LINES)
    return [documents.parse(line) for line in text.splitlines()]


def _read_image_ids(folder: Path) -> list[str] | None:
    try:
        return list(documents.read(folder, IMAGE_IDS))
    except (OSError, ValueError, TypeError):
        return None
