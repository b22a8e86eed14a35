"""``advtool report`` as its users meet it."""

import json
import re
from pathlib import Path

import pytest

import advtool
from advtool.errors import InputError
from advtool.studies.page import read_page
from tests.conftest import Command
from tests.support.html import parse
from tests.support.models import mlp
from tests.support.runs import two_models_images

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    images, labels = two_models_images(20)
    advtool.evaluate(mlp(), images, labels, eps=0.05, attacks="fgsm", run_dir=tmp_path / "runs" / "mine")
    return tmp_path / "runs" / "mine"


def test_stdout_holds_the_path_alone_and_python_makes_the_same(
    advtool_command: Command, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = advtool_command("report", "runs/mine")
    assert (done.stdout, done.stderr) == ("report.html\n", "")
    page = advtool_command.folder / "report.html"
    written = page.read_text()
    worst = json.loads((run / "result.json").read_text())["worst_case"]["accuracy"]
    assert f"{100 * worst:.1f} % of 20 given images" in parse(written).text
    page.unlink()
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "report.md").read_text(), re.DOTALL)
    monkeypatch.chdir(advtool_command.folder)
    exec(code, {})
    assert page.read_text() == written


def test_bad_input_is_refused_in_one_line(advtool_command: Command, run: Path) -> None:
    line = advtool_command.refused("report", "nothing", "--output", ".")
    assert "--output '.' is a folder: name a file in it" in line  # before anything is read
    with pytest.raises(
        InputError,
        match=r"runs' holds no run, but folders of runs such as .*/mine: name a folder",
    ):
        read_page(run.parent)
    with pytest.raises(InputError, match="nothing' is no folder"):
        read_page(run, run / "nothing")


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("result.json", "is not finished: the command that began it goes on with it"),
        ("images.jsonl", "its images.jsonl is missing or damaged"),
        ("shards/1-fgsm-0000.json", "shard 0 of 'fgsm' is missing"),
    ],
)
def test_an_unfinished_or_damaged_run_is_named(run: Path, file: str, message: str) -> None:
    (run / file).unlink()
    with pytest.raises(InputError, match=message):
        read_page(run)


def test_a_damaged_example_is_named(run: Path) -> None:
    next((run / "shown").iterdir()).write_bytes(b"nothing")
    with pytest.raises(InputError, match="holds no adversarial examples of a run"):
        read_page(run)


def test_a_run_is_named_once(run: Path) -> None:
    with pytest.raises(InputError, match="mine' is named twice: name each run once"):
        read_page(run, run.parent / "mine")
    with pytest.raises(InputError, match="no run given"):
        read_page()
