"""Finds the runs in a folder, and tells how far each is. Nothing is written, and no shard is read."""

import os
from collections.abc import Iterator
from math import ceil
from pathlib import Path
from typing import Any

from advtool import arguments, documents, locks
from advtool.arguments import shown
from advtool.errors import InputError
from advtool.evaluation import command
from advtool.evaluation.command import Command
from advtool.evaluation.examples import EXAMPLES, SHOWN
from advtool.evaluation.manifest import IDENTITY, MANIFEST, Manifest
from advtool.evaluation.recognition import SURROGATE
from advtool.evaluation.run import CLAIMS, IMAGE_IDS, IMAGES, INSPECTION, LOCK, RESULT
from advtool.evaluation.settings import RUNS, Settings
from advtool.evaluation.shard_files import SHARD_FILE, SHARDS
from advtool.files import read_bytes
from advtool.printable import printable
from advtool.results import ListedRun, Runs
from advtool.results.runs import State


def list_runs(folder: Path | str = RUNS) -> Runs:
    """The runs in ``folder`` and in the folders below it, the newest first; a run's own folder gives that run.

    Links are not followed, and hidden folders are left out. A run that is damaged comes last.

    Raises:
        InputError: there is no such folder, and it is not ``RUNS``.
    """
    root = arguments.path(f"folder {shown(folder)}", folder)
    if not root.is_dir() and (root.exists() or root != RUNS):
        raise InputError(f"'{root}' is no folder: name one that holds runs, such as runs/ or a --run-dir")
    runs = [_listed(path) for path in _folders(root)]
    runs.sort(key=lambda run: (run.created is not None and run.created.timestamp(), run.run), reverse=True)
    return Runs(folder=printable(root), runs=runs)


def _folders(root: Path) -> Iterator[Path]:
    """The folders that hold a manifest of a run. There are no runs inside a run."""
    for path, inside, files in os.walk(root):
        if MANIFEST in files and is_run(Path(path)):
            inside.clear()
            yield Path(path)
        inside[:] = sorted(name for name in inside if not name.startswith("."))


def is_run(folder: Path) -> bool:
    """Whether the manifest is one of a run, or too damaged to say so; other programs write manifests too."""
    try:
        document = documents.parse(read_bytes(folder / MANIFEST, documents.MOST_BYTES))
    except (OSError, ValueError):
        return (folder / SHARDS).is_dir() or (folder / LOCK).exists()
    return isinstance(document, dict) and str(document.get("schema", "")).startswith("advtool.run/")


def owns(folder: Path, file: Path) -> bool:
    """Whether the run in ``folder`` writes that file. Others may put files of other names beside its own."""
    name, *inside = file.relative_to(folder).parts
    if inside:
        return name in (SHARDS, EXAMPLES, SHOWN, CLAIMS, documents.SEALS)
    return name in (MANIFEST, IDENTITY, SURROGATE, IMAGE_IDS, IMAGES, INSPECTION, RESULT, command.COMMAND, LOCK)


def _listed(folder: Path) -> ListedRun:
    try:
        return _read(folder)
    except (OSError, ValueError, KeyError, TypeError, ArithmeticError):
        return ListedRun(run=printable(folder), state="damaged")


def _read(folder: Path) -> ListedRun:
    manifest = Manifest.model_validate(documents.read(folder, MANIFEST))
    asked, began = manifest.configuration, _command(folder)
    data = asked["dataset"]
    in_all = ceil(data["images"] / asked["images_a_shard"]) * (1 + len(asked["stages"]))
    shards = min(_shards(folder), in_all)
    state = _state(folder, complete=shards == in_all)
    model = _model_of_result(folder) if began is None else began.model
    return ListedRun(
        run=printable(folder),
        state=state,
        model=None if model is None else printable(model),
        dataset=printable(data["name"]),
        images=data["images"],
        eps=asked["eps"],
        seed=asked["seed"],
        attacks=[printable(name) for name in _attacks(manifest)],
        shards=shards,
        shards_in_all=in_all,
        created=manifest.created,
        resume=printable(began.again(str(folder))) if began is not None and state == "stopped" else None,
    )


def _state(folder: Path, *, complete: bool) -> State:
    if complete and (folder / RESULT).is_file():
        return "finished"
    lock = folder / LOCK
    return "going on" if lock.is_file() and locks.is_held(lock) else "stopped"


def _command(folder: Path) -> Command | None:
    try:
        return command.read(folder)
    except InputError:
        return None


def _shards(folder: Path) -> int:
    names = (SHARD_FILE.fullmatch(path.name) for path in (folder / SHARDS).glob("*.json"))
    return len({name.groups() for name in names if name is not None})


def _attacks(manifest: Manifest) -> list[str]:
    """As they were asked for; of an older version the labels of the stages."""
    if manifest.asked is None:
        return list(manifest.configuration["attacks"])
    return list(manifest.asked.get("attacks", Settings.attacks))


def _model_of_result(folder: Path) -> Any:
    try:
        return documents.read(folder, RESULT)["model"]["spec"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
