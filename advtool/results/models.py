"""The models that can be named: the document ``advtool.models/1``."""

from typing import Literal

from pydantic import Field

from advtool.results.record import Document, Record


class ArchitectureInfo(Record):
    """A network that ``advtool train`` trains."""

    name: str
    purpose: str
    """what it is, in a line"""
    source: str | None
    """the paper"""
    smallest_side: int
    """of an image that it takes, in pixels"""


class ModelKind(Record):
    """A way to name a model."""

    written: str
    """how MODEL is written, e.g. ``timm:NAME``"""
    what: str
    weights: str
    """what ``--weights`` may be: nothing, as it has its weights inside; a file; or a file or DEFAULT"""
    takes_arguments: bool
    """whether ``--model-args`` gives arguments to its factory"""
    extra: str | None
    """the extra of advtool that it needs; None if it needs none"""
    installed: bool
    """whether all that it needs is there"""


class Models(Document):
    """Architectures and kinds of MODEL. ``to_dict`` is the JSON document of ``advtool models``."""

    schema_name: Literal["advtool.models/1"] = Field(default="advtool.models/1", alias="schema")
    architectures: list[ArchitectureInfo]
    kinds: list[ModelKind]
