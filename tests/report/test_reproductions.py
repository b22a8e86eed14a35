"""The list of tables: titles for newcomers, and what its hours mean at each scale."""

import re
from pathlib import Path

import pytest

from advtool.cli.reproduce import reproduce
from advtool.report import FORMATS
from advtool.reproduce.catalogue import TABLES, Scale, hours, night_hours
from advtool.results import Reproductions, Standing

PAGE = (Path(__file__).parents[2] / "docs" / "reproduce.md").read_text()


def standing(name: str, hours: float | None, **verdicts: int) -> Standing:
    return Standing(
        name=name,
        title=f"Figure of {name}",
        datasets=["mnist"],
        hours=hours,
        rows=3,
        rows_done=2,
        steps=5,
        steps_done=4,
        verdicts=verdicts,
    )


def shown(scale: str, *of_tables: float | None) -> str:
    tables = [standing(f"t{place}", each, holds=2) for place, each in enumerate(of_tables)]
    return FORMATS["table"](Reproductions(scale=scale, folder="here", tables=tables))


def test_the_list_has_titles_and_counts_the_rows_of_a_verdict() -> None:
    text = shown("night", 1.5, 0.3)
    assert re.search(r"t0 +Figure of t0", text)
    assert re.search(r"name +data sets +hours +rows +steps +rows by verdict", text)
    assert re.search(r"t1 +mnist +0\.3 +2/3 +4/5 +2 holds", text)


@pytest.mark.parametrize(
    ("scale", "of_tables", "says", "has_column"),
    [
        ("night", (1.5, 0.25), "Hours of one core, about, without what an earlier table shares: 1.8 in all.", True),
        ("night", (1.5, None), "1.5 in all; blank: nobody has measured it.", True),
        ("cpu", (2 / 3, 2 / 3), "Each table takes at most 40 minutes of one core.", False),
        ("smoke", (1 / 30,), "Each table takes at most 2 minutes of one core.", False),
        ("paper", (None, None), "Nobody has measured how long it takes.", False),
    ],
)
def test_the_list_says_what_its_hours_mean(
    scale: str, of_tables: tuple[float | None, ...], says: str, has_column: bool
) -> None:
    text = shown(scale, *of_tables)
    assert says in " ".join(text.split())
    assert ("hours" in text.partition("name")[2].splitlines()[0]) == has_column


@pytest.mark.parametrize(
    ("done", "says"),
    [((2, 3), "Not finished: t0 (1 row)."), ((3, 3), "Every row is finished."), ((0, 0), ""), ((0, 3), "t0 (3 rows).")],
)
def test_the_list_says_what_is_left_once_something_is_done(done: tuple[int, int], says: str) -> None:
    tables = [standing(f"t{place}", 1.0).model_copy(update={"rows_done": rows}) for place, rows in enumerate(done)]
    text = " ".join(FORMATS["table"](Reproductions(scale="night", folder="here", tables=tables)).split())
    assert says in text
    assert ("finished" in text) == bool(says)


def test_the_hours_of_the_night_stand_once() -> None:
    of_tables = [hours(name, Scale.night, list(table.night_hours)) or 0 for name, table in TABLES.items()]
    assert min(of_tables) >= 0
    assert sum(of_tables) == pytest.approx(night_hours())
    (option,) = reproduce.__annotations__["scale"].__metadata__
    assert re.findall(r"(\d+) hours", option.help) == [f"{night_hours() / 2:.0f}"]
    section = PAGE.partition("## A night")[2].partition("\n## ")[0]
    assert "--list --scale night" in section
    assert not re.search(r"^\| `", section, re.MULTILINE), "a table of hours of its own"
