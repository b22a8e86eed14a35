"""Figures for MLflow, Weights & Biases and other trackers: names and numbers, one level deep."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

FORBIDDEN = re.compile(r"[^\w.-]+")
"""What a tracker may refuse in a name, e.g. the brackets of ``pgd(steps=100)``."""


def flat(figures: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of nested figures, each named by its way: ``{"clean": {"total": 5}}`` is ``{"clean/total": 5.0}``.

    An interval is two numbers, ``interval_low`` and ``interval_high``. Texts, lists and None are left out.
    """
    return dict(_walk(figures))


def _walk(figures: Mapping[str, Any], *above: str) -> Iterator[tuple[str, float]]:
    for key, value in figures.items():
        way = (*above, FORBIDDEN.sub("_", key).strip("_"))
        if isinstance(value, Mapping):
            yield from _walk(value, *way)
        elif key == "interval" and value is not None:
            yield from _walk({"interval_low": value[0], "interval_high": value[1]}, *above)
        elif isinstance(value, int | float):
            yield "/".join(way), float(value)
