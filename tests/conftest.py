"""What every test shares: one thread a process, the real command, a stored checkpoint, images of MNIST, real data."""

import os

# Workers of pytest-xdist and the commands they start would fight over the cores; and answers that are compared
# bit for bit need one thread count. Before torch is imported.
os.environ["OMP_NUM_THREADS"] = "1"

# No test reaches the network: whatever tries to, in this process or in a command, fails at once.
os.environ |= dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")

import signal
import subprocess
import sys
from pathlib import Path

import hypothesis
import pytest
import torch

import advtool.attacks.toolbox  # noqa: F401 - before a test imports ART, whose configuration two workers would spoil
from advtool.cli import main
from advtool.data import Split, available, cache_dir, load

torch.set_num_threads(1)
# A shell that starts the tests in the background has them ignore Ctrl-C, and the commands that they start too.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A machine may be busy, so no example has a deadline.
hypothesis.settings.register_profile("advtool", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("advtool")

FOLDER = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need the real data sets: ``-m data`` runs those alone."""
    for item in items:
        if "data_dir" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.data)


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


class InProcess(Command):
    """The same command line in this process, which has imported torch already: a new one takes seconds for that."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        super().__init__(folder)
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(
        self, *arguments: str | Path, check: bool = True, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        words = ["advtool", *map(str, arguments)]
        with self._monkeypatch.context() as changed:
            changed.chdir(self.folder)
            changed.setattr(sys, "argv", words)
            for name, value in {"COLUMNS": "80", **environment}.items():
                changed.setenv(name, value)
            with pytest.raises(SystemExit) as left:
                main()
        out, err = self._capsys.readouterr()
        done = subprocess.CompletedProcess(words, int(left.value.code or 0), out, err)
        if check:
            assert done.returncode == 0, done.stderr
        return done


@pytest.fixture
def advtool_command(tmp_path: Path) -> Command:
    """``advtool`` in an empty folder."""
    return Command(tmp_path)


@pytest.fixture
def advtool_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> InProcess:
    """``advtool`` in an empty folder, in this process."""
    return InProcess(tmp_path, monkeypatch, capsys)


@pytest.fixture(scope="session")
def digits_checkpoint() -> Path:
    """A LeNet trained on digits at eps 0.1, stored so that its weights are the same on every machine."""
    return FOLDER / "checkpoints" / "digits-lenet-both.safetensors"


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
def mnist() -> Split:
    """490 test images of MNIST: :func:`first_images` takes the same of them as of the whole data set."""
    return load("mnist", "test", FOLDER / "data_mnist")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of the real data sets, all of them: what is missing would be downloaded."""
    if not os.environ.get("ADVTOOL_DATA"):
        pytest.skip("ADVTOOL_DATA is not set: it names the folder of the real data sets")
    folder = cache_dir()
    if missing := [entry.name for entry in available(folder) if entry.cached is None]:
        pytest.skip(f"the folder of ADVTOOL_DATA, '{folder}', lacks {', '.join(missing)}")
    return folder


@pytest.fixture(scope="session")
def nets_dir() -> Path:
    """The folder of strangers' nets: ``ADVTOOL_NETS``, or ``shared/nets`` beside the repository."""
    folder = Path(os.environ.get("ADVTOOL_NETS") or Path(__file__).parents[2] / "shared" / "nets")
    if not (folder / "instances.json").is_file():
        pytest.skip("neither ADVTOOL_NETS nor ../shared/nets holds strangers' nets")
    return folder
