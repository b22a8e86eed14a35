"""A full disk, and folders that nobody may write into: code 2, one line, and what was there stays."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import TIMES, Run, here, run
from tests.conftest import Command
from tests.support.serving import HOST, serving

__all__ = ["here", "run"]
EVAL = ("eval", *("--attack", "fgsm"), *("--images", "20"), "--no-certify", *("--format", "json"))
TRAIN = (
    "train",
    "clean",
    *("--arch", "cnn"),
    *("--epochs", "1"),
    *("--limit", "64"),
    "--output",
    "out/net.safetensors",
)
FULL = "No space left on device"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def fill(monkeypatch: pytest.MonkeyPatch, writes: int) -> None:
    """The disk is full after so many files."""
    left, fsync = [writes], os.fsync

    def full(descriptor: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, FULL)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)


@pytest.mark.parametrize("writes", [0, 3, 10, 14])
def test_a_run_on_a_full_disk_keeps_what_is_finished(
    writes: int, run: Run, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        fill(patch, writes)
        code, out, err = run(*EVAL, "--run-dir", "mine")
    assert (code, out) == (2, "")
    assert FULL in err.splitlines()[-1]
    assert err.splitlines()[-1].startswith("advtool: cannot write '")
    kept = {name: path for name, path in contents(here / "mine").items() if name.startswith("shards")}
    code, resumed, _ = run(*EVAL, "--run-dir", "mine")
    assert code == 0
    assert kept.items() <= contents(here / "mine").items(), "no finished shard is computed again"
    code, whole, _ = run(*EVAL, "--run-dir", "other")
    assert TIMES.sub("", resumed) == TIMES.sub("", whole)


def test_a_report_and_a_training_on_a_full_disk_leave_the_old_file(
    run: Run, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(*EVAL, "--run-dir", "mine")[0] == 0
    (here / "out").mkdir()
    for name in ("page.html", "net.safetensors"):
        (here / "out" / name).write_text("the old one")
    before = contents(here)
    fill(monkeypatch, 0)
    for command in (("report", "mine", "--output", "out/page.html"), TRAIN):
        code, out, err = run(*command)
        assert (code, out) == (2, "")
        assert FULL in err.splitlines()[-1]
    assert contents(here) == before


def mounts(size: str, script: str, folder: Path) -> subprocess.CompletedProcess[str] | None:
    """Run a shell script in ``folder`` with a small tmpfs at ``disk``; None where nobody may mount one."""
    (folder / "disk").mkdir(exist_ok=True)
    mount = f"mount -t tmpfs -o size={size} none disk"
    unshare = ["unshare", "-rm", "sh", "-c"]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*unshare, mount], cwd=folder, capture_output=True, check=False).returncode
    ):
        return None
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PY": sys.executable}
    return subprocess.run(
        [*unshare, f"{mount}; {script}"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "command"),
    [
        ("40k", f"{' '.join(EVAL)} --run-dir disk/mine"),
        ("40k", "train clean --arch cnn --epochs 1 --limit 64 --output disk/net.safetensors"),
        ("40k", "report whole --output disk/page.html"),
        ("40k", f"{' '.join(EVAL)} --save-adversarial --run-dir disk/mine"),
    ],
)
def test_a_small_tmpfs(size: str, command: str, advtool_command: Command, digits_checkpoint: Path) -> None:
    folder = advtool_command.folder
    (folder / "checkpoints").mkdir()
    shutil.copy(digits_checkpoint, folder / "checkpoints" / "net.safetensors")
    if command.startswith("report"):
        advtool_command(*EVAL, "--run-dir", "whole")
    done = mounts(
        size, f'echo keep > disk/kept; "$PY" -m advtool {command}; code=$?; cat disk/kept; exit $code', folder
    )
    if done is None:
        pytest.skip("nobody may mount a tmpfs here")
    assert (done.returncode, done.stdout) == (2, "keep\n"), done.stderr
    assert FULL in done.stderr.splitlines()[-1]


@pytest.mark.slow
def test_a_finished_run_is_shown_from_where_nobody_may_write(advtool_command: Command, digits_checkpoint: Path) -> None:
    whole = advtool_command(*EVAL, "--checkpoint", digits_checkpoint, "--run-dir", "whole")
    script = 'cp -r whole disk; mount -o remount,ro disk; "$PY" -m advtool eval --resume disk/whole --format json'
    done = mounts("10m", script, advtool_command.folder)
    if done is None:
        pytest.skip("nobody may mount a tmpfs here")
    assert done.returncode == 0, done.stderr
    assert TIMES.sub("", done.stdout) == TIMES.sub("", whole.stdout)


FETCH = """
from torchvision.datasets import MNIST
from advtool.cli import main

MNIST.mirrors = ["{url}"]
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("prepared", "reason"), [("true", FULL), ("mount -o remount,ro disk", "Read-only file system")]
)
def test_a_data_set_is_not_fetched_into_a_full_or_closed_folder(
    prepared: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", HOST)
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "train-images-idx3-ubyte.gz").write_bytes(bytes(100_000))
    with serving(tmp_path / "mirror") as url:
        (tmp_path / "fetch.py").write_text(FETCH.format(url=url))
        done = mounts("40k", f'{prepared}; "$PY" fetch.py data fetch mnist --data-dir disk', tmp_path)
    if done is None:
        pytest.skip("nobody may mount a tmpfs here")
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("advtool: cannot write 'mnist' into 'disk'")
    assert reason in last


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        (*EVAL, "--run-dir", "closed/mine"),
        ("train", "clean", "--epochs", "1", "--limit", "64", "--output", "closed/net.safetensors"),
        ("report", "whole", "--output", "closed/page.html"),
    ],
    ids=lambda command: command[0],
)
def test_a_folder_that_nobody_may_write_into(
    command: tuple[str, ...], advtool_command: Command, digits_checkpoint: Path
) -> None:
    """It is mounted read-only, since root writes into any other."""
    folder = advtool_command.folder
    (folder / "checkpoints").mkdir()
    shutil.copy(digits_checkpoint, folder / "checkpoints" / "net.safetensors")
    if command[0] == "report":
        advtool_command(*EVAL, "--run-dir", "whole")
    words = " ".join(command).replace("closed", "disk")
    done = mounts("1m", f'echo keep > disk/kept; mount -o remount,ro disk; "$PY" -m advtool {words}', folder)
    if done is None:
        pytest.skip("nobody may mount a tmpfs here")
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert "cannot write" in done.stderr.splitlines()[-1]


def test_a_reader_that_takes_nothing_more_is_told(run: Run, here: Path) -> None:
    code, out, err = run(*EVAL, "--run-dir", "mine", "--output", "/dev/full")
    assert (code, out) == (2, "")
    assert FULL in err.splitlines()[-1]
    assert json.loads((here / "mine" / "result.json").read_text())["clean"]["total"] == 20
