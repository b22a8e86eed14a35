"""docs/ci.md: its test passes and fails as it says, its workflows call what there is, its tables are complete."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from advtool.cli import app
from advtool.gates.gates import Gates
from advtool.settings import settings_of

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "ci.md").read_text()
GITHUB, GITLAB = (yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL))
STEPS = GITHUB["jobs"]["robustness"]["steps"]
OURS = next(step["with"] for step in STEPS if step.get("uses", "").startswith("OWNER/advtool@"))
INPUTS = yaml.safe_load((ROOT / "action.yml").read_text())["inputs"]

PYTHON = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table below a heading, without the code marks."""
    section = TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = re.findall(r"^\| (.*) \|$", section, re.MULTILINE)[2:]
    return [[cell.strip().replace("`", "") for cell in line.split(" | ")] for line in lines]


def test_the_example_for_pytest_passes_and_fails_with_the_table(tmp_path: Path, digits_checkpoint: Path) -> None:
    code, _ = PYTHON
    code = code.replace('"checkpoints/digits-lenet-both-s0.safetensors"', repr(str(digits_checkpoint)))
    (tmp_path / "test_a.py").write_text(code)
    (tmp_path / "test_b.py").write_text(code.replace("at_least=0.3", "at_least=0.9"))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "1 failed, 1 passed" in done.stdout, done.stdout
    shown = re.findall(r"^E .*", re.search(r"```text\n(.*?)```", TEXT, re.DOTALL)[1], re.MULTILINE)  # type: ignore[index]
    for line in shown:
        assert re.search(re.sub(r"0\\\.\d{4}", r"0\\.\\d{4}", re.escape(line)), done.stdout), line
    assert re.search(r"^E +│ worst case +│ +\d\d\.\d % │", done.stdout, re.MULTILINE)
    assert "evaluator.py" not in done.stdout, "the traceback ends at the line of the test"


def test_the_commands_of_the_workflows_are_commands() -> None:
    lines = [f"advtool eval {OURS['arguments']}", *(line for line in GITLAB["robustness"]["script"])]
    lines = [line for line in lines if line.startswith("advtool ")]
    assert len(lines) == 2
    for line in lines:
        _, name, *words = shlex.split(line)
        command: Any = typer.main.get_command(app)
        assert command.commands[name].make_context(name, words).params["fail_on_warning"] == ["masking"]


def test_the_tables_name_every_input_and_every_gate() -> None:
    assert [(name, default) for name, default, _ in rows("GitHub Actions")] == [
        (name, about["default"] or "none") for name, about in INPUTS.items()
    ]
    assert OURS.keys() <= INPUTS.keys()
    for (option, keyword, _), setting in zip(rows("Gates"), settings_of(Gates).values(), strict=True):
        assert setting.option in option.split()
        assert keyword.split("=")[0] == setting.name


@pytest.mark.parametrize("found", ["", "123"])
def test_the_stored_run_is_fetched_if_there_is_one(tmp_path: Path, found: str) -> None:
    (script,) = (step["run"] for step in STEPS if "gh run download" in step.get("run", ""))
    fake = tmp_path / "gh"
    fake.write_text(f'#!/usr/bin/env bash\necho "$*" >> calls\n[ "$2" != list ] || echo {found}\n')
    fake.chmod(0o755)
    done = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        timeout=60,
        check=False,
    )
    assert done.returncode == 0
    asked, *downloads = (tmp_path / "calls").read_text().splitlines()
    assert "--branch main --event push" in asked, "a fork may call its branch main too"
    assert downloads == [f"run download {found} --name advtool-run --dir {OURS['baseline'].split(chr(39))[3]}"] * bool(
        found
    )
