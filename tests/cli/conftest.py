"""What tests of the command line share: a folder with a checkpoint, and the command line in this process."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import InProcess

TIMES = re.compile(r'"seconds": [0-9.e-]+')
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def here(tmp_path: Path, digits_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a checkpoint, and the present one."""
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "model.safetensors").write_bytes(digits_checkpoint.read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(here: Path, advtool_here: InProcess) -> Run:
    """Calls the command line in this process: exit code, stdout, stderr."""
    assert here == advtool_here.folder

    def call(*arguments: str) -> tuple[int, str, str]:
        done = advtool_here(*arguments, check=False)
        return done.returncode, done.stdout, done.stderr

    return call
