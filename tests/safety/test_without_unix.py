"""Evaluations where the system lacks what Windows lacks: ``resource``, ``fcntl``, and folders that can be opened."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Command

HIDING = """
import os, sys
sys.modules["resource"] = sys.modules["fcntl"] = None  # an import of them raises ImportError
opened = os.open
def only_files(path, *arguments, **options):
    if os.path.isdir(path):
        raise PermissionError(13, "Permission denied", str(path))
    return opened(path, *arguments, **options)
os.open = only_files
for name in ("O_NONBLOCK", "O_NOFOLLOW", "O_DIRECTORY", "O_CLOEXEC"):
    if hasattr(os, name):
        delattr(os, name)
"""
MAIN = HIDING + "from advtool.cli import main\nmain()\n"


@pytest.mark.slow
def test_advtool_evaluates_without_what_windows_lacks(
    advtool_command: Command, digits_checkpoint: Path, tmp_path: Path
) -> None:
    asked = (
        "eval",
        str(digits_checkpoint),
        *("--attack", "fgsm"),
        *("--images", "20"),
        "--no-certify",
        "--run-dir",
        "r",
    )
    command = [sys.executable, "-c", MAIN, *asked]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    assert "worst case" in done.stdout
    assert "peak memory" not in done.stderr
    assert (tmp_path / "r" / "result.json").is_file()
