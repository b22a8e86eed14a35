"""The base classes of results: typed data that cannot be changed, and plain JSON on request."""

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

Interval = tuple[float, float]
"""The lower and the upper end of a 95 % interval."""


class Record(BaseModel):
    """Frozen data with known fields only."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    optional: ClassVar[frozenset[str]] = frozenset()
    """names of fields that the document leaves out if they are None"""

    @model_serializer(mode="wrap")
    def _leave_out_none(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in handler(self).items() if value is not None or key not in self.optional}


class SparseRecord(Record):
    """A record whose document leaves out the fields that are None."""

    @model_serializer(mode="wrap")
    def _leave_out_none(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in handler(self).items() if value is not None}


class Document(Record):
    """A result that is one JSON document, such as ``advtool.eval/1``."""

    def to_dict(self) -> dict[str, Any]:
        """The document as plain Python data, ready for :func:`json.dumps`."""
        return self.model_dump(mode="json", by_alias=True)
