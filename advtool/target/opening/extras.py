"""Import packages that only some kinds of MODEL need (extras)."""

import importlib
import importlib.metadata
from typing import Any

from advtool.errors import InputError
from advtool.target.opening.user_code import one_line


def required(package: str, extra: str) -> Any:
    """Import a package of an extra.

    Args:
        package: its name.
        extra: the extra of advtool that installs it.

    Returns:
        The imported module.

    Raises:
        InputError: the package is absent (the message says how to install it), or its import fails.
    """
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        raise InputError(f"this kind of MODEL needs {package}: pip install 'advtool[{extra}]'") from None
    with one_line(f"importing {package} failed"):
        return importlib.import_module(package)
