"""The committed tables are what the present data and rules give, and the pages say of them what they say."""

import shutil
from pathlib import Path

import pytest

from advtool.report import FORMATS
from advtool.reproduce import drawings, engine
from advtool.reproduce.catalogue import Scale
from advtool.reproduce.cuts import cuts
from advtool.reproduce.engine import reproduce_all
from advtool.reproduce.registry import find
from advtool.results import Column, Figure, Reproduced, Row
from benchmarks import claims, verdicts

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "results"
RESULTS = sorted(FOLDER.glob("night/*.json"))


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
    judged = find(result.name).overall(result.rows)
    assert result.verdict == (None if any(row.left for row in result.rows) else judged)


def test_two_or_three_models_are_shown_one_by_one_where_shares_are_told() -> None:
    seeds = Figure(ours=0.724, deviation=0.416, repeats=3, each=[0.244, 0.974, 0.953])
    assert verdicts.of_each(Column(name="FGSM"), seeds) == "72.4 % (24.4, 97.4, 95.3)"
    folds = seeds.model_copy(update={"each": [0.724] * 10, "repeats": 10})
    assert verdicts.of_each(Column(name="FGSM"), folds) == "72.4 % ± 41.6"
    noise = Figure(ours=0.096, deviation=0.01, repeats=2, each=[0.095, 0.097])
    assert "%" not in verdicts.of_each(Column(name="centre", unit="noise level"), noise)


@pytest.mark.parametrize("path", verdicts.PAGES, ids=lambda path: path.parent.name)
def test_every_figure_and_verdict_of_the_pages_is_that_of_the_stored_tables(path: Path) -> None:
    assert path.read_text() == verdicts.with_block(path.read_text(), verdicts.PAGES[path]())


@pytest.mark.parametrize("dataset", ["mnist", "fashion-mnist", "cifar10"])
def test_the_tables_of_the_night_are_what_its_parts_give(dataset: str, tmp_path: Path) -> None:
    for kept in ("parts", "timings"):
        if (FOLDER / "night" / kept).exists():
            shutil.copytree(FOLDER / "night" / kept, tmp_path / kept)
    every = map(read, sorted((FOLDER / "night").glob("*.json")))
    pages = [page for page in every if page.provenance.datasets == [dataset]]
    pages = [page for page in pages if page.name not in ("pnil-fig1", "pnil-fig3")]  # rows of them need the images
    tables = [find(page.name) for page in pages]
    given = reproduce_all(tables, Scale.night, folder=tmp_path, datasets=[dataset], seconds=0)
    for page, made in zip(pages, given, strict=True):
        assert made.rows == page.rows
        assert (made.verdict, made.panels, made.notes) == (page.verdict, page.panels, page.notes)
        assert made.provenance.models == page.provenance.models


def of_figure_2(*rows: Row) -> tuple[Path, Reproduced]:
    """A stored table with these rows of it."""
    place, table = next(each for each in verdicts.stored() if each[0].stem == "apb-fig2-mnist")
    return place, table.model_copy(update={"rows": list(rows or table.rows)})


def test_readme_says_what_holds_only_so_far() -> None:
    claim = claims.APB[0]
    judged = next(row for row in of_figure_2()[1].rows if row.verdict)
    naive = judged.model_copy(update={"verdict": "does not"})
    left = naive.model_copy(update={"left": "1 of 3 trainings left", "verdict": None, "evidence": {}})
    words = {
        "Does not hold*: clean training with the bias withstands FGSM, on MNIST": (naive,),
        "Does not hold*: clean training with the bias withstands FGSM, on MNIST so far": (naive, left),
        "Not finished*: clean training with the bias withstands FGSM, on MNIST": (left,),
    }
    for said, rows in words.items():
        assert verdicts.by_verdict([claim], [of_figure_2(*rows)]) == f"*{said}."


def judged(trained_on: str, dataset: str, verdict: str, gain: float) -> Row:
    rows = of_figure_2()[1].rows
    row = next(row for row in rows if row.verdict and row.labels[1] == trained_on)
    evidence = {name: each.model_copy(update={"value": gain}) for name, each in row.evidence.items()}
    labels = [dataset, *row.labels[1:]]
    return row.model_copy(update={"labels": labels, "verdict": verdict, "evidence": evidence})


def test_of_the_open_claims_readme_names_the_first_that_is_decided_nowhere() -> None:
    on_clean, _, on_examples, *_ = claims.APB
    rows = (judged("clean", "mnist", "holds", 0.8), judged("clean", "fashion-mnist", "undecided", 0.1))
    every = [of_figure_2(*rows, judged("adv", "mnist", "undecided", -0.1))]
    said = verdicts.by_verdict([on_clean, on_examples], every)
    assert said.endswith(f"*Undecided*: {on_examples.brief}, and 1 other claim, on one data set or more.")


def test_the_gain_beside_a_verdict_goes_from_the_smallest_to_the_largest_of_the_judged_rows() -> None:
    rows = [judged("clean", "mnist", "undecided", gain) for gain in (0.1, -0.043, 0.021)]
    rows += [judged("clean", "fashion-mnist", "holds", 0.5), rows[0].model_copy(update={"verdict": None})]
    every = [of_figure_2(*rows)]
    assert verdicts.gains(claims.APB[0], every, "mnist") == ": -4.3 to +10.0"
    assert verdicts.gains(claims.APB[0], every, "fashion-mnist") == ": +50.0"
    assert verdicts.gains(claims.APB[0], every, "cifar10") == ""


def test_every_claim_has_rows_of_every_data_set_of_its_table() -> None:
    every = verdicts.stored()
    for claim in (*claims.APB, *claims.PNIL):
        found = list(verdicts.found(claim, every))
        of_table = {
            name
            for _, table in every
            if table.name == claim.table and any(claim.is_about(row.labels) for row in table.rows)
            for name in table.provenance.datasets
        }
        assert {verdicts.dataset(each) for each in found} == of_table != set()
        assert claim.columns[0] in found[0].row.figures
