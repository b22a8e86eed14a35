"""The committed tables are what the present data and rules give, and the pages say of them what they say."""

from pathlib import Path

import pytest

from advtool.report import FORMATS
from advtool.reproduce import drawings, engine
from advtool.reproduce.cuts import cuts
from advtool.reproduce.registry import Scale, find
from advtool.reproduce.verdict import together
from advtool.results import Reproduced
from benchmarks import claims, verdicts

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "results"
RESULTS = sorted([*FOLDER.glob("*.json"), *FOLDER.glob("night/*.json")])


def read(path: Path) -> Reproduced:
    return Reproduced.model_validate_json(path.read_text())


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_a_committed_table_is_what_the_present_data_give(path: Path) -> None:
    result = read(path)
    table, scale, datasets = find(result.name), Scale(result.provenance.scale), result.provenance.datasets
    lines = table.all_lines(scale, datasets)
    assert [tuple(row.labels) for row in result.rows] == [line.labels for line in lines]
    for row, line in zip(result.rows, lines, strict=True):
        assert row.evidence.keys() == (set() if row.left else line.evidence.keys())
        assert not row.left or row.verdict is None
        for name, figure in row.figures.items():
            cell = line.cells[name]
            stated = (cell.paper, cell.paper_deviation, cell.paper_significant)
            assert (figure.paper, figure.paper_deviation, figure.paper_significant) == stated
    assert result.columns == engine.columns_of(lines)
    assert (result.title, result.claim, result.rule) == (table.title, table.claim, table.printed_rule)
    assert result.provenance.cuts == cuts(table, scale, datasets)
    assert result.notes[: len(table.notes)] == list(table.notes)
    drawn = list(drawings.panels(table, result.rows, result.columns))
    assert result.panels[: len(drawn)] == drawn
    assert path.with_suffix(".md").read_text() == FORMATS["markdown"](result)
    assert path.with_suffix(".svg").exists() == bool(result.panels)


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_a_committed_table_is_judged_by_the_present_rule(path: Path) -> None:
    result = read(path)
    assert [find(result.name).judged(row) for row in result.rows] == result.rows
    judged = together(row.verdict for row in result.rows)
    assert result.verdict == (None if any(row.left for row in result.rows) else judged)


@pytest.mark.parametrize("path", verdicts.PAGES, ids=lambda path: path.parent.name)
def test_every_figure_and_verdict_of_the_pages_is_that_of_the_stored_tables(path: Path) -> None:
    assert path.read_text() == verdicts.with_block(path.read_text(), verdicts.PAGES[path]())


def test_the_page_prefers_a_finished_row_of_the_scale_night_and_says_which_it_took() -> None:
    claim, every = claims.APB[0], list(verdicts.stored(FOLDER))
    place, table = next(each for each in every if each[0].stem == "apb-fig2-mnist")
    later = table.provenance.model_copy(update={"scale": "night"})
    first, second, *_ = (row for row in table.rows if row.labels[1] == "clean")
    left = second.model_copy(update={"left": "1 of 3 trainings left", "verdict": None})
    better = table.model_copy(update={"rows": [first, left], "provenance": later})
    found = {tuple(each.row.labels): each for each in verdicts.found(claim, [(place, better), *every])}
    assert found[tuple(first.labels)].table.provenance.scale == "night"
    assert found[tuple(second.labels)].table.provenance.scale == "cpu"
    alone = list(verdicts.section(1, claim, [(place, better)]))
    assert any("[not finished](apb-fig2-mnist.md)" in line for line in alone)


def test_every_claim_has_rows_of_every_data_set_of_its_table() -> None:
    every = [each for folder in verdicts.FOLDERS for each in verdicts.stored(folder)]
    for claim in (*claims.APB, *claims.PNIL):
        found = list(verdicts.found(claim, every))
        shown = {verdicts.dataset(each) for each in found}
        assert shown == {name for _, table in every if table.name == claim.table for name in table.provenance.datasets}
        assert claim.columns[0] in found[0].row.figures
