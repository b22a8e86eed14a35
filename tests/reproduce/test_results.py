"""The committed tables are what the present data and rules give, and the pages say of them what they say."""

import re
from pathlib import Path

import pytest

from advtool.report import FORMATS
from advtool.reproduce import drawings, engine
from advtool.reproduce.registry import Scale, find
from advtool.reproduce.verdict import together
from advtool.results import Reproduced

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "results"
RESULTS = sorted(FOLDER.glob("*.json"))
VERDICT = r"holds|partly|does not|undecided|gradient masking|no verdict"
LINK = re.compile(rf"\[({VERDICT})\]\((?:docs/results/)?([\w-]+)\.md\)")


def read(path: Path) -> Reproduced:
    return Reproduced.model_validate_json(path.read_text())


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_a_committed_table_is_what_the_present_data_give(path: Path) -> None:
    result = read(path)
    table, scale, datasets = find(result.name), Scale(result.provenance.scale), result.provenance.datasets
    lines = table.all_lines(scale, datasets)
    assert [tuple(row.labels) for row in result.rows] == [line.labels for line in lines]
    for row, line in zip(result.rows, lines, strict=True):
        assert row.evidence.keys() == line.evidence.keys()
        for name, figure in row.figures.items():
            cell = line.cells[name]
            stated = (cell.paper, cell.paper_deviation, cell.paper_significant)
            assert (figure.paper, figure.paper_deviation, figure.paper_significant) == stated
    assert result.columns == engine.columns_of(lines)
    assert (result.title, result.claim, result.rule) == (table.title, table.claim, table.printed_rule)
    assert result.provenance.cuts == engine.all_cuts(table, scale, datasets)
    assert result.notes[: len(table.notes)] == list(table.notes)
    drawn = list(drawings.panels(table, result.rows, result.columns))
    assert result.panels[: len(drawn)] == drawn
    assert path.with_suffix(".md").read_text() == FORMATS["markdown"](result)
    assert path.with_suffix(".svg").exists()


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_a_committed_table_is_judged_by_the_present_rule(path: Path) -> None:
    result = read(path)
    assert [find(result.name).judged(row) for row in result.rows] == result.rows
    assert result.verdict == together(row.verdict for row in result.rows)


def test_the_overview_names_every_table_with_its_verdict() -> None:
    links = LINK.findall((FOLDER / "README.md").read_text())
    assert sorted(name for _, name in links) == [path.stem for path in RESULTS]
    assert {name: verdict for verdict, name in links} == {
        path.stem: read(path).verdict or "no verdict" for path in RESULTS
    }
