"""A result as one JSON document (``advtool.eval/1``, ``advtool.sweep/1``)."""

import json

from advtool.results import Evaluation, Sweep


def render(result: Evaluation | Sweep) -> str:
    """The document, indented."""
    return json.dumps(result.to_dict(), indent=2, allow_nan=False) + "\n"
