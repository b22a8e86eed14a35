"""What docstrings say, for lists of attacks and models: the declaration is the only place that says it."""

import ast
import inspect
import re
import textwrap
from itertools import pairwise
from typing import Any

SOURCE = "Source: "
"""Begins the paragraph of a docstring that names the paper."""
ROLE = re.compile(r":\w+:`~?(?:[\w.]*\.)?(\w+)`|``([^`]*)``|`([^`]*)`")
"""What marks a name or code in a docstring."""


def purpose(thing: Any) -> str:
    """The first paragraph of the docstring of a class or function, in one line; empty if it has none."""
    return _paragraphs(thing)[0]


def source(thing: Any) -> str | None:
    """The paper that the docstring of a class or function names in a paragraph ``Source: ...``."""
    named = (each.removeprefix(SOURCE) for each in _paragraphs(thing) if each.startswith(SOURCE))
    return next(named, None)


def attributes(cls: type) -> dict[str, str]:
    """The text below each attribute in the body of a class, in one line, by name.

    Python forgets it, so the source is read; a class without a file has none.
    """
    try:
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    except (OSError, TypeError, SyntaxError):
        return {}
    body = tree.body if isinstance(tree, ast.ClassDef) else []
    return {
        ast.unparse(line.target if isinstance(line, ast.AnnAssign) else line.targets[0]): _plain(str(below.value.value))
        for line, below in pairwise(body)
        if isinstance(line, ast.Assign | ast.AnnAssign)
        and isinstance(below, ast.Expr)
        and isinstance(below.value, ast.Constant)
    }


def _paragraphs(thing: Any) -> list[str]:
    return [_plain(each) for each in (inspect.getdoc(thing) or "").split("\n\n")]


def _plain(text: str) -> str:
    """The text in one line, without marks."""
    return ROLE.sub(lambda found: found[1] or found[2] or found[3], " ".join(text.split()))
