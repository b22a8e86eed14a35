"""Damaged files of every kind: each ends a command with code 2 and one line, or gives the right answer.

What a right answer is: of a file that is damaged by chance, the answer of the whole file, or code 2 (a run's documents,
shards and checkpoints carry checksums). Of a file that a stranger wrote with fitting checksums, any answer in valid
JSON. Never a traceback, a crash, a hang or a wrong code.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.safety.inputs import Base, Input, Maker
from tests.support.fuzzing import Worker

QUICK, FULL = 108, 2400


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    asked = Worker()
    yield asked
    asked.close()


@pytest.fixture(scope="module")
def maker(worker: Worker, tmp_path_factory: pytest.TempPathFactory) -> Maker:
    base = Base(tmp_path_factory.mktemp("base"), worker)
    base.make()
    return Maker(base)


def fault(answer: dict[str, Any], given: Input) -> str | None:
    """Why an answer is none that a damaged file may get; None if it is."""
    if answer["fault"] is not None:
        return str(answer["fault"])
    if not answer["err"].replace("\n", "").isprintable():
        return f"control characters reach the terminal: {answer['err']!r}"
    if answer["code"] == 2:
        lines = answer["err"].splitlines()
        answered = given.command[0] == "check" and "no better than guessing" in answer["err"]
        if (answer["out"] and not answered) or not lines or not all(line.startswith("advtool: ") for line in lines):
            return f"not one line: {answer['out']!r} {answer['err']!r}"
        return None
    if answer["code"] != 0:
        return f"code {answer['code']}: {answer['err']}"
    try:
        if given.expected is not None:
            given.expected(answer["out"])
    except (AssertionError, ValueError) as error:
        return f"{error}\n{answer['out'][:500]}"
    return None


def refused_wrongly(worker: Worker, maker: Maker, folder: Path, numbers: range) -> dict[str, str]:
    found = {}
    for number in numbers:
        given, place = maker(number), folder / str(number)
        place.mkdir()
        given.lay(place)
        if (why := fault(worker(place, *given.command), given)) is not None:
            found[f"{number}: {given.kind}, {given.command[:2]}"] = why
        shutil.rmtree(place)
    return found


def test_a_damaged_file_gives_one_line_or_the_right_answer(worker: Worker, maker: Maker, tmp_path: Path) -> None:
    assert refused_wrongly(worker, maker, tmp_path, range(QUICK)) == {}


@pytest.mark.slow
def test_thousands_of_damaged_files(worker: Worker, maker: Maker, tmp_path: Path) -> None:
    assert refused_wrongly(worker, maker, tmp_path, range(QUICK, QUICK + FULL)) == {}
