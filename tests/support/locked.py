"""A file that may not be read, also where the tests run as root."""

from pathlib import Path
from typing import Any

import pytest


def lock(locked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ``Path.open`` refuse the file."""
    open_it = Path.open

    def refuse(path: Path, *arguments: Any, **options: Any) -> Any:
        if path == locked:
            raise PermissionError(13, "Permission denied", str(path))
        return open_it(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)
