"""What a result says it was cut down in: only what is less than the paper's protocol, in plain words."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from advtool.evaluation.settings import Settings
from advtool.reproduce.catalogue import TABLES, Scale
from advtool.reproduce.cells import share
from advtool.reproduce.cuts import cuts
from advtool.reproduce.lines import Line
from advtool.reproduce.registry import find
from advtool.reproduce.steps import Question
from tests.support.toy_table import SOURCE, TOY


def of(name: str, scale: Scale, *datasets: str) -> list[str]:
    table = find(name)
    return cuts(table, scale, datasets or table.datasets_at(scale))


def test_cuts_are_what_a_scale_asks_less_for() -> None:
    found = of("pnil-table1", Scale.cpu)
    assert "1 model a row instead of 10" in found
    assert "50 test images under audit and spsa instead of 1,000" in found
    assert "64 SPSA samples under audit and spsa instead of 2,048" in found
    assert "epoch chosen by pgd instead of loss" in found
    assert "no cifar10" in found
    assert "25, 100 or 500 epochs instead of 500" in of("apb-fig2", Scale.night)
    assert "no test images under audit and spsa" in of("pnil-madry", Scale.cpu)


@pytest.mark.parametrize("name", TABLES)
def test_the_papers_protocol_lacks_only_what_no_scale_has(name: str) -> None:
    table = find(name)
    assert cuts(table, Scale.paper, table.datasets) == list(table.differs)


def test_what_is_more_or_ours_alone_is_no_cut() -> None:
    of_apb, of_pnil = (" ".join(of(name, Scale.night)) for name in ("apb-fig2", "pnil-table1"))
    assert "a row" not in of_apb, "three models where the paper may have one"
    assert "100 test images under audit and spsa instead of 1,000" in of_apb, "the reader should know how few"
    assert "rows" not in of_apb
    assert " epochs instead of 30" not in of_pnil, "the paper has no number of epochs"
    assert "audit" in of_pnil, "the paper asks SPSA on 1,000 images"
    assert of("apb-search", Scale.cpu, "mnist", "fashion-mnist") == list(find("apb-search").differs), "a search of ours"


def test_a_data_set_that_was_not_asked_for_is_no_cut() -> None:
    assert not any("fashion-mnist" in each for each in of("apb-fig2", Scale.night, "mnist"))
    assert "digits instead of mnist, fashion-mnist" in of("apb-fig2", Scale.smoke)
    assert "mnist instead of cifar10" in of("pnil-fig4", Scale.night, "mnist")


def test_a_table_of_ones_own_is_compared_in_everything() -> None:
    def lines(scale: Scale, _: str) -> Iterator[Line]:
        small = scale is Scale.smoke
        model = replace(SOURCE, epochs=1 if small else 3, limit=60 if small else None, validated=20 if small else 30)
        question = Question(1 if small else 5, Settings(eps=0.1, attacks=("audit", "spsa")))
        line = Line(labels=("a",), cells={"worst case": share(question, "worst case")}, models=(model,))
        yield from [line] if small else [line, replace(line, labels=("b",))]

    assert cuts(replace(TOY, lines=lines), Scale.smoke, ["digits"]) == [
        "1 epoch instead of 3",
        "60 training images instead of all",
        "20 validation images instead of 30",
        "1 row instead of 2",
        "1 test image under audit and spsa instead of 5",
    ]
