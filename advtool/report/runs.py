"""The runs of a folder, a line each, and how to go on with those that stopped."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePath

from advtool.checkpoints import SUFFIX
from advtool.report.table import Column, Reader, Row, Table, Unit
from advtool.report.units import COUNT, WORDS
from advtool.results import ListedRun, Runs

DATE = Unit(lambda date: f"{date:%Y-%m-%d}")

COLUMNS = (
    Column("run", "run", WORDS),
    Column("model", "model_name", WORDS, Reader.PEOPLE),
    Column("", "model", WORDS, Reader.PROGRAM),
    Column("data set", "dataset", WORDS),
    Column("", "attacks", WORDS, Reader.PROGRAM),
    Column("state", "state", COUNT),
    Column("parts", "done", COUNT, Reader.PEOPLE),
    Column("", "shards", COUNT, Reader.PROGRAM),
    Column("", "shards_in_all", COUNT, Reader.PROGRAM),
    Column("", "images", COUNT, Reader.PROGRAM),
    Column("", "eps", COUNT, Reader.PROGRAM),
    Column("", "seed", COUNT, Reader.PROGRAM),
    Column("begun", "created", DATE),
    Column("attacks", "attacks", WORDS, Reader.PEOPLE),
    Column("", "resume", WORDS, Reader.PROGRAM),
)
FOR_PROGRAMS = tuple(replace(column, reader=column.reader & Reader.PROGRAM) for column in COLUMNS)
"""Of no runs people see no headings."""


def table(result: Runs) -> Table:
    """A line for each run; the commands below go on with the runs that stopped."""
    return Table(
        columns=COLUMNS if result.runs else FOR_PROGRAMS,
        rows=tuple(Row(_values(run), kind=run.state) for run in result.runs),
        commands=tuple(run.resume for run in result.runs if run.resume is not None),
        notes=tuple(_notes(result)),
        folded=False,
    )


def _values(run: ListedRun) -> dict[str, object]:
    done = None if run.shards is None else f"{run.shards}/{run.shards_in_all}"
    name = None if run.model is None else PurePath(run.model).name.removesuffix(SUFFIX)
    return {**vars(run), "attacks": ", ".join(run.attacks), "model_name": name, "done": done}


def _notes(result: Runs) -> Iterator[str]:
    if not result.runs:
        yield f"no runs in '{result.folder}'"
    if elsewhere := [run.run for run in result.runs if run.state == "stopped" and run.resume is None]:
        which = "begun in Python, by a sweep or by an older version, or without a whole command.json"
        yield f"{which}; what began them goes on with them: {', '.join(elsewhere)}"
    if damaged := [run.run for run in result.runs if run.state == "damaged"]:
        yield f"the manifest cannot be read, so nothing goes on with them: {', '.join(damaged)}"
