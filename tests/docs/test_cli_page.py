"""The page of the command line: its file of options is one, and its commands run and give what the page says."""

import json
import re
import shlex
import sys
from pathlib import Path

import pytest

from advtool.cli import main
from advtool.evaluation.finished import read_finished
from advtool.report import FORMATS

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
(TOML,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = [shlex.split(line.split(" | ")[0]) for line in re.findall(r"^\$ (advtool .*)$", PAGE, re.MULTILINE)]


def test_the_commands_run(
    tmp_path: Path, digits_checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "model.safetensors").write_bytes(digits_checkpoint.read_bytes())
    (tmp_path / "run.toml").write_text(TOML)
    monkeypatch.chdir(tmp_path)
    answers = {}
    for command in COMMANDS:
        monkeypatch.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as left:
            main()
        answers[" ".join(command[1:])], err = capsys.readouterr()
        assert left.value.code == 0, (command, err)
        assert not err or "--quiet" not in command
    whole, part = (answers[f"eval --config run.toml{more}"] for more in ("", " --images 50 --quiet"))
    assert "linf eps 8/255" in whole
    assert list((tmp_path / "runs").glob("*/adversarial"))
    assert "on 100 test images" in whole
    assert "on 50 test images" in part
    lines = [json.loads(line) for line in answers["eval --attack fgsm --images 100 --format jsonl"].splitlines()]
    assert len(lines) == 100
    kept = [list(read_finished(run.parent).result.to_lines()) for run in Path("runs").glob("*/result.json")]
    assert lines in kept
    assert {"index", "place", "label", "clean", "attacks", "probes"} == lines[0].keys()
    assert {name for line in lines for attack in line["attacks"].values() for name in attack} == {
        "robust", "prediction", "margin", "step", "queries", "distance",
    }  # fmt: skip


def test_the_page_names_every_format() -> None:
    assert f"`--format {'|'.join(FORMATS)}`" in PAGE
