"""A group of settings as one dataclass: signatures and docstrings come from its fields."""

import functools
import inspect
import re
import textwrap
from collections.abc import Callable
from dataclasses import Field, field, fields
from typing import Any, TypeVar

Result = TypeVar("Result")


def setting(default: Any, help: str, **words: Any) -> Any:
    """A field of a dataclass of settings.

    Args:
        default: its value if nobody sets it.
        help: what it means, in a sentence that the command line and Python's help share.
        words: what else the command line needs: ``metavar``, ``min``, ``shown_default``, ``flag``.
    """
    return field(default=default, metadata={"help": help, **words})


def with_settings(cls: type) -> Callable[[Callable[..., Result]], Callable[..., Result]]:
    """Let a function take the fields of ``cls`` as keyword arguments.

    The function itself is called with one argument ``settings``, an object of ``cls``. Its signature shows the fields
    instead, and so does its docstring.
    """
    known = {each.name: each for each in fields(cls)}

    def decorate(function: Callable[..., Result]) -> Callable[..., Result]:
        @functools.wraps(function)
        def call(*args: Any, settings: Any = None, **given: Any) -> Result:
            chosen = {name: given.pop(name) for name in known if name in given}
            return function(*args, settings=settings or cls(**chosen), **given)

        call.__signature__ = _with_fields(function, known)  # type: ignore[attr-defined]
        call.__doc__ = _documented(function.__doc__ or "", known)
        return call

    return decorate


def _with_fields(function: Callable[..., Any], known: dict[str, Field[Any]]) -> inspect.Signature:
    signature = inspect.signature(function)
    parameters: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        if parameter.name == "settings":
            parameters += [
                inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=each.default, annotation=each.type)
                for name, each in known.items()
            ]
        else:
            parameters.append(parameter)
    return signature.replace(parameters=parameters)


def _documented(text: str, known: dict[str, Field[Any]]) -> str:
    """``text`` with a line for each field instead of its line about ``settings``."""
    lines = [f"{name}: {each.metadata['help']}" for name, each in known.items()]
    wrapped = ["\n".join(textwrap.wrap(line, 108, subsequent_indent=" " * 4)) for line in lines]
    return re.sub(r" +settings: .*", lambda _: textwrap.indent("\n".join(wrapped), " " * 8), text, count=1)
