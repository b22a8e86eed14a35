"""The JSON Schemas of the results, made of the classes that write them."""

from collections import defaultdict
from typing import Any, Union

from pydantic import BaseModel, TypeAdapter

from advtool.checkpoints import Header
from advtool.errors import InputError, near_match
from advtool.results.record import Document

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def documents() -> dict[str, list[type[BaseModel]]]:
    """The classes of the documents by the name in their schema: ``eval`` for ``advtool.eval/1``. Some share a name."""
    found: dict[str, list[type[BaseModel]]] = defaultdict(list)
    classes: list[type[BaseModel]] = [*_leaves(Document), Header]
    for cls in classes:
        name = str(cls.model_fields["schema_name"].default)
        found[name.removeprefix("advtool.").partition("/")[0]].append(cls)
    return dict(sorted(found.items()))


def json_schema(name: str | None = None) -> dict[str, Any]:
    """The JSON Schema of the documents called ``name``; None: of all, any of which it accepts.

    Raises:
        InputError: no document is called so; the nearest name is told.
    """
    known = documents()
    if name is not None and name not in known:
        raise InputError(f"no result is called '{name}'{near_match(name, known)}")
    classes = tuple(cls for key, each in known.items() if name in (None, key) for cls in each)
    title = "the results of advtool" if name is None else f"the result advtool.{name}"
    union: Any = Union[classes]  # noqa: UP007 - of a tuple
    schema: dict[str, Any] = _open(TypeAdapter(union).json_schema())
    return {"$schema": DIALECT} | schema | {"title": title}


def _open(schema: Any) -> Any:
    """The schema without its closed objects: another version may add keys."""
    if isinstance(schema, list):
        return [_open(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: _open(each) for key, each in schema.items() if (key, each) != ("additionalProperties", False)}


def _leaves(cls: type[Document]) -> list[type[Document]]:
    """The classes that documents are of, and not the classes that they share."""
    below = cls.__subclasses__()
    return [leaf for each in below for leaf in _leaves(each)] if below else [cls]
