"""The finished shards of a run on disk: a JSON file for each stage and shard, with a checksum. See :mod:`.run`."""

import hashlib
import json
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

from advtool import documents
from advtool.checkpoints import SUFFIX
from advtool.errors import InputError
from advtool.evaluation import examples
from advtool.evaluation.examples import EXAMPLES
from advtool.evaluation.shard import ShardRecord
from advtool.files import read_bytes, write_atomically
from advtool.results import CLEAN

SHARDS = "shards"
SHARD_FILE = re.compile(r"(\d+)-.*-(\d+)\.json")
"""The name of a shard's file; its groups are the position of the stage and the number of the shard."""


class ShardsFound(NamedTuple):
    """What a run's folder holds of its shards."""

    records: dict[tuple[int, int], ShardRecord]
    """by the position of the stage (0 is clean) and the number of the shard"""
    damaged: frozenset[str]
    """names of files"""


def read(
    folder: Path,
    configuration: dict[str, Any],
    names: str = "*.json",
    *,
    known: Collection[tuple[int, int]] = (),
    with_examples: Collection[str] = (),
) -> ShardsFound:
    """Read the shards of a run. Nothing is written.

    Args:
        folder: of the run.
        configuration: of the run; a record of another stage, or of another number of images, is damaged.
        names: a pattern; other files are not read.
        known: positions and numbers of shards that are not read again.
        with_examples: the labels of attacks whose shards are not finished without their adversarial examples.

    Raises:
        InputError: a folder is where a file belongs.
    """
    records, damaged = dict[tuple[int, int], ShardRecord](), set[str]()
    for path in (folder / SHARDS).glob(names):
        matched = SHARD_FILE.fullmatch(path.name)
        if matched is None or (place := (int(matched[1]), int(matched[2]))) in known:
            continue
        if path.is_dir():
            raise InputError(f"'{path}' is a folder where a file of the run belongs: remove it")
        try:
            record = _read(path)
            if not _fits(record, place[0], path, configuration):
                raise ValueError("it is that of another place")
            if record.stage in with_examples:
                kept = folder / EXAMPLES / f"{path.stem}{SUFFIX}"
                if not kept.exists():
                    continue
                examples.read(kept)
        except (ValueError, KeyError, TypeError, OSError, InputError):
            damaged.add(path.name)
            continue
        records[place] = record
    return ShardsFound(records, frozenset(damaged))


def write(folder: Path, position: int, record: ShardRecord) -> None:
    """Write the record of a shard, in the stage at ``position``, into the folder of its run: the whole file or none.

    Raises:
        InputError: the file cannot be written.
    """
    content = record.model_dump(mode="json")
    document = {"sha256": checksum(content), "record": content}
    write_atomically(folder / SHARDS / f"{name(position, record)}.json", (json.dumps(document) + "\n").encode())


def name(position: int, record: ShardRecord) -> str:
    """The name of the shard's files, without what follows the dot: ``1-fgsm-0000``."""
    slug = re.sub(r"[^A-Za-z0-9]+", "-", record.stage).strip("-")[:60].lower()
    return f"{position}-{slug}-{record.shard:04d}"


def checksum(value: Any) -> str:
    """SHA-256 of plain JSON data, in hexadecimal digits."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _read(path: Path) -> ShardRecord:
    document = documents.parse(read_bytes(path, documents.MOST_BYTES))
    if document["sha256"] != checksum(document["record"]):
        raise ValueError("its checksum differs")
    return ShardRecord.model_validate(document["record"])


def _fits(record: ShardRecord, position: int, path: Path, configuration: dict[str, Any]) -> bool:
    """Whether the record is of the file's name, of the stage at this position, and of as many images as the shard."""
    images, size = configuration["dataset"]["images"], configuration["images_a_shard"]
    stage = [CLEAN, *configuration["attacks"]][position : position + 1]
    return (
        path.stem == name(position, record)
        and stage == [record.stage]
        and record.images == min(size, images - record.shard * size)
    )
