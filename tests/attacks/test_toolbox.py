"""ART makes its configuration at its first import in a home, where other processes may import it too."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ANOTHER_PROCESS = """
import os
exists = os.path.exists
def look(path):  # another process makes the file just after this one has looked for it
    if exists(path) or not str(path).endswith("config.json"):
        return exists(path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    open(path, "w").close()
    return False
os.path.exists = look
"""
IMPORT = "from advtool.attacks import PGD; from art import config; print(config.ART_DATA_PATH)"


@pytest.mark.parametrize("meanwhile", ["", ANOTHER_PROCESS], ids=["a killed process left half", "at the same moment"])
def test_arts_configuration_is_whole_whoever_imports_it_too(meanwhile: str, tmp_path: Path) -> None:
    file = tmp_path / ".art" / "config.json"
    if not meanwhile:
        file.parent.mkdir()
        file.touch()
    done = subprocess.run(
        [sys.executable, "-c", meanwhile + IMPORT],
        env=os.environ | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == json.loads(file.read_text())["ART_DATA_PATH"] == str(tmp_path / ".art" / "data")
