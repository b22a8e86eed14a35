"""The committed tables are what the present scale `cpu` gives, and the pages say of them what they say."""

import re
from pathlib import Path

import pytest

from advtool.report import FORMATS
from advtool.reproduce import registry
from advtool.reproduce.scale import Scale
from advtool.reproduce.verdict import together
from advtool.results import Reproduced

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "results"
RESULTS = sorted(FOLDER.glob("*.json"))
LINK = re.compile(r"\[(holds|partly|does not|gradient masking|no verdict)\]\(([\w-]+)\.md\)")


def read(path: Path) -> Reproduced:
    return Reproduced.model_validate_json(path.read_text())


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_a_committed_table_is_of_the_present_scale_and_reads_as_its_page(path: Path) -> None:
    result = read(path)
    table = registry.find(result.name)
    plan = table.plan(Scale(result.provenance.scale), result.provenance.datasets)
    assert result.provenance.cuts[: len(plan.cuts)] == list(plan.cuts)
    assert (result.rule, result.claim) == (table.rule, table.claim)
    assert result.verdict == together(row.verdict for row in result.rows)
    assert path.with_suffix(".md").read_text() == FORMATS["markdown"](result)
    assert path.with_suffix(".svg").exists()


def test_the_overview_names_every_table_with_its_verdict() -> None:
    links = LINK.findall((FOLDER / "README.md").read_text())
    assert sorted(name for _, name in links) == [path.stem for path in RESULTS]
    assert {name: verdict for verdict, name in links} == {
        path.stem: read(path).verdict or "no verdict" for path in RESULTS
    }
