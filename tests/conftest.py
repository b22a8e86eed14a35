"""What every test shares: one thread a process, the real command, a trained checkpoint, real data where it is."""

import os

# Workers of pytest-xdist and the commands they start would fight over the cores; and answers that are compared
# bit for bit need one thread count. Before torch is imported.
os.environ["OMP_NUM_THREADS"] = "1"

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from advtool.data import Split, load

torch.set_num_threads(1)


class Command:
    """The real command line, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(
        self, *arguments: str | Path, check: bool = True, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "advtool", *map(str, arguments)],
            cwd=self.folder,
            env={**os.environ, "COLUMNS": "80", **environment},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        if check:
            assert done.returncode == 0, done.stderr
        return done

    def refused(self, *arguments: str | Path, **environment: str) -> str:
        """The one line on stderr of a command that must end with code 2, an empty stdout and no traceback."""
        done = self(*arguments, check=False, **environment)
        assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
        assert done.stdout == ""
        assert len(done.stderr.splitlines()) == 1, done.stderr
        return done.stderr


@pytest.fixture
def advtool_command(tmp_path: Path) -> Command:
    """``advtool`` in an empty folder."""
    return Command(tmp_path)


@pytest.fixture(scope="session")
def digits_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LeNet trained for a few epochs on digits at eps 0.1, through the real command."""
    folder = tmp_path_factory.mktemp("checkpoint")
    path = folder / "model.safetensors"
    Command(folder)("train", "both", "--epochs", "12", "--eps", "0.1", "--output", path)
    return path


@pytest.fixture(scope="session")
def digits() -> Split:
    """The training images of digits."""
    return load("digits", "train")


@pytest.fixture
def tiny() -> Split:
    """40 random images of 8x8 pixels in three classes."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (40, 1, 8, 8), dtype=torch.uint8, generator=generator)
    return Split("tiny", ("a", "b", "c"), images, torch.arange(40) % 3)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data sets."""
    folder = os.environ.get("ADVTOOL_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("ADVTOOL_DATA does not name a folder with real data")
    return Path(folder)
