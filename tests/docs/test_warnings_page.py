"""The audit's warnings fire where they should: the page's models, and two trained ones that hide their gradients."""

import re
from pathlib import Path
from typing import Any

import pytest

import advtool
from advtool.attacks.suites import LONG_SQUARE, SHORT_SPSA, SUITES
from advtool.data import Split, first_images, to_float
from advtool.evaluation.diagnostics.evidence import CODES

ROOT = Path(__file__).parents[2]
SECTION = re.compile(r"^### (\S+)$(?:(?!^###).)*?```python\n(.*?)```", re.DOTALL | re.MULTILINE)
TEXT = (ROOT / "docs" / "warnings.md").read_text()
EXAMPLES = SECTION.findall(TEXT)


@pytest.fixture(scope="module")
def names(digits_checkpoint: Path) -> dict[str, Any]:
    """What the page's first Python defines, and its examples so far: later ones use the models of earlier ones."""
    setup = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)[0]
    names: dict[str, Any] = {}
    exec(setup.replace('"checkpoints/digits-lenet-both-s0.safetensors"', repr(str(digits_checkpoint))), names)
    return names


def test_the_page_explains_every_code() -> None:
    assert set(CODES) == {code for code, _ in EXAMPLES}


@pytest.mark.slow
def test_every_example_earns_its_warning(names: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    light = {"square": "square(queries=200)", "apgd": "apgd(steps=20)", "doubling": "doubling(steps=2)"}
    spared = {SHORT_SPSA, LONG_SQUARE, "apgd(loss='dlr')"}
    suite = {light.get(name, name): scope for name, scope in SUITES["audit"].items() if name not in spared}
    monkeypatch.setitem(SUITES, "audit", suite)
    for code, example in EXAMPLES:
        exec(example, names)
        assert code in names["found"], f"{code}: only {names['found']}"


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["clean", "nfgsm", "pgd"])
def test_honest_models_raise_no_masking_code(recipe: str, mnist: Split) -> None:
    """At eps 0.1, where none of these recipes overfits."""
    model = advtool.load_checkpoint(ROOT / "tests" / "checkpoints" / f"mnist-cnn-{recipe}.safetensors")
    split = first_images(mnist, 30)
    result = advtool.evaluate(model, to_float(split.images), split.labels, eps=0.1, attacks="audit")
    assert not [warning.code for warning in result.warnings if warning.kind == "masking"]
    assert (result.worst_case.accuracy > 0.7) == (recipe != "clean")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("checkpoint", "code", "above"),
    [
        ("mnist-lenet-apb-ascent", "margin-beats-cross-entropy", 0.7),
        ("mnist-cnn-rfgsm", "search-far-below-pgd", 0.1),
    ],
)
def test_models_that_hide_their_gradients_are_found_out(checkpoint: str, code: str, above: float, mnist: Split) -> None:
    """The first paper's figure (high FGSM accuracy), and one-step training at MNIST eps 0.3."""
    model = advtool.load_checkpoint(ROOT / "tests" / "checkpoints" / f"{checkpoint}.safetensors")
    split = first_images(mnist, 100)
    result = advtool.evaluate(model, to_float(split.images), split.labels, eps=0.3, attacks="audit")
    pgd = next(attack.accuracy for attack in result.attacks if attack.name == "pgd")
    assert pgd - result.worst_case.accuracy >= above
    assert code in {warning.code for warning in result.warnings if warning.kind == "masking"}


def test_a_sweep_of_a_masked_model_says_that_its_attack_does_not_attack(mnist: Split) -> None:
    model = advtool.load_checkpoint(ROOT / "tests" / "checkpoints" / "mnist-lenet-apb-ascent.safetensors")
    split = first_images(mnist, 100)
    result = advtool.sweep_eps(model, to_float(split.images), split.labels, eps=[0.1, 0.5], attacks=["pgd(steps=20)"])
    told = [(finding.code, finding.value) for finding in result.warnings if finding.kind == "masking"]
    assert told == [("survives-half-the-range", 0.5)]
