"""The pages name only commands that exist, links lead somewhere, and the Python runs."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from advtool.cli import app
from advtool.evaluation.command import write as write_command

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs").glob("*.sh"))]
LINE = re.compile(r"^\s*(?:\$ |run )?(advtool [^|#\n]*)", re.MULTILINE)
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
COMMAND: Any = typer.main.get_command(app)
PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)


def commands(page: Path) -> list[str]:
    text = page.read_text()
    shells = {"", "console", "sh"}
    blocks = [text] if page.suffix == ".sh" else [block for kind, block in BLOCK.findall(text) if kind in shells]
    lines = [line for block in blocks for line in LINE.findall(block.replace("\\\n", " "))]
    return [line.strip() for line in lines if "$(" not in line and "..." not in line]


@pytest.mark.parametrize(
    ("page", "line"),
    [(page, line) for page in PAGES for line in commands(page)],
    ids=lambda value: value.name if isinstance(value, Path) else value,
)
def test_every_command_of_the_docs_is_one(
    page: Path, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parsed by the real command line, down to the last option; not run.

    A page's TOML is its ``run.toml``, and there is a run to go on with."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.toml").write_text(
        "".join(block for kind, block in BLOCK.findall(page.read_text()) if kind == "toml")
    )
    begun = tmp_path / "runs" / "mine"
    begun.mkdir(parents=True)
    (begun / "manifest.json").touch()
    write_command(begun, {})
    command, (name, *words), above = COMMAND, shlex.split(line, comments=True), None
    while words and words[0] in getattr(command, "commands", {}):
        above = command.context_class(command, info_name=name, parent=above)
        name, *words = words
        command = command.commands[name]
    if hasattr(command, "commands"):
        assert words[0] in ["--help", *(option for one in command.params for option in one.opts)], (
            f"{words}: no command"
        )
    else:
        assert command.make_context(name, words, parent=above).params


def run_python(page: str, checkpoint: Path) -> Any:
    """What the page's Python calls its result."""
    (code,) = PYTHON.findall((ROOT / page).read_text())
    code = code.replace('"checkpoints/digits-lenet-both-s0.safetensors"', repr(str(checkpoint)))
    names: dict[str, Any] = {}
    exec(compile(code, page, "exec"), names)
    return names["result"]


def test_the_python_of_the_evaluation_page_runs(digits_checkpoint: Path) -> None:
    result = run_python("docs/evaluation.md", digits_checkpoint)
    assert 0 <= result.effective_robustness.accuracy <= result.clean.accuracy


def test_the_python_of_the_curves_page_runs(digits_checkpoint: Path) -> None:
    result = run_python("docs/curves.md", digits_checkpoint)
    assert [curve.name for curve in result.curves] == ["fgsm", "pgd"]


def test_the_python_for_your_model_runs() -> None:
    result = run_python("docs/models.md", Path("none"))
    assert (result.clean.total, len(result.attacks)) == (50, 2)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere_and_nothing_is_left_to_fill_in(page: Path) -> None:
    text = page.read_text()
    for target in re.findall(r"\]\(([^)#]+)", text):
        assert target.startswith("https://") or (page.parent / target).exists(), target
    assert not re.search(r"TODO|FIXME|XXX|[A-Z]+_OUTPUT|[A-Z]+_TABLE", text)


def test_the_readme_starts_in_forty_lines() -> None:
    shown = set(commands(ROOT / "README.md"))
    assert {"advtool train both --arch cnn", "advtool eval"} <= shown
    assert len((ROOT / "README.md").read_text().splitlines()) <= 40


def test_links_to_a_section_find_its_heading() -> None:
    for page in PAGES:
        for target, section in re.findall(r"\]\((?!https)([^)#]*)#([^)]+)\)", page.read_text()):
            text = (page.parent / target if target else page).read_text()
            assert section in {anchor(heading) for heading in HEADING.findall(text)}, f"{page.name}: {target}#{section}"


def anchor(heading: str) -> str:
    """The name under which GitHub links to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
