"""The field's checklists, answered from one evaluation: the document ``advtool.checklist/1``."""

from collections import Counter
from typing import Any, Literal

from pydantic import Field

from advtool.results.evaluation import DatasetInfo
from advtool.results.record import Document, SparseRecord
from advtool.threat import ThreatModel

Status = Literal["done", "not done", "not applicable", "left to you"]
"""``left to you``: no run can answer it."""


class ChecklistItem(SparseRecord):
    """One item of one list, and the run's answer."""

    source: str
    """the paper"""
    section: str
    """where the paper explains the item"""
    list: str
    """the list of the paper that the item is on"""
    item: str
    """what it asks for, in few words"""
    status: Status
    answer: str
    """what was done, with its figure; or what is missing"""
    findings: tuple[str, ...] = ()
    """the codes of the run's warnings that speak against the model or the attack here"""
    command: str | None = None
    """what would do it"""


class Checklist(Document):
    """What the run answers of each checklist, in the order of the papers. ``to_dict`` is the JSON document."""

    schema_name: Literal["advtool.checklist/1"] = Field(default="advtool.checklist/1", alias="schema")
    checkpoint: dict[str, Any] | None
    model: dict[str, Any] = Field(default_factory=dict)
    dataset: DatasetInfo
    threat_model: ThreatModel
    seed: int
    eot: int
    votes: int
    items: list[ChecklistItem]

    @property
    def counts(self) -> Counter[Status]:
        """How many items have each status."""
        return Counter(item.status for item in self.items)
