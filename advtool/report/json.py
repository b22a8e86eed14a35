"""An evaluation as one JSON document (``advtool.eval/1``)."""

import json

from advtool.results import Evaluation


def render(evaluation: Evaluation) -> str:
    """The document, indented."""
    return json.dumps(evaluation.to_dict(), indent=2, allow_nan=False) + "\n"
