"""Views of results. Nothing is computed here: a result becomes a :class:`Table`, and each format writes any table.

A new format is a function from a result, mostly its table, to text, and a line in ``FORMATS``. A new result is a file
with a function ``table`` and a line in ``TABLES``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from advtool.report import as_csv, as_json, as_jsonl, as_markdown, as_text
from advtool.report.as_json import Document
from advtool.report.table import Table

TABLES = {
    "Attacks": "attacks",
    "Card": "card",
    "Check": "check",
    "Checklist": "checklist",
    "Comparison": "comparison",
    "DataSets": "data_sets",
    "EotSweep": "sweep",
    "EpsSweep": "sweep",
    "Evaluation": "evaluation",
    "Models": "models",
    "PerImageSweep": "smallest_eps",
    "RangeTest": "lr_range",
    "Reproduced": "reproduction",
    "Reproductions": "reproductions",
    "Runs": "runs",
    "Score": "score",
    "SeedsEvaluation": "seeds",
    "SideBySide": "side_by_side",
}
"""The module that makes the table of a result, by the name of the result's class.

They are names, since the command line reads ``FORMATS`` for its help, and the classes of the results import torch.
"""


def to_table(result: Document) -> Table:
    """The table of any result that ``TABLES`` names."""
    module = import_module(f"advtool.report.{TABLES[type(result).__name__]}")
    table: Table = module.table(result)
    return table


def _of_table(write: Callable[[Table], str]) -> Callable[[Document], str]:
    return lambda result: write(to_table(result))


def _lines(result: Document) -> str:
    return as_jsonl.render(result.to_lines() if isinstance(result, as_jsonl.Lines) else as_jsonl.rows(to_table(result)))


@dataclass(frozen=True)
class Format:
    """How a result is written; called with a result it gives the text.

    Args:
        write: the result as text.
        has_notes: whether it shows what stands beside the figures, such as the warnings of a run. Otherwise the command
            line tells it on stderr.
    """

    write: Callable[[Document], str]
    has_notes: bool = True

    def __call__(self, result: Document) -> str:
        """The result as text."""
        return self.write(result)


FORMATS = {
    "table": Format(_of_table(as_text.render)),
    "json": Format(as_json.render),
    "jsonl": Format(_lines, has_notes=False),
    "csv": Format(_of_table(as_csv.render), has_notes=False),
    "markdown": Format(_of_table(as_markdown.render)),
}
"""How a result is written, by the name that ``--format`` takes."""

__all__ = ["FORMATS", "TABLES", "Document", "Format", "Table", "to_table"]
