"""A result as one JSON document."""

import json
from typing import Any, Protocol


class Document(Protocol):
    """A result that is one JSON document, such as ``advtool.eval/1``."""

    def to_dict(self) -> Any:
        """The document as plain Python data."""


def render(result: Document) -> str:
    """The document, indented."""
    return json.dumps(result.to_dict(), indent=2, allow_nan=False) + "\n"
