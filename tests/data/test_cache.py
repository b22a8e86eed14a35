"""Where the cache is for users without a home folder."""

import tempfile
from pathlib import Path

import pytest

from advtool.data import available, cache_dir, load
from advtool.errors import InputError


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither HOME nor an entry in the system's list of users, as in a container with a user of its own."""

    def unknown(number: int) -> object:
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.setattr("pwd.getpwuid", unknown)
    for name in ("HOME", "XDG_CACHE_HOME", "ADVTOOL_DATA", "USERPROFILE"):
        monkeypatch.delenv(name, raising=False)


def test_without_a_home_folder_the_cache_is_a_temporary_one(homeless: None) -> None:
    assert cache_dir() == Path(tempfile.gettempdir()) / "advtool"
    assert next(entry.name for entry in available()) == "digits"
    assert len(load("digits", "test")) == 360


def test_a_path_in_the_home_folder_needs_one(homeless: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADVTOOL_DATA", "~/sets")
    with pytest.raises(InputError, match="'~/sets' begins with ~, but no home folder is known: give the whole path"):
        cache_dir()


def test_a_cache_that_may_not_be_seen_counts_as_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_file", forbidden)
    assert {entry.name for entry in available(tmp_path) if entry.cached} == {"digits"}
