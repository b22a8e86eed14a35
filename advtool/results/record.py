"""The base classes of results: typed data that cannot be changed, and plain JSON on request."""

from typing import Any, ClassVar

from pydantic import (
    BaseModel,
    ConfigDict,
    GetJsonSchemaHandler,
    SerializerFunctionWrapHandler,
    model_serializer,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from advtool import docstrings

Interval = tuple[float, float]
"""The lower and the upper end of a 95 % interval."""


class Record(BaseModel):
    """Frozen data with known fields only."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    optional: ClassVar[frozenset[str]] = frozenset()
    """names of fields that the document leaves out if they are None"""

    @model_serializer(mode="wrap")
    def _leave_out_none(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        left_out = self.left_out()
        return {key: value for key, value in handler(self).items() if value is not None or key not in left_out}

    @classmethod
    def left_out(cls) -> frozenset[str]:
        """The names of the fields that the document leaves out if they are None."""
        return cls.optional

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Pydantic's schema, with the fields that a document always has as the required ones, and what each means."""
        reference = handler(core)
        schema = handler.resolve_ref_schema(reference)
        keys = {name: field.alias or name for name, field in cls.model_fields.items()}
        schema["required"] = [key for name, key in keys.items() if name not in cls.left_out()]
        for home in reversed(cls.__mro__):
            for name, meaning in docstrings.attributes(home).items() if issubclass(home, Record) else ():
                if name in keys:
                    schema["properties"][keys[name]]["description"] = meaning
        return reference


class SparseRecord(Record):
    """A record whose document leaves out the fields that are None."""

    @classmethod
    def left_out(cls) -> frozenset[str]:
        """The fields that are None by default. One that may be None and has no default is always there."""
        return frozenset(name for name, field in cls.model_fields.items() if field.default is None)


class Document(Record):
    """A result that is one JSON document, such as ``advtool.eval/1``."""

    def to_dict(self) -> dict[str, Any]:
        """The document as plain Python data, ready for :func:`json.dumps`."""
        return self.model_dump(mode="json", by_alias=True)
