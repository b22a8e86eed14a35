"""``advtool attacks``, ``models`` and ``schema``: what the declarations say, all of it, in 80 columns."""

import importlib.metadata
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from advtool.attacks.catalogue import catalogue as attacks
from advtool.attacks.registry import ATTACKS
from advtool.attacks.spelling import parse
from advtool.attacks.suites import SUITES
from advtool.cli import app
from advtool.cli.options import DATA_SETS
from advtool.data import KNOWN
from advtool.errors import InputError
from advtool.models import ARCHITECTURES
from advtool.results.schema import json_schema
from advtool.target.opening.catalogue import catalogue as models
from advtool.target.opening.kinds import KINDS
from tests.conftest import Command


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str]) -> Any:
    """What a command prints on stdout."""

    def call(*arguments: str) -> str:
        app([*arguments], standalone_mode=False)
        return capsys.readouterr().out

    return call


def test_every_attack_has_a_line_of_80_letters_and_every_suite_its_attacks(shown: Any) -> None:
    heading, *lines = shown("attacks").splitlines()
    assert heading.split() == ["attack", "what", "it", "does"]
    assert [line.split()[0] for line in lines[: len(ATTACKS)]] == list(ATTACKS)
    words = " ".join(" ".join(lines[len(ATTACKS) :]).split())
    for name, stages in SUITES.items():
        assert f"suite {name}: {', '.join(stages)}" in words
    assert "art:CLASS" in words


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_tells_its_source_and_each_parameter_with_default_type_and_meaning(name: str, shown: Any) -> None:
    (attack,) = attacks(name).attacks
    declared = ATTACKS[name].declared()
    assert attack.purpose
    assert attack.source
    assert [each.name for each in attack.parameters] == list(declared)
    for each in attack.parameters:
        assert each.type, each.name
        assert each.meaning, each.name
        assert (each.derived is None) == (declared[each.name].derive is None), each.name
        assert each.default == declared[each.name].default
    text = shown("attacks", name)
    assert max(map(len, text.splitlines())) <= 80
    assert attack.source in " ".join(text.split())
    example = text.splitlines()[-1].split("--attack ")[1].strip('"')
    assert parse(example, surrogate=True)[0].name == name


def test_what_is_known_of_parameters_is_what_the_papers_and_the_checks_say() -> None:
    (pgd,) = attacks("pgd").attacks
    assert "section 2.1" in str(pgd.source)
    known = {each.name: each for each in pgd.parameters}
    assert (known["steps"].default, known["steps"].type) == (50, "an integer of at least 1")
    assert (known["step_size"].default, known["step_size"].derived) == (None, "2 eps / steps")
    assert known["eot"].derived == "that of --eot"
    (apgd,) = attacks("apgd").attacks
    assert apgd.parameters[0].type == "one of 'ce', 'dlr', 'pma'"
    (square,) = attacks("square").attacks
    assert next(each for each in square.parameters if each.name == "patience").type == "a number above 0, or None"


def test_an_attack_of_art_tells_its_parameters_without_those_of_the_threat_model(shown: Any) -> None:
    document = json.loads(shown("attacks", "art:SquareAttack", "--format", "json"))
    (attack,) = document["attacks"]
    assert attack["source"] == "https://arxiv.org/abs/1912.00049"
    assert {"name": "max_iter", "default": 100, "type": "int"} in attack["parameters"]
    assert not {"eps", "norm", "estimator"} & {each["name"] for each in attack["parameters"]}
    jsonschema.validate(document, json_schema("attacks"))


def test_a_suite_tells_which_images_each_attack_sees() -> None:
    (suite,) = attacks("audit").suites
    assert [(each.attack, each.sees) for each in suite.stages] == [
        (name, scope.value) for name, scope in SUITES["audit"].items()
    ]


def test_an_attack_is_found_as_it_is_written_after_attack() -> None:
    assert attacks("pgd(steps=3)") == attacks("pgd")
    short = next(name for name in SUITES["audit"] if name.startswith("spsa("))
    assert attacks(short) == attacks("spsa")
    with pytest.raises(InputError, match="did you mean 'steps'"):
        attacks("pgd(step=3)")
    with pytest.raises(InputError, match=r"^attack 'audit\(steps=3\)': audit is a suite, which takes no parameters"):
        attacks("audit(steps=3)")


def test_an_unknown_attack_or_result_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'pgd'"):
        attacks("pgdd")
    with pytest.raises(InputError, match=r"^attack 'art:SquareAtack': .*did you mean 'SquareAttack'"):
        attacks("art:SquareAtack")
    with pytest.raises(InputError, match="did you mean 'eval'"):
        json_schema("evl")


def test_every_architecture_and_every_kind_of_model_is_there(shown: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = models()
    assert [each.name for each in found.architectures] == list(ARCHITECTURES)
    assert all(each.purpose and each.source for each in found.architectures)
    assert [each.written for each in found.kinds] == [kind.written for kind in KINDS]
    text = shown("models")
    assert max(map(len, text.splitlines())) <= 80

    def absent(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", absent)
    assert [each.written for each in models().kinds if not each.installed] == ["timm:NAME", "hf:FOLDER", "FILE.onnx"]
    assert "timm: absent" in shown("models")


def test_the_schema_lists_the_results_and_says_what_a_field_means(shown: Any) -> None:
    assert {"eval", "eval-seeds", "compare", "sweep", "reproduce", "score"} <= set(shown("schema", "--list").split())
    document = json.loads(shown("schema", "eval"))
    assert document["$defs"]["ModelCalls"]["required"] == ["forward", "backward"]
    assert "proved robust" in document["$defs"]["Certified"]["description"]
    assert document["$defs"]["Planted"]["properties"]["attack"]["description"].startswith("as it was asked for")
    assert "certified" not in document["required"]
    assert not [line for line in shown("schema").splitlines() if '"additionalProperties": false' in line]


@pytest.mark.slow
def test_the_schema_accepts_a_whole_audit(tmp_path: Path, digits_checkpoint: Path) -> None:
    asked = ("eval", digits_checkpoint, "--attack", "audit", "--certify", "--images", "8", "--format", "json")
    document = json.loads(Command(tmp_path)(*asked).stdout)
    assert {"certified", "undecided", "planted", "diagnostics"} <= document.keys()
    jsonschema.validate(document, json_schema("eval"))


def test_help_names_every_data_set_that_has_a_name() -> None:
    assert DATA_SETS.split(", ") == list(KNOWN)
