"""Which runs are in a folder, and how far each is."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import advtool
from advtool import locks
from advtool.errors import InputError
from advtool.evaluation import command
from advtool.evaluation.run import LOCK
from advtool.report import FORMATS
from advtool.results import ListedRun
from advtool.studies.listing import list_runs
from tests.support.models import mlp
from tests.support.runs import labelled, rewrite


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, begun in Python."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    x, y = labelled(mlp(), 30)
    advtool.evaluate(mlp(), x, y, eps=0.05, attacks=["fgsm", "pgd(steps=2)"], seed=3, run_dir=folder)
    return folder


@pytest.fixture
def run(begun: Path, tmp_path: Path) -> Path:
    """A copy of it, in an otherwise empty folder."""
    return shutil.copytree(begun, tmp_path / "runs" / "run")


def listed(folder: Path) -> ListedRun:
    (found,) = list_runs(folder).runs
    return found


def table(folder: Path) -> str:
    """The table without white space: a path of a temporary folder fills more than one line, and breaks anywhere."""
    return squeezed(FORMATS["table"](list_runs(folder)).replace("\\\n", ""))


def squeezed(text: str) -> str:
    return "".join(text.split())


def stop(run: Path) -> None:
    (run / "result.json").unlink()
    next((run / "shards").glob("2-*")).unlink()


def test_a_finished_run_tells_what_it_is(run: Path) -> None:
    found = listed(run.parent)
    assert found == listed(run)
    assert (found.run, found.state, found.model, found.resume) == (str(run), "finished", None, None)
    assert (found.dataset, found.images, found.eps, found.seed) == ("given", 30, 0.05, 3)
    assert (found.attacks, found.shards, found.shards_in_all) == (["fgsm", "pgd(steps=2)"], 3, 3)
    assert found.created is not None


def test_a_stopped_run_tells_the_shards_that_are_there_and_the_command_that_goes_on(run: Path) -> None:
    stop(run)
    assert (listed(run).state, listed(run).shards, listed(run).resume) == ("stopped", 2, None)
    assert squeezed(f"what began them goes on with them: {run}") in table(run)
    command.write(run, {"model": "net.safetensors"})
    assert (listed(run).model, listed(run).resume) == ("net.safetensors", f"advtool eval --resume {run}")
    assert squeezed(f"(1) advtool eval --resume {run}") in table(run)
    (run / command.COMMAND).write_text("{")
    assert (listed(run).state, listed(run).resume) == ("stopped", None)


def test_what_is_done_is_counted_by_stage_and_slice(run: Path) -> None:
    assert "parts" in table(run)
    assert "shards" not in table(run)


def test_a_run_whose_answer_is_missing_is_not_finished(run: Path) -> None:
    (run / "result.json").unlink()
    assert (listed(run).state, listed(run).shards) == ("stopped", 3)


def test_a_run_goes_on_as_long_as_a_process_lives_that_holds_its_lock(run: Path) -> None:
    stop(run)
    script = (
        "import pathlib, sys; from advtool import locks\n"
        f"with locks.shared(pathlib.Path({str(run / LOCK)!r})): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with locks.shared(run / LOCK):  # two processes may share it
            assert listed(run).state == "going on"
        assert listed(run).state == "going on"
        process.kill()
        process.wait()
        assert listed(run).state == "stopped"


def test_a_run_is_held_while_it_is_computed_and_no_longer(tmp_path: Path) -> None:
    states = []

    class Looking(advtool.evaluation.observer.Observer):
        def start(self, stage: str, images: int) -> None:
            states.append((stage, listed(tmp_path).state))

    x, y = labelled(mlp(), 10)
    advtool.evaluate(mlp(), x, y, eps=0.05, attacks="fgsm", run_dir=tmp_path, observer=Looking())
    assert states == [("clean", "going on"), ("fgsm", "going on")]
    assert not locks.is_held(tmp_path / LOCK)


def test_runs_are_found_below_and_the_newest_comes_first(run: Path, tmp_path: Path) -> None:
    older = shutil.copytree(run, tmp_path / "runs" / "sweep" / "eps-0.1")
    manifest = json.loads((older / "manifest.json").read_text())
    rewrite(older / "manifest.json", manifest | {"created": "2001-01-01T00:00:00Z"})
    shutil.copytree(run, tmp_path / "runs" / ".hidden")
    shutil.copytree(run, run / "inside")
    broken = shutil.copytree(run, tmp_path / "runs" / "broken")
    (broken / "manifest.json").write_text('{"schema": "advtool.run/1"')
    (tmp_path / "runs" / "page").mkdir()
    (tmp_path / "runs" / "page" / "manifest.json").write_text('{"name": "of a web page"}')
    found = list_runs(tmp_path / "runs")
    assert [(each.run, each.state) for each in found.runs] == [
        (str(run), "finished"),
        (str(older), "finished"),
        (str(broken), "damaged"),
    ]
    assert squeezed(f"cannot be read, so nothing goes on with them: {broken}") in table(tmp_path / "runs")


STRANGE: list[dict[str, Any]] = [
    {"images_a_shard": 0},
    {"images_a_shard": "ten"},
    {"images_a_shard": None},
    {"stages": None},
    {"dataset": []},
    {"dataset": {"name": "digits", "images": 10**400}},
    {"dataset": {"images": 10}},
    {"eps": float("nan")},
    {"eps": "large"},
    {"seed": {}},
]


@pytest.mark.parametrize("changes", STRANGE, ids=str)
def test_a_strange_manifest_is_damaged_in_every_format(changes: dict[str, Any], run: Path) -> None:
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["configuration"] |= changes
    rewrite(run / "manifest.json", manifest)
    assert listed(run).state == "damaged"
    for write in FORMATS.values():
        assert write(list_runs(run))


def test_names_of_strangers_reach_the_terminal_without_control_characters(run: Path) -> None:
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["configuration"]["dataset"]["name"] = "\x1b]0;title\x07"
    manifest["asked"]["attacks"] = ["\x1b[2J"]
    manifest["created"] = "0001-01-01T00:00:00+14:00"
    rewrite(run / "manifest.json", manifest)
    result = json.loads((run / "result.json").read_text())
    result["model"]["spec"] = "net\x9b.py:make"
    rewrite(run / "result.json", result)
    found = list_runs(run.rename(run.with_name("ru\x1bn")))
    for write in FORMATS.values():
        assert write(found).replace("\n", "").isprintable()


def test_a_long_name_stands_in_one_line_with_the_state_of_the_run(run: Path) -> None:
    moved = run.rename(run.with_name("a-name-that-" + "goes-on-and-" * 10 + "ends"))
    (line,) = (each for each in FORMATS["table"](list_runs(moved.parent)).splitlines() if "goes-on" in each)
    assert line.split()[0] == str(moved)
    assert "finished" in line


def test_an_empty_folder_has_no_runs_and_none_is_refused(tmp_path: Path) -> None:
    assert list_runs(tmp_path).runs == []
    assert table(tmp_path) == squeezed(f"no runs in '{tmp_path}'")
    assert FORMATS["csv"](list_runs(tmp_path)).startswith("run,model,dataset,"), "whatever the number of runs"
    assert FORMATS["markdown"](list_runs(tmp_path)) == f"- no runs in '{tmp_path}'\n"
    (tmp_path / "file").touch()
    for path in ("file", "absent"):
        with pytest.raises(InputError, match="is no folder: name one that holds runs"):
            list_runs(tmp_path / path)


def test_before_the_first_run_there_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert list_runs().runs == []
    (tmp_path / "runs").touch()
    with pytest.raises(InputError, match="is no folder"):
        list_runs()
