"""Runs are folders of shards: killed, changed, damaged or finished, they keep what they have."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import advtool
from advtool.errors import InputError
from advtool.evaluation import shard
from advtool.evaluation.finished import read_finished
from advtool.evaluation.observer import Observer
from advtool.evaluation.shard_files import checksum
from tests.conftest import Command
from tests.support.models import NoisyInput, mlp
from tests.support.runs import labelled, rewrite, without_times
from tests.support.waiting import wait_for


class Listener(Observer):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


@pytest.fixture
def shards_of_100(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(shard.MAX_IMAGES_A_SHARD, "cpu", 100)


def evaluate(folder: Path | None, **changes: Any) -> tuple[dict[str, Any], list[str]]:
    model = NoisyInput(mlp(), 0.1)
    x, y = labelled(model.model, 250)
    listener = Listener()
    arguments = {
        "eps": 0.05,
        "attacks": ["fgsm", "pgd"],
        "pgd_steps": 5,
        "run_dir": folder,
        "observer": listener,
    }
    result = advtool.evaluate(model, x, y, **{**arguments, **changes})
    return without_times(result.to_dict()), listener.notes


def test_a_run_in_a_folder_equals_one_in_memory(tmp_path: Path) -> None:
    assert evaluate(tmp_path / "run") == evaluate(None)


@pytest.mark.usefixtures("shards_of_100")
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    expected, _ = evaluate(None)
    evaluate(tmp_path)
    shards = sorted((tmp_path / "shards").iterdir())
    assert [path.name for path in shards] == [
        f"{stage}-{shard:04d}.json" for stage in ("0-clean", "1-fgsm", "2-pgd") for shard in range(3)
    ]
    for gone in shards[4:6] + shards[7:]:
        gone.unlink()
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "shards").iterdir()}
    result, notes = evaluate(tmp_path)
    assert result == expected
    assert [note for note in notes if note.startswith("run ")] == [
        f"run '{tmp_path}': going on, 5 of 9 parts are finished already"
    ]
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_a_finished_run_computes_no_shard_again(tmp_path: Path) -> None:
    expected, _ = evaluate(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "shards").iterdir()}
    assert evaluate(tmp_path)[0] == expected
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "shards").iterdir()} == before
    assert without_times(json.loads((tmp_path / "result.json").read_text())) == expected


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"eps": 0.06}, "eps: there 0.05, here 0.06"),
        ({"seed": 1}, "seed: there 0, here 1"),
        ({"votes": 7}, "votes: there 20, here 7"),
        ({"pgd_steps": 6}, r"attacks\.pgd\.steps: there 5, here 6"),
        ({"attacks": ["fgsm"]}, r"attacks\.pgd\.restarts: there 1, here null"),
    ],
)
def test_a_changed_configuration_is_refused_with_the_difference(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    evaluate(tmp_path)
    with pytest.raises(InputError, match=words):
        evaluate(tmp_path, **change)


def test_other_weights_and_other_images_are_refused(tmp_path: Path) -> None:
    x, y = labelled(mlp(), 20)
    advtool.evaluate(mlp(), x, y, attacks=["fgsm"], run_dir=tmp_path)
    with pytest.raises(InputError, match="run of another model"):
        advtool.evaluate(mlp(seed=1), x, y, attacks=["fgsm"], run_dir=tmp_path)
    with pytest.raises(InputError, match="images: there"):
        advtool.evaluate(mlp(), x.flip(0), y, attacks=["fgsm"], run_dir=tmp_path)


def test_another_attribute_of_a_module_is_another_model(tmp_path: Path) -> None:
    """The noise's scale is in no state dict, and still decides the answer."""
    x, y = labelled(mlp(), 20)
    advtool.evaluate(NoisyInput(mlp(), 0.1), x, y, attacks=["fgsm"], run_dir=tmp_path)
    with pytest.raises(InputError, match="run of another model"):
        advtool.evaluate(NoisyInput(mlp(), 0.2), x, y, attacks=["fgsm"], run_dir=tmp_path)


@pytest.mark.usefixtures("shards_of_100")
@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"sha256": "0", "record": {}}', b"\x00\xff"])
def test_a_damaged_shard_is_computed_again(tmp_path: Path, damage: bytes) -> None:
    expected, _ = evaluate(tmp_path)
    (tmp_path / "shards" / "2-pgd-0001.json").write_bytes(damage)
    result, notes = evaluate(tmp_path)
    assert result == expected
    assert sum("2-pgd-0001.json is damaged" in note for note in notes) == 1


@pytest.mark.usefixtures("shards_of_100")
def test_a_forged_shard_fails_its_checksum(tmp_path: Path) -> None:
    expected, _ = evaluate(tmp_path)
    path = tmp_path / "shards" / "2-pgd-0001.json"
    document = json.loads(path.read_text())
    document["record"]["outcome"] = [1] * len(document["record"]["outcome"])
    path.write_text(json.dumps(document))
    assert evaluate(tmp_path)[0] == expected


@pytest.mark.usefixtures("shards_of_100")
def test_a_shard_of_another_stage_is_damaged_though_its_checksum_is_right(tmp_path: Path) -> None:
    expected, _ = evaluate(tmp_path)
    path = tmp_path / "shards" / "1-fgsm-0001.json"
    record = {**json.loads(path.read_text())["record"], "stage": "FGSM"}  # of which a file has the same name
    path.write_text(json.dumps({"sha256": checksum(record), "record": record}))
    with pytest.raises(InputError, match=r"1-fgsm-0001\.json is damaged"):
        read_finished(tmp_path)
    assert evaluate(tmp_path)[0] == expected


def test_a_run_of_an_older_version_which_has_no_seals_goes_on_again_and_again(tmp_path: Path) -> None:
    expected, _ = evaluate(tmp_path)
    shutil.rmtree(tmp_path / ".sealed")
    for gone in ("inspection.json", "result.json"):
        (tmp_path / gone).unlink()
        assert evaluate(tmp_path)[0] == expected


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(InputError, match="exists and is not a run"):
        evaluate(tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "precious"


def test_another_machine_is_noted(tmp_path: Path) -> None:
    expected, _ = evaluate(tmp_path)
    path = tmp_path / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["environment"]["threads"] = 99
    rewrite(path, manifest)
    result, notes = evaluate(tmp_path)
    assert not any("threads" in note for note in notes), "nothing was computed here"
    next((tmp_path / "shards").iterdir()).unlink()
    result, notes = evaluate(tmp_path)
    assert any("begun with threads 99" in note for note in notes)
    assert result["attacks"] == expected["attacks"]


@pytest.mark.usefixtures("shards_of_100")
def test_a_run_goes_on_where_shards_are_larger_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a move between a CPU and a GPU."""
    expected, _ = evaluate(tmp_path)
    (tmp_path / "shards" / "2-pgd-0001.json").unlink()
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    rewrite(tmp_path / "manifest.json", {**manifest, "environment": {**manifest["environment"], "device": "a GPU"}})
    monkeypatch.setitem(shard.MAX_IMAGES_A_SHARD, "cpu", 1000)
    result, notes = evaluate(tmp_path)
    assert len(list((tmp_path / "shards").iterdir())) == 9
    assert result["attacks"] == expected["attacks"]
    assert any("was begun with device a GPU" in note for note in notes)


EVAL = (
    "eval",
    "--format",
    "json",
    "--images",
    "300",
    "--attack",
    "fgsm",
    "--attack",
    "spsa",
    "--spsa-samples",
    "32",
    "--spsa-steps",
    "60",
)


@pytest.mark.slow
def test_a_killed_command_goes_on_and_equals_an_uninterrupted_one(tmp_path: Path, digits_checkpoint: Path) -> None:
    command = Command(tmp_path)
    arguments = (*EVAL, "--checkpoint", digits_checkpoint)
    expected = json.loads(command(*arguments, "--run-dir", "whole").stdout)
    shards = tmp_path / "killed" / "shards"
    process = start(tmp_path, *arguments, "--run-dir", "killed")
    wait_for(lambda: shards.is_dir() and any(shards.glob("1-fgsm-*")), process)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    finished = len(list(shards.iterdir()))
    assert finished < 3, "the run was over before it could be killed"
    resumed = command(*arguments, "--run-dir", "killed")
    assert "going on" in resumed.stderr
    assert without_times(json.loads(resumed.stdout)) == without_times(expected)


def test_ctrl_c_ends_with_130_and_keeps_what_is_finished(tmp_path: Path, digits_checkpoint: Path) -> None:
    shards = tmp_path / "run" / "shards"
    process = start(tmp_path, *EVAL, "--checkpoint", digits_checkpoint, "--run-dir", "run")
    wait_for(lambda: shards.is_dir() and any(shards.glob("1-fgsm-*")), process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert "kept in run" in errors
    assert errors.endswith("advtool: interrupted\n")
    assert len(list(shards.iterdir())) == 2


def start(folder: Path, *arguments: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "advtool", *map(str, arguments)],
        cwd=folder,
        env={**os.environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_full_disk_is_told_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left on device"):
        evaluate(tmp_path / "run")
    assert torch.is_grad_enabled()
