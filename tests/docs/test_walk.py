"""Walk through the quickstart as a newcomer does, then through the questions, in the same folder."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Command
from tests.docs.test_docs import PYTHON, commands

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_command_of_the_quickstart_and_of_the_questions_works(tmp_path: Path) -> None:
    advtool_command, shown = Command(tmp_path), {}
    (code,) = PYTHON.findall((DOCS / "quickstart.md").read_text())
    (tmp_path / "net.py").write_text(code)
    subprocess.run([sys.executable, "net.py"], cwd=tmp_path, check=True, timeout=100)
    for line in dict.fromkeys(line for page in ("quickstart.md", "faq.md") for line in commands(DOCS / page)):
        shown[line] = advtool_command(*shlex.split(line)[1:]).stdout

    check = "advtool check net.py:make --weights net.pth --dataset digits"
    raw, normalised = (right(shown[line]) for line in (check, f"{check} --mean 0.5 --std 0.5"))
    assert raw + 5 < normalised > 85
    verdict = shown["advtool eval --images 100"]
    assert accuracy(verdict, "fgsm") > 50
    assert accuracy(verdict, "worst case") < 10
    (audit,) = [answer for line, answer in shown.items() if "net.py" in line and "audit" in line]
    assert "robust accuracy of these images lies between" in audit


def right(answer: str) -> int:
    """How many of the first 100 images ``check`` found right."""
    return int(re.findall(r"(\d+) of the first 100 right", answer)[0])


def accuracy(answer: str, row: str) -> float:
    """The accuracy in that row of the table of ``eval``."""
    return float(re.findall(rf"│ {row} +│ +([\d.]+) %", answer)[0])
