"""Import packages that only some kinds of MODEL need (extras)."""

import importlib
import importlib.metadata
from typing import Any

from advtool.errors import InputError
from advtool.target.opening.kinds import Kind
from advtool.target.opening.user_code import one_line


def required(kind: Kind) -> list[Any]:
    """Import the packages of the extra that a kind needs.

    Returns:
        The imported modules, in the order of ``kind.packages``.

    Raises:
        InputError: a package is absent (the message says how to install it), or its import fails.
    """
    modules = []
    for package in kind.packages:
        if not is_installed(package):
            raise InputError(f"this kind of MODEL needs {package}: pip install 'advtool[{kind.extra}]'")
        with one_line(f"importing {package} failed"):
            modules.append(importlib.import_module(package))
    return modules


def is_installed(package: str) -> bool:
    """Whether the package is there. It is not imported."""
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
