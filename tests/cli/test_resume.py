"""``advtool eval --resume RUN`` and ``advtool runs``: a stopped run goes on by its folder alone."""

import json
import shlex
import shutil
import signal
from pathlib import Path

import pytest

from advtool.cli import app
from advtool.studies.listing import list_runs
from tests.cli.conftest import TIMES, Run
from tests.conftest import Command
from tests.evaluation.test_runs import EVAL, start, wait_for
from tests.support.runs import rewrite

BEGIN = ("eval", "--attack", "fgsm", "--attack", "pgd(steps=2)", "--images", "20", "--no-certify", "--format", "json")
NET = """
import torch
from pathlib import Path
Path("imported").touch()
def make(classes=10):
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, classes))
"""
OURS = ("net.py:make", "--model-args", '{"classes": 10}')


def stop(run: Path) -> None:
    (run / "result.json").unlink()
    next((run / "shards").glob("2-*")).unlink()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, digits_checkpoint: Path) -> Path:
    """A run of ``BEGIN`` that was stopped."""
    folder = tmp_path_factory.mktemp("begun")
    (folder / "checkpoints").mkdir()
    shutil.copy(digits_checkpoint, folder / "checkpoints" / "model.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        app([*BEGIN, "--output", "answer.json", "--run-dir", "mine"], standalone_mode=False)
    stop(folder / "mine")
    return folder / "mine"


@pytest.fixture
def stopped(here: Path, template: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(template, here / "runs" / "mine")


def noted(run: Path) -> dict[str, object]:
    options: dict[str, object] = json.loads((run / "command.json").read_text())["options"]
    return options


def change(run: Path, **options: object) -> None:
    """Write other options into the folder, as a stranger may."""
    document = {"schema": "advtool.command/1", "options": noted(run) | options}
    rewrite(run / "command.json", document)


def test_a_stopped_run_goes_on_without_other_options(here: Path, run: Run) -> None:
    (here / "eval.toml").write_text('[eval]\nattack = ["fgsm", "pgd(steps=2)"]\nimages = 20\ncertify = false\n')
    _, expected, _ = run(
        "eval", "--config", "eval.toml", "--eps", "8/255", "--format", "json", "--run-dir", "runs/mine"
    )
    stop(here / "runs" / "mine")
    assert noted(here / "runs" / "mine") == {
        "model": "checkpoints/model.safetensors",  # the newest one then
        "attack": ["fgsm", "pgd(steps=2)"],
        "images": "20",
        "certify": False,
        "eps": "8/255",
        "seed": "0",
    }
    shutil.copy("checkpoints/model.safetensors", "checkpoints/newer.safetensors")
    code, answer, notes = run("eval", "--resume", "runs/mine", "--format", "json")
    assert code == 0
    assert "2 of 3 parts are finished already" in notes
    assert TIMES.sub("", answer) == TIMES.sub("", expected)


def test_runs_tells_the_command_and_it_works(stopped: Path, run: Run) -> None:
    code, listed, _ = run("runs", "--format", "json")
    assert code == 0
    (found,) = json.loads(listed)["runs"]
    assert (found["run"], found["state"], found["resume"]) == (
        "runs/mine",
        "stopped",
        "advtool eval --resume runs/mine",
    )
    assert run(*shlex.split(found["resume"])[1:])[0] == 0
    assert json.loads(run("runs", "runs/mine", "--format", "json")[1])["runs"][0]["state"] == "finished"
    assert "runs/mine" in run("runs")[1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--eps", "0.2"), "eps: there 0.1, here 0.2"),
        (("--seed", "4"), "seed: there 0, here 4"),
        (("--attack", "pgd"), "attacks.pgd"),
        (("--images", "10"), "dataset.images: there 20, here 10"),
        (("--certify",), "certify: there false, here true"),
        (("--run-dir", "other"), "--resume 'runs/mine' and --run-dir 'other' together"),
        (("--seeds", "2"), "leave out --seeds 2"),
        (("--config", "run.toml"), "leave out --config 'run.toml'"),
    ],
    ids=str,
)
def test_options_that_do_not_agree_with_the_run_are_refused(
    options: tuple[str, ...], words: str, stopped: Path, here: Path, run: Run
) -> None:
    (here / "run.toml").write_text("[eval]\nimages = 20\n")
    before = sorted(path.name for path in stopped.rglob("*"))
    code, out, line = run("eval", "--resume", "runs/mine", "--quiet", *options)
    assert (code, out, line.count("\n")) == (2, "", 1)
    assert words in line
    assert sorted(path.name for path in stopped.rglob("*")) == before
    assert not (here / "other").exists()


def test_options_that_agree_are_accepted_and_a_moved_file_is_named_anew(stopped: Path, here: Path, run: Run) -> None:
    shutil.move("checkpoints", "moved")
    _, _, line = run("eval", "--resume", "runs/mine")
    assert "there is no file 'checkpoints/model.safetensors'" in line
    assert "start in the folder where it was begun" in line
    assert run("eval", "--resume", "runs/mine", "moved/model.safetensors", "--images", "20", "--eps", "0.1")[0] == 0


def test_each_seed_has_a_run_that_goes_on_alone(here: Path, run: Run) -> None:
    assert run(*BEGIN, "--seeds", "2", "--seed", "5", "--run-dir", "runs/seeds")[0] == 0
    second = here / "runs" / "seeds" / "seed-6"
    expected = json.loads((second / "result.json").read_text())
    stop(second)
    code, answer, _ = run("eval", "--resume", str(second.relative_to(here)), "--format", "json")
    assert code == 0
    assert TIMES.sub("", answer) == TIMES.sub("", json.dumps(expected, indent=2) + "\n")


def test_a_folder_imports_no_code_that_the_user_does_not_name(here: Path, run: Run) -> None:
    (here / "net.py").write_text(NET)
    begin = ("eval", *OURS, "--dataset", "digits", "--force", "--eps", "0.1", "--attack", "fgsm", "--images", "20")
    assert run(*begin, "--run-dir", "mine")[0] == 0
    (here / "imported").unlink()
    (here / "mine" / "result.json").unlink()
    command = shlex.join(["advtool", "eval", "--resume", "mine", *OURS])
    for given in ((), OURS[:1], OURS[1:]):
        code, out, line = run("eval", "--resume", "mine", *given)
        assert (code, out) == (2, "")
        assert line.endswith(f"if you trust it: {command}\n")
        assert not (here / "imported").exists()
    assert run(*shlex.split(command)[1:])[0] == 0
    assert (here / "imported").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"model": "evil.py:make"}, "which code runs here"),
        ({"surrogate": "evil.py:make"}, "which code runs here"),
        ({"output": "stolen"}, "output is no option"),
        ({"run-dir": "stolen"}, "run-dir is no option"),
        ({"config": "evil.toml"}, "config is no option"),
        ({"resume": "runs/mine"}, "resume is no option"),
        ({"model_args": "{}"}, "its command.json is damaged"),
        ({"images": ["2", "0"]}, "--images '2,0'"),
        ({"force": "yes"}, "force must be true or false"),
    ],
    ids=str,
)
def test_a_strangers_options_neither_run_code_nor_write_elsewhere(
    options: dict[str, object], words: str, stopped: Path, here: Path, run: Run
) -> None:
    (here / "evil.py").write_text(NET)
    change(stopped, **options)
    before = sorted(path.name for path in here.iterdir())
    code, out, line = run("eval", "--resume", "runs/mine")
    assert (code, out, line.count("\n")) == (2, "", 1)
    assert words in line
    assert sorted(path.name for path in here.iterdir()) == before


def test_a_folder_of_data_is_named_again_unless_the_environment_gives_it(
    here: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = str(Path(__file__).parents[1] / "data_mnist")
    checkpoint = str(Path(__file__).parents[1] / "checkpoints" / "mnist-cnn-clean.safetensors")
    begin = ("eval", checkpoint, "--attack", "fgsm", "--images", "20", "--quiet", "--run-dir")
    monkeypatch.delenv("ADVTOOL_DATA", raising=False)
    assert run(*begin, "typed", "--data-dir", data)[0] == 0
    assert f"--resume typed --data-dir {data}" in run("eval", "--resume", "typed")[2]
    monkeypatch.setenv("ADVTOOL_DATA", data)
    assert run(*begin, "environment")[0] == 0
    assert "data-dir" not in noted(here / "environment")
    for folder in ("typed", "environment"):
        assert run("eval", "--resume", folder)[0] == 0


def test_what_is_no_run_of_the_command_line_is_told_in_one_line(stopped: Path, here: Path, run: Run) -> None:
    (stopped / "command.json").unlink()
    for folder, words in (
        ("runs/mine", "begun in Python, by a sweep or by an older version"),
        ("runs", "holds no run"),
        ("absent", "is no folder"),
    ):
        code, out, line = run("eval", "--resume", folder)
        assert (code, out, line.count("\n")) == (2, "", 1)
        assert words in line
    assert [path.name for path in (here / "runs").iterdir()] == ["mine"]


@pytest.mark.slow
def test_a_run_is_going_on_then_stopped_by_ctrl_c_then_finished_as_if_it_never_stopped(
    tmp_path: Path, digits_checkpoint: Path
) -> None:
    command = Command(tmp_path)
    arguments = (*EVAL, "--images", "60", "--checkpoint", digits_checkpoint)
    expected = command(*arguments, "--run-dir", "whole").stdout
    shards = tmp_path / "runs" / "mine" / "shards"
    process = start(tmp_path, *arguments, "--run-dir", "runs/mine")
    wait_for(lambda: shards.is_dir() and any(shards.glob("1-fgsm-*")), process)
    process.send_signal(signal.SIGSTOP)
    (live,) = list_runs(tmp_path / "runs").runs
    assert (live.state, live.resume) == ("going on", None)
    process.send_signal(signal.SIGCONT)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    (found,) = json.loads(command("runs", "--format", "json").stdout)["runs"]
    assert (found["state"], found["shards"], found["shards_in_all"]) == ("stopped", 2, 3)
    resumed = command(*shlex.split(found["resume"])[1:], "--format", "json").stdout
    assert TIMES.sub("", resumed) == TIMES.sub("", expected)
    assert [run.state for run in list_runs(tmp_path / "runs").runs] == ["finished"]
