"""Views of results: nothing is computed here, only shown. A new format is a file and a line in ``FORMATS``."""

from collections.abc import Callable

from advtool.report import check, comparison, csv, json, markdown, reproduction, score, seeds, sweep, table
from advtool.results import Check, Comparison, Evaluation, Reproduced, Score, SeedsEvaluation, Sweep

FORMATS: dict[str, Callable[[Evaluation], str]] = {
    "table": table.render,
    "json": json.render,
    "csv": csv.render,
    "markdown": markdown.render,
}

CHECK_FORMATS: dict[str, Callable[[Check], str]] = {"table": check.render, "json": json.render}

COMPARISON_FORMATS: dict[str, Callable[[Comparison], str]] = {
    "table": comparison.as_text,
    "json": json.render,
    "csv": comparison.as_csv,
    "markdown": comparison.as_markdown,
}

REPRODUCTION_FORMATS: dict[str, Callable[[Reproduced], str]] = {
    "table": reproduction.as_text,
    "json": json.render,
    "markdown": reproduction.as_markdown,
}

SCORE_FORMATS: dict[str, Callable[[Score], str]] = {
    "table": score.as_text,
    "json": json.render,
    "csv": score.as_csv,
    "markdown": score.as_markdown,
}

SEEDS_FORMATS: dict[str, Callable[[SeedsEvaluation], str]] = {
    "table": seeds.as_text,
    "json": json.render,
    "csv": seeds.as_csv,
    "markdown": seeds.as_markdown,
}

SWEEP_FORMATS: dict[str, Callable[[Sweep], str]] = {
    "table": sweep.as_text,
    "json": json.render,
    "csv": sweep.as_csv,
    "markdown": sweep.as_markdown,
}

__all__ = [
    "CHECK_FORMATS",
    "COMPARISON_FORMATS",
    "FORMATS",
    "REPRODUCTION_FORMATS",
    "SCORE_FORMATS",
    "SEEDS_FORMATS",
    "SWEEP_FORMATS",
]
