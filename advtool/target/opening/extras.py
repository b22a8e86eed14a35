"""Packages that only some kinds need."""

import importlib
import importlib.metadata
from typing import Any

from advtool.errors import InputError
from advtool.target.opening.user_code import one_line


def required(package: str, extra: str) -> Any:
    """Import a package of an extra.

    Raises:
        InputError: it is absent (the line says how to install it), or its import fails.
    """
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        raise InputError(f"this kind of MODEL needs {package}: pip install 'advtool[{extra}]'") from None
    with one_line(f"importing {package} failed"):
        return importlib.import_module(package)
