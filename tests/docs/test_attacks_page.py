"""docs/attacks.md names every attack and every suite, and no other."""

import re
from pathlib import Path

from advtool.attacks.registry import ATTACKS
from advtool.attacks.suites import SUITES

TEXT = (Path(__file__).parents[2] / "docs" / "attacks.md").read_text()
FIRST_CELLS = re.findall(r"^\| `([^`]+)` \|", TEXT, re.MULTILINE)


def test_each_attack_and_each_suite_has_a_row() -> None:
    assert sorted(FIRST_CELLS) == sorted([*ATTACKS, *SUITES])


def test_each_stage_of_a_suite_is_an_attack_of_the_page() -> None:
    assert {stage.partition("(")[0] for suite in SUITES.values() for stage in suite} <= set(FIRST_CELLS)
