"""The view of a reproduced table: what stands in the head, in every row and below, and what is left out."""

import csv
import io
from typing import Any

import pytest

from advtool.checkpoints import now
from advtool.report import FORMATS
from advtool.results import Column, Figure, Provenance, Reproduced, Row

PROVENANCE = Provenance(
    command="advtool reproduce toy --scale night",
    scale="night",
    cuts=["1 epoch instead of 10"],
    datasets=["mnist"],
    seeds=[0],
    models={},
    environment={"device": "cpu", "threads": 1, "torch": "2", "art": "1", "python": "3", "advtool": "0"},
    date=now(),
)


def row(*labels: str, ours: float | None, **more: Any) -> Row:
    return Row(labels=list(labels), figures={"FGSM": Figure(ours=ours, paper=0.9)}, **more)


def result(*rows: Row, **changes: Any) -> Reproduced:
    whole = Reproduced(
        name="toy",
        title="A toy",
        paper="nobody",
        claim="it runs",
        rule="Toss a coin. Heads: holds.",
        label_columns=["data set", "examples", "LeNet"],
        columns=[Column(name="FGSM")],
        rows=list(rows),
        verdict=None,
        panels=[],
        notes=[],
        provenance=PROVENANCE,
    )
    return whole.model_copy(update=changes)


PAIR = result(
    row("mnist", "", "classical", ours=0.2),
    row("mnist", "", "naive", ours=None, left="1 of 1 trainings left"),
)


def head_and_columns(written: str, first_mark: str) -> tuple[str, str]:
    head, _, grid = written.partition(first_mark)
    return head, grid.splitlines()[1] if first_mark == "┏" else grid.splitlines()[0]


@pytest.mark.parametrize(("format", "mark"), [("table", "┏"), ("markdown", "\n| ")])
def test_a_label_that_is_the_same_in_every_row_stands_in_the_head_alone(format: str, mark: str) -> None:
    written = FORMATS[format](PAIR)
    head, columns = head_and_columns(written, mark)
    assert "data set mnist" in head
    assert "examples" not in head, "an empty label says nothing"
    assert "LeNet" in columns
    assert "data set" not in columns
    assert "examples" not in columns
    assert "\nnaive: not finished" in written or "- naive: not finished" in written
    alone = result(PAIR.rows[0])
    assert "data set" in head_and_columns(FORMATS[format](alone), mark)[1], "one row keeps its name"


def test_programs_get_every_column() -> None:
    first = next(csv.DictReader(io.StringIO(FORMATS["csv"](PAIR))))
    assert (first["data set"], first["examples"], first["LeNet"]) == ("mnist", "", "classical")
    assert first.keys() >= {"masking codes", "verdict", "FGSM_paper", "FGSM_ours"}


def test_people_get_no_column_that_is_empty_in_every_row() -> None:
    bare = row("mnist", "", "classical", ours=0.2)
    named = bare.model_copy(update={"labels": ["mnist", "", "naive"], "codes": ["saturated"], "verdict": "holds"})
    without, having = (FORMATS["markdown"](result(bare, each)) for each in (row("mnist", "", "x", ours=0.1), named))
    for column in ("masking codes", "verdict"):
        assert f"| {column} |" not in without
        assert f"| {column} |" in having
    assert "verdict" not in FORMATS["table"](result(bare, row("mnist", "", "x", ours=0.1)))


def test_the_head_of_many_rows_says_where_the_highest_figure_is() -> None:
    many = [row("mnist", "", f"reading {number}", ours=(number * 7 % 50) / 100) for number in range(50)]
    best = "Highest FGSM: 49.0 %: reading 7\n"
    assert best in FORMATS["markdown"](result(*many))
    assert "Highest" not in FORMATS["markdown"](result(*many[:10]))


def test_the_papers_figure_stands_in_brackets_beside_ours_or_alone() -> None:
    cells = [line.split("│")[2].strip() for line in FORMATS["table"](PAIR).splitlines() if line.startswith("│")]
    assert cells == ["20.0 % (90.0 %)", "(90.0 %)"]


def test_one_seed_and_one_thread_are_no_seeds_and_threads() -> None:
    several = PROVENANCE.model_copy(update={"seeds": [0, 1], "environment": PROVENANCE.environment | {"threads": 2}})
    assert "; seed 0; " in FORMATS["markdown"](PAIR)
    assert " 1 thread, " in FORMATS["markdown"](PAIR)
    page = FORMATS["markdown"](PAIR.model_copy(update={"provenance": several}))
    assert "; seeds 0, 1; " in page
    assert " 2 threads, " in page


@pytest.mark.parametrize(
    ("scale", "unit", "said"),
    [("cpu", "per cent", True), ("cpu", "times", False), ("night", "per cent", False), ("paper", "per cent", False)],
)
def test_an_accuracy_of_small_trainings_says_that_it_is_no_finding(scale: str, unit: Any, said: bool) -> None:
    made = PROVENANCE.model_copy(update={"scale": scale})
    written = FORMATS["markdown"](result(*PAIR.rows, provenance=made, columns=[Column(name="FGSM", unit=unit)]))
    assert ("no finding about the paper" in written) is said
