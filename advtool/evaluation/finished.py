"""Finished runs: the answer and what became of each image, read without writing anything."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from pydantic import ValidationError

from advtool import arguments
from advtool.arguments import shown
from advtool.errors import InputError
from advtool.evaluation.run import CLEAN, IMAGE_IDS, Manifest, Run, ShardRecord, on_examples
from advtool.results import Evaluation

GO_ON = "the 'advtool eval' command that began it goes on with it"


@dataclass(frozen=True)
class FinishedRun:
    """A run whose every shard is there. All vectors are in the order of its images."""

    folder: Path
    manifest: Manifest
    result: Evaluation
    clean: list[bool]
    """classified right"""
    survives: dict[str, list[bool]]
    """by attack, in the order in which they ran: classified right, and not fallen to it. In a cascade a later attack
    was not asked about the images lost before, so these have not fallen to it"""
    on_examples: dict[str, list[bool]]
    """by one-step attack: the example that was made of the image, whatever it was before, is classified right"""
    image_ids: list[str] | None
    """a fingerprint of each image with its label; None in runs of versions that wrote none"""

    @property
    def full(self) -> list[str]:
        """The attacks that saw every image: in a cascade later ones see survivors only."""
        return [attack.name for attack in self.result.attacks if attack.accuracy is not None]

    @property
    def worst_case(self) -> list[bool]:
        """Which images survive every attack."""
        return [all(each) for each in zip(self.clean, *self.survives.values(), strict=True)]


def read_finished(folder: Path | str) -> FinishedRun:
    """Read a run that is complete.

    Args:
        folder: of the run, as ``advtool eval`` or ``advtool.evaluate(run_dir=...)`` wrote it.

    Raises:
        InputError: there is no run, it is not finished, or a file of it is damaged.
    """
    folder = arguments.path(f"run {shown(folder)}", folder)
    manifest, result = _read_answer(folder)
    run = Run(folder, manifest.configuration, manifest.environment)
    if run.damaged:
        raise InputError(f"run '{folder}': shard {run.damaged[0]} is damaged; {GO_ON}")
    shards = ceil(result.clean.total / manifest.configuration["images_a_shard"])
    clean = [right for record in _records(run, 0, CLEAN, shards) for right in record.survives]
    attacks = {
        attack.name: _records(run, position, attack.name, shards)
        for position, attack in enumerate(result.attacks, start=1)
    }
    survives = {name: _not_fallen(clean, records) for name, records in attacks.items()}
    examples = {name: correct for name, records in attacks.items() if (correct := on_examples(records))}
    return FinishedRun(folder, manifest, result, clean, survives, examples, _read_image_ids(folder))


def _read_answer(folder: Path) -> tuple[Manifest, Evaluation]:
    manifest, result = folder / "manifest.json", folder / "result.json"
    if not manifest.is_file():
        what = "holds no run" if folder.is_dir() else "is no folder"
        raise InputError(f"'{folder}' {what}: name a folder that 'advtool eval' wrote, under runs/ or at its --run-dir")
    if not result.is_file():
        raise InputError(f"run '{folder}' is not finished: {GO_ON}")
    try:
        return (
            Manifest.model_validate_json(manifest.read_bytes()),
            Evaluation.model_validate_json(result.read_bytes()),
        )
    except ValidationError as error:
        raise InputError(f"run '{folder}': its {_title(error)} is damaged, or of another version of advtool") from None


def _title(error: ValidationError) -> str:
    return "manifest.json" if error.title == "Manifest" else "result.json"


def _records(run: Run, position: int, name: str, shards: int) -> list[ShardRecord]:
    records: list[ShardRecord] = []
    for shard in range(shards):
        record = run.get(position, shard)
        if record is None or record.stage != name:
            raise InputError(f"run '{run.folder}': shard {shard} of '{name}' is missing; {GO_ON}")
        records.append(record)
    return records


def _not_fallen(clean: list[bool], records: Iterable[ShardRecord]) -> list[bool]:
    """Right, and survived the attack or was none of its images: then it has no step."""
    outcomes = ((left, step) for record in records for left, step in zip(record.survives, record.step, strict=True))
    return [right and (left or step is None) for right, (left, step) in zip(clean, outcomes, strict=True)]


def _read_image_ids(folder: Path) -> list[str] | None:
    try:
        return list(json.loads((folder / IMAGE_IDS).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
