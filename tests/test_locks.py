"""Locks end with the process that holds them, and a lock file that was removed holds nobody off."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from advtool import files, locks
from advtool.errors import InputError
from tests.support.waiting import wait_for

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no such locks")


def test_a_forked_process_does_not_hold_the_lock_of_its_parent(tmp_path: Path) -> None:
    """Workers of a model may outlive a killed process."""
    path, report = tmp_path / "claim", tmp_path / "child"
    holder = os.fork()
    if not holder:
        with locks.alone(path):
            child = os.fork()
            if not child:
                time.sleep(600)
                os._exit(0)
            report.write_text(str(child))
            time.sleep(600)
    try:
        wait_for(lambda: report.exists() and report.read_text())
        assert locks.is_held(path)
        os.kill(holder, signal.SIGKILL)
        os.waitpid(holder, 0)
        assert not locks.is_held(path)
    finally:
        os.kill(int(report.read_text()), signal.SIGKILL)


def test_one_holds_the_lock_and_the_other_is_told(tmp_path: Path) -> None:
    path, told = tmp_path / "deep" / "claim", []
    with locks.alone(path) as first, locks.alone(path) as second:
        assert (first, second) == (True, False)
        assert locks.is_held(path)
    assert not locks.is_held(path)
    holder = locks.alone(path)
    holder.__enter__()

    def release() -> None:
        told.append("waits")
        holder.__exit__(None, None, None)

    with locks.alone(path, waits=release) as ours:
        assert ours
    assert told == ["waits"]


def test_a_lock_file_that_its_holder_removes_holds_nobody_off(tmp_path: Path) -> None:
    """Who waited for the removed file must not work beside who locks the new one."""
    path = tmp_path / "claim"
    holder = locks.alone(path)
    holder.__enter__()

    def release() -> None:
        path.unlink()
        holder.__exit__(None, None, None)

    with locks.alone(path, waits=release) as ours, locks.alone(path) as other:
        assert (ours, other) == (True, False)


def test_the_folder_of_a_lock_survives_a_power_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(files, "_sync_folder", synced.append)
    with locks.alone(tmp_path / "new" / "deep" / "claim"):
        assert synced == [tmp_path, tmp_path / "new"]


def test_a_link_is_not_locked(tmp_path: Path) -> None:
    (tmp_path / "claim").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="cannot write"), locks.alone(tmp_path / "claim"):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_a_read_only_lock_file_shows_who_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "claim"
    with locks.shared(path):
        path.chmod(0o444)
        assert locks.is_held(path)
    assert not locks.is_held(path)
