"""One evaluation with several seeds: the document ``advtool.eval-seeds/1``."""

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from advtool.results.evaluation import Evaluation
from advtool.results.record import Document, Record, SparseRecord


class Spread(Record):
    """One accuracy over several seeds."""

    mean: float
    standard_deviation: float
    """of the sample, with n - 1 in the denominator"""
    lowest: float
    highest: float


class AttackSpread(Spread):
    """Robust accuracy under one attack over several seeds."""

    name: str


class SeedsSummary(SparseRecord):
    """How much each accuracy varies with the seed. Attacks that saw survivors only are left out."""

    clean: Spread
    attacks: list[AttackSpread]
    effective_robustness: Spread | None
    worst_case: Spread
    certified: Spread | None = None
    """None if one of the evaluations proved nothing"""


class SeedsEvaluation(Document):
    """One evaluation with several seeds. ``to_dict`` is the JSON document of ``advtool eval --seeds``."""

    schema_name: Literal["advtool.eval-seeds/1"] = Field(default="advtool.eval-seeds/1", alias="schema")
    seeds: list[int]
    summary: SeedsSummary
    evaluations: list[Evaluation]
    """one for each seed, in the order of ``seeds``"""

    def to_lines(self) -> Iterator[dict[str, Any]]:
        """The outcome of every image with every seed, each line with its ``seed``."""
        for evaluation in self.evaluations:
            yield from ({"seed": evaluation.seed, **line} for line in evaluation.to_lines())
