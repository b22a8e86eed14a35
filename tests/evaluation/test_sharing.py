"""Processes share a run's folder: each claims a shard before it computes it, and a kill loses what is in hand alone."""

import errno
import fcntl
import json
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import advtool
from advtool import locks
from advtool.evaluation import shard
from advtool.evaluation.manifest import MANIFEST
from advtool.evaluation.observer import Observer
from advtool.evaluation.run import CLAIMS
from tests.support.models import mlp
from tests.support.runs import labelled, without_times

FOLDER = Path(__file__).parents[1]
ATTACKS = ["fgsm", "pgd(steps=5)"]


@pytest.fixture(autouse=True)
def shards_of_10(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(shard.MAX_IMAGES_A_SHARD, "cpu", 10)


def evaluate(folder: Path | None, observer: Observer | None = None) -> dict[str, Any]:
    x, y = labelled(mlp(), 40)
    result = advtool.evaluate(mlp(), x, y, eps=0.05, attacks=ATTACKS, run_dir=folder, observer=observer)
    document: dict[str, Any] = without_times(result.to_dict())
    return document


class Other(Observer):
    """Another process: it holds the claim of a shard, and lets go when the run waits for it."""

    def __init__(self, run: Path, shard_number: str) -> None:
        self.run, self.number, self.waited = run, shard_number, 0
        self._claim = ExitStack()
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)

    def begun(self, folder: Path) -> None:
        assert self._claim.enter_context(locks.alone(folder / CLAIMS / self.number))

    def waits(self, other: str) -> None:
        assert other == "computes 1 shard"
        self.waited += 1
        self.finish_work()
        self._claim.close()

    def finish_work(self) -> None:
        """A process that dies finishes nothing."""

    def files(self) -> dict[str, tuple[int, int]]:
        """What identifies each shard's file."""
        found = sorted((self.run / "shards").iterdir())
        return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in found}


def test_a_shard_that_another_process_has_claimed_is_left_to_it_and_taken_over_when_it_dies(tmp_path: Path) -> None:
    other = Other(tmp_path, "0001")
    assert evaluate(tmp_path, other) == evaluate(None)
    assert other.waited == 1
    written = {name: time for name, (_, time) in other.files().items()}
    assert max(time for name, time in written.items() if "-0001" not in name) < written["0-clean-0001.json"]


def test_what_another_process_has_finished_is_not_computed_again(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    expected = evaluate(whole)
    theirs: dict[str, tuple[int, int]] = {}

    class Finishing(Other):
        def finish_work(self) -> None:
            for path in (whole / "shards").glob("*-0002.json"):
                shutil.copy(path, self.run / "shards")
            theirs.update({name: file for name, file in self.files().items() if "-0002" in name})

    other = Finishing(tmp_path / "run", "0002")
    assert evaluate(other.run, other) == expected
    assert len(theirs) == 3
    assert theirs.items() <= other.files().items(), "nothing of it was written again"


def test_a_shard_that_is_damaged_meanwhile_is_computed_again(tmp_path: Path) -> None:
    class Damaging(Other):
        def finish_work(self) -> None:
            (self.run / "shards" / "1-fgsm-0003.json").write_text("{")

    other = Damaging(tmp_path, "0003")
    assert evaluate(tmp_path, other) == evaluate(None)
    assert any("shard 1-fgsm-0003.json is damaged" in note for note in other.notes)


def test_a_file_system_without_locks_changes_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_descriptor: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    assert evaluate(tmp_path) == evaluate(None)


@pytest.mark.parametrize(("rank", "first"), [("0", "0000"), ("1", "0002")])
def test_each_rank_begins_at_a_place_of_its_own_and_finds_the_same(
    rank: str, first: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = evaluate(None)
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert evaluate(tmp_path) == expected
    earliest = min((tmp_path / "shards").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert earliest.name == f"0-clean-{first}.json"


KILLS, WRITES = 20, 6


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_at_any_moment_it_goes_on_and_gives_the_same_answer_byte_for_byte(
    tmp_path: Path, digits_checkpoint: Path
) -> None:
    """Twenty kills at random moments, and one inside each of the first six writes (tests/support/killed.py)."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.killed", tmp_path, digits_checkpoint, str(KILLS)],
        cwd=FOLDER.parent,
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["killed"] == report["resumed"] == KILLS + WRITES
    assert report["different answers"] == report["written twice"] == report["lost"] == 0


@pytest.mark.slow
def test_two_processes_share_and_print_the_same(tmp_path: Path, digits_checkpoint: Path) -> None:
    """The second sees shards of the first, each shard is written once, and one process alone says the same."""

    alone = json.loads(start(tmp_path, digits_checkpoint, "alone").communicate()[0])
    processes = [start(tmp_path, digits_checkpoint, "shared", "--meet") for _ in range(2)]
    try:
        both = [process.communicate(timeout=240) for process in processes]
    finally:  # one that is left alone waits for the other
        for process in processes:
            process.kill()
    assert both[0][0] == both[1][0], both
    assert without_times(json.loads(both[0][0])) == without_times(alone)
    written = [name for _, errors in both for name in errors.splitlines() if name.startswith("wrote ")]
    assert sorted(written) == sorted({*written}), "no shard was computed twice"
    assert len(written) == len(list((tmp_path / "shared" / "shards").iterdir()))
    assert all("wrote" in errors for _, errors in both), "both worked"


def start(folder: Path, checkpoint: Path, run: str, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.sharing", checkpoint, folder / run, *more],
        cwd=FOLDER.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize("dies", [False, True])
def test_torchrun_shares_prints_once_and_restarts_a_rank_that_dies(
    dies: bool, tmp_path: Path, digits_checkpoint: Path
) -> None:
    alone = json.loads(start(tmp_path, digits_checkpoint, "alone").communicate()[0])
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--max-restarts=1"]
    program = ["-m", "tests.support.sharing", str(digits_checkpoint), str(tmp_path / "run"), *["--die"] * dies]
    done = subprocess.run(
        [*launcher, *program], cwd=FOLDER.parent, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    assert without_times(json.loads(done.stdout)) == without_times(alone), "one document on stdout"
    written = [line for line in done.stderr.splitlines() if line.startswith("wrote ")]
    assert sorted(written) == sorted({*written}), "nothing finished was computed again"
    assert (tmp_path / "run" / MANIFEST).is_file()
