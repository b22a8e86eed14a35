"""What is certified beside the worst case: where tables ask for proofs, what stands in the column, how it is shown."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import advtool
from advtool import models
from advtool.data import first_images, load, to_float
from advtool.report import FORMATS
from advtool.reproduce.catalogue import TABLES, Scale
from advtool.reproduce.cells import certified, share
from advtool.reproduce.engine import reproduce
from advtool.reproduce.lines import Line
from advtool.reproduce.registry import find
from advtool.reproduce.steps import Asked, Budget
from advtool.reproduce.table import Table
from advtool.results import CERTIFIED, Figure, Reproduced, Row

SMALL, LARGE, IMAGES = 0.02, 0.3, 12
ASKED_FOR = {
    "apb-fig3a": {(dataset, eps) for dataset in ("mnist", "fashion-mnist") for eps in (0.05, 0.1)},
    "apb-readings": {("mnist", 0.3), ("fashion-mnist", 0.3)},
    "pnil-readings": {("fashion-mnist", 4 / 255), ("fashion-mnist", 0.1), ("mnist", 8 / 255)},
    "pnil-table1": {("cifar10", 0.03), ("fashion-mnist", 4 / 255), ("fashion-mnist", 0.1), ("mnist", 8 / 255)},
    "pnil-fig5": {("cifar10", eps) for eps in (0.0075, 0.015, 0.0225, 0.03, 0.0375, 0.045, 0.06)},
    "pnil-madry": {("cifar10", 0.03)},
}
"""Data sets and eps at the scale paper."""
ASKED_FOR["pnil-masking"] = ASKED_FOR["pnil-table1"] - {("cifar10", 0.03)}


def lines_of(name: str, scale: Scale) -> list[Line]:
    table = find(name)
    return table.all_lines(scale, table.other_datasets.get(scale, table.datasets))


@pytest.mark.parametrize("name", TABLES)
def test_proofs_are_asked_for_where_the_table_has_a_place_for_them(name: str) -> None:
    lines = lines_of(name, Scale.paper)
    columns = [(line, line.cells[CERTIFIED].of[0][0].settings) for line in lines if CERTIFIED in line.cells]
    assert {(line.models[0].dataset, settings.eps) for line, settings in columns} == ASKED_FOR.get(name, set())
    shown = {settings for _, settings in columns}
    asked = [step.question.settings for line in lines for step in line.steps() if isinstance(step, Asked)]
    assert all(settings.certify is (settings in shown) for settings in asked), "never left to the audit"


def test_the_curves_of_the_scale_cpu_ask_at_their_small_eps() -> None:
    asked = {line.labels[::2] for line in lines_of("pnil-fig5", Scale.cpu) if CERTIFIED in line.cells}
    fashion = {("fashion-mnist", eps) for eps in ("0.025", "0.05", "0.075", "0.1")}
    assert asked == {("mnist", "0.075"), *fashion}


def lines(_scale: Scale, dataset: str) -> Iterator[Line]:
    """A model that has bounds, a random one, and one at an eps at which nobody asks."""
    budget = Budget(epochs=3, limit=600, validated=50, images=IMAGES, audited=IMAGES, spsa=(2, 8), eot=2)
    for eps, pnil in ((SMALL, False), (SMALL, True), (LARGE, False)):
        audit = budget.audit(eps, votes=3 if pnil else None, eot=2 if pnil else None)
        cells = {"worst case": share(audit, "worst case"), **certified(audit)}
        model = budget.model(dataset, "nfgsm", eps, {"arch": "cnn"} | ({"pnil": True} if pnil else {}))
        yield Line(labels=(dataset, model.name), cells=cells, models=(model,))


TOY = Table(
    name="toy",
    paper="nobody",
    claim="it runs",
    rule=lambda _row: None,
    datasets=("digits",),
    label_columns=("data set", "model"),
    lines=lines,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certified")


@pytest.fixture(scope="module")
def result(folder: Path) -> Reproduced:
    return reproduce(TOY, Scale.smoke, folder=folder)


def test_the_column_is_what_certify_proves_of_the_same_images(result: Reproduced, folder: Path) -> None:
    proved, random, large = result.rows
    (model,) = next(lines(Scale.smoke, "digits")).models
    images = first_images(load("digits", "test", None), IMAGES)
    network = models.load_checkpoint(folder / "models" / f"{model.name}.safetensors")
    found = advtool.certify(network, to_float(images.images), images.labels, eps=SMALL, seconds=0)
    ours, worst = proved.figures[CERTIFIED].ours, proved.figures["worst case"].ours
    assert ours == found.certified.double().mean().item()
    assert worst is not None
    assert 0 < ours <= worst
    assert random.figures[CERTIFIED].ours is None
    assert "random" in (random.figures[CERTIFIED].missing or "")
    assert large.figures.keys() == {"worst case"}


def test_several_models_have_the_mean_of_their_shares(folder: Path) -> None:
    def twice(scale: Scale, dataset: str) -> Iterator[Line]:
        first = next(lines(scale, dataset))
        yield replace(first, models=(*first.models, replace(first.models[0], seed=1)))

    (row,) = reproduce(replace(TOY, lines=twice), Scale.smoke, folder=folder).rows
    figure = row.figures[CERTIFIED]
    assert (figure.repeats, figure.interval) == (2, None)
    assert figure.ours is not None
    assert (2 * IMAGES * figure.ours) % 1 == pytest.approx(0, abs=1e-9)


def test_a_dash_is_explained_and_what_nobody_asked_for_is_blank(result: Reproduced) -> None:
    page = FORMATS["markdown"](result)
    shown = [line.split("|")[3].strip() for line in page.splitlines() if line.startswith("| digits")]
    assert shown[0].endswith(")")
    assert shown[1:] == ["-", ""]
    assert "A dash under certified: not certified: the model is random" in page
    assert "Certified: images that bounds prove" in page
    for written in (page, FORMATS["table"](result)):
        assert written.count("certified: the model is random") == 1


def test_programs_get_the_share_and_the_reason(result: Reproduced) -> None:
    document = json.loads(FORMATS["json"](result))
    proved, random, large = (row["figures"] for row in document["rows"])
    assert "missing" not in proved["certified"], "the figures of other tables stay as they were"
    assert proved["certified"]["ours"] == result.rows[0].figures[CERTIFIED].ours
    assert (random["certified"]["ours"], random["certified"]["interval"]) == (None, None)
    assert "random" in random["certified"]["missing"]
    assert "certified" not in large
    assert Reproduced.model_validate(document) == result
    table = list(csv.DictReader(io.StringIO(FORMATS["csv"](result))))
    assert [bool(row["certified_ours"]) for row in table] == [True, False, False]


def test_the_column_leaves_every_word_of_table_1_whole() -> None:
    stored = Path(__file__).parents[2] / "docs" / "results" / "night" / "pnil-table1-fashion-mnist.json"
    text = FORMATS["table"](Reproduced.model_validate_json(stored.read_text()))
    assert max(map(len, text.splitlines())) <= 80
    last = text.split("┏")[-1].splitlines()
    rows = [[cell.strip() for cell in line.split("│")] for line in last if line.startswith("│")]
    assert {row[-2] for row in rows} == {"undecided", ""}
    assert {row[-3] for row in rows} == {"80.0 %", "77.5 %", "41.0 %", "20.0 %", "-"}
    assert " certified " in text


def test_a_stored_share_lies_below_the_worst_case() -> None:
    stored = (Path(__file__).parents[2] / "docs" / "results" / "night").glob("*.json")
    rows = [row for path in stored for row in Reproduced.model_validate_json(path.read_text()).rows if not row.left]
    both = [row.figures for row in rows if {CERTIFIED, "worst case"} <= row.figures.keys()]
    assert both
    for ours, worst in ((figures[CERTIFIED], figures["worst case"]) for figures in both):
        assert worst.ours is not None
        assert (ours.ours is None) == bool(ours.missing)
        assert ours.ours is None or ours.ours <= worst.ours


def test_no_verdict_reads_what_is_certified() -> None:
    for name in TABLES:
        for line in lines_of(name, Scale.cpu):
            read = {getattr(each, "column", "") for each in line.evidence.values()}
            assert CERTIFIED not in read
    row = Row(labels=[], figures={CERTIFIED: Figure(missing="random")})
    assert find("pnil-table1").judged(row).verdict is None
