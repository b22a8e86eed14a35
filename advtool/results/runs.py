"""The runs in a folder: the document ``advtool.runs/1``."""

from typing import Literal

from pydantic import AwareDatetime, Field

from advtool.results.record import Document, Record

State = Literal["finished", "going on", "stopped", "damaged"]


class ListedRun(Record):
    """A run, as far as its folder tells what it is. What the folder does not tell is null."""

    run: str
    """its folder"""
    state: State
    """``going on``: a process of this machine computes it; ``damaged``: its manifest cannot be read"""
    model: str | None = None
    """as the user named it"""
    dataset: str | None = None
    images: int | None = None
    eps: float | None = Field(default=None, allow_inf_nan=False)
    seed: int | None = None
    attacks: list[str] = []
    """attacks and suites as they were asked for"""
    shards: int | None = None
    """how many parts are there: each stage on each shard is one"""
    shards_in_all: int | None = None
    """how many parts the run has"""
    created: AwareDatetime | None = None
    resume: str | None = None
    """the command that goes on with a stopped run; null where the command line cannot"""


class Runs(Document):
    """The runs of a folder and of the folders in it. ``to_dict`` is the JSON document of ``advtool runs``."""

    schema_name: Literal["advtool.runs/1"] = Field(default="advtool.runs/1", alias="schema")
    folder: str
    runs: list[ListedRun]
