"""The models behind the tables give the figures that the docs state of them, with other random draws."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from advtool.checkpoints import read_header
from advtool.results import Evaluation
from tests.conftest import Command

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "checkpoints" / "papers"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the sdist has no checkpoints/papers")


def evaluated(command: Command, name: str, *options: str) -> Any:
    checkpoint = str(FOLDER / f"{name}.safetensors")
    done = command("eval", "--checkpoint", checkpoint, "--seed", "1", "--format", "json", *options)
    return json.loads(done.stdout)


def test_the_demos_model_gives_the_figures_of_the_evaluation_page(advtool_command: Command) -> None:
    found = evaluated(advtool_command, "digits-cnn-both-s0", "--attack", "fgsm", "--attack", "pgd")
    page = (ROOT / "docs" / "evaluation.md").read_text()
    given = {attack["name"]: attack["accuracy"] for attack in found["attacks"]} | {"clean": found["clean"]["accuracy"]}
    for name, accuracy in given.items():
        stated = re.search(rf"│ {name} +│ +([\d.]+) % │ +([\d.]+) - ([\d.]+) │", page)
        assert stated is not None, name
        assert float(stated[2]) <= 100 * accuracy <= float(stated[3]), name


def test_a_model_of_table_1_gives_its_figures_again(advtool_command: Command, data_dir: Path) -> None:
    name = "fashion-mnist-cnn-nfgsm-keep-pgd-eps0.1-e10-n12000-v250-r0h0-s0"
    stated = Evaluation.model_validate_json((FOLDER / f"{name}.json").read_text())
    found = evaluated(advtool_command, name, "--attack", "pgd", "--images", str(stated.clean.total))
    pgd = next(attack for attack in stated.attacks if attack.name == "pgd")
    assert abs(found["clean"]["correct"] - stated.clean.correct) <= 1
    assert pgd.interval is not None
    assert pgd.interval[0] <= found["attacks"][0]["accuracy"] <= pgd.interval[1]


@pytest.mark.parametrize("answer", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_each_has_its_card_its_answer_and_its_row(answer: Path) -> None:
    found = Evaluation.model_validate_json(answer.read_text())
    card = read_header(answer.with_suffix(".safetensors"))
    assert found.checkpoint is not None
    assert (found.dataset.name, found.threat_model.eps) == (card.dataset, card.threat_model.eps)
    assert found.checkpoint["recipe"] == card.recipe["name"]
    assert f"| [{answer.stem}](" in (FOLDER / "README.md").read_text()


def test_the_checkpoints_are_small() -> None:
    sizes = [path.stat().st_size for path in FOLDER.glob("*.safetensors")]
    assert len(sizes) > 2
    assert sum(sizes) < 3_000_000
