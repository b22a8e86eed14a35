"""Every example of docs/extend.md runs as it stands, is short, and does what the page says."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import advtool
from advtool import training
from advtool.attacks.pgd import PGD
from advtool.attacks.registry import ATTACKS
from advtool.data import Split
from advtool.models.registry import ARCHITECTURES
from advtool.report import FORMATS
from advtool.threat import NORMS, ThreatModel
from advtool.training import RECIPES
from tests.support.models import mlp
from tests.support.runs import labelled

TEXT = (Path(__file__).parents[2] / "docs" / "extend.md").read_text()
SECTIONS = dict(re.findall(r"^## An? ([^\n]+)$.*?```python\n(.*?)```", TEXT, re.DOTALL | re.MULTILINE))
REGISTRIES: tuple[dict[str, Any], ...] = (ATTACKS, NORMS, RECIPES, ARCHITECTURES, FORMATS)
MAX_LINES = {"attack": 30, "norm": 35, "recipe": 20, "model": 12, "format": 15, "table of a paper": 40}


@pytest.fixture(scope="module", autouse=True)
def extended() -> Iterator[None]:
    """The page from top to bottom, and the registries as they were afterwards."""
    before = [dict(registry) for registry in REGISTRIES]
    for section, code in SECTIONS.items():
        lines = [line for line in code.splitlines() if line.strip() and not line.startswith(("import", "from"))]
        print(f"{section}: {len(lines)} lines")
        assert len(lines) <= MAX_LINES[section], section
        exec(compile(code, f"docs/extend.md, {section}", "exec"), {})
    yield
    for registry, content in zip(REGISTRIES, before, strict=True):
        registry.clear()
        registry.update(content)


def test_the_page_has_an_example_of_each() -> None:
    assert SECTIONS.keys() == MAX_LINES.keys()


def test_the_attack_breaks_images_by_name_and_with_a_parameter() -> None:
    model = mlp()
    x, y = labelled(model)
    result = advtool.evaluate(model, x, y, eps=0.05, attacks=["momentum", "momentum(steps=3)", "pgd"])
    momentum, short, pgd = result.attacks
    assert (momentum.parameters["steps"], short.parameters["steps"]) == (10, 3)
    assert pgd.robust is not None
    assert momentum.robust is not None
    assert abs(momentum.robust - pgd.robust) <= 3 < len(x) - momentum.robust


def test_the_norm_bounds_the_length_of_what_an_attack_finds() -> None:
    model = mlp()
    x, y = labelled(model)
    threat_model = ThreatModel(norm="l2", eps=0.15)
    classifier = advtool.EOTClassifier(model, input_shape=(1, 4, 4), classes=4)
    found = PGD(classifier, threat_model).generate(x, y)
    length = (found - x).flatten(1).norm(dim=1)
    assert threat_model.contains(found, x).all()
    assert 0.14 < float(length.max()) <= 0.15 + 1e-6
    assert float((found - x).abs().max()) > 0.06, "a pixel may move by more than in an L-infinity ball of that volume"
    with torch.no_grad():
        assert int((model(found).argmax(1) != y).sum()) > 5


def test_the_recipe_and_the_model_train_and_come_back(tiny: Split, tmp_path: Path) -> None:
    path = tmp_path / "gentle.safetensors"
    header = training.train(tiny, "gentle", arch="mlp", epochs=1, output=path).header
    assert (header.recipe["name"], header.recipe["pgd_steps"], header.architecture.name) == ("gentle", 3, "mlp")
    assert advtool.load_checkpoint(path)(torch.zeros(2, 1, 8, 8)).shape == (2, 3)


def test_the_format_writes_any_result() -> None:
    model = mlp()
    x, y = labelled(model)
    result = advtool.evaluate(model, x, y, eps=0.05, attacks=["fgsm"])
    lines = [line.split("\t") for line in FORMATS["tsv"](result).splitlines()]
    assert lines[0][0] == "attack"
    assert lines[1][:2] == ["clean", "100.0 %"]
    assert {len(line) for line in lines} == {len(lines[0])}
