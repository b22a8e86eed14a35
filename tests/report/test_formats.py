"""Every result in every format, and a format of one's own."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import advtool
from advtool.attacks import catalogue as attacks
from advtool.checkpoints import read_header
from advtool.cli import app
from advtool.data import available
from advtool.errors import InputError
from advtool.report import FORMATS, TABLES, Document, Format, to_table
from advtool.report.card import Card
from advtool.report.data_sets import DataSets
from advtool.reproduce.catalogue import Scale
from advtool.reproduce.engine import standing
from advtool.reproduce.registry import find
from advtool.results import (
    ComparedRun,
    Comparison,
    EpsQuantile,
    Evaluation,
    PerImageSweep,
    Planted,
    Reproduced,
    RescoredAttack,
    Score,
    SeedsEvaluation,
    SweepPoint,
)
from advtool.results import record as records
from advtool.results.schema import json_schema
from advtool.studies.listing import list_runs
from advtool.target.opening import catalogue as opening
from advtool.training.range_test import propose
from tests.support.models import NoisyInput, mlp
from tests.support.runs import two_models_images

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, digits_checkpoint: Path) -> dict[str, Document]:
    """A small result of each kind that ``TABLES`` names."""
    folder, images, noisy = tmp_path_factory.mktemp("runs"), two_models_images(30), NoisyInput(mlp(), 0.3)
    settings: dict[str, Any] = {"eps": 0.05, "attacks": ["fgsm", "pgd"], "pgd_steps": 2}
    draws: dict[str, Any] = {**settings, "votes": 2, "eot": 2}
    evaluation = advtool.evaluate(mlp(), *images, run_dir=folder / "a", save_adversarial=True, **settings)
    found: list[Document] = [
        evaluation,
        advtool.checklist(evaluation),
        advtool.compare(folder / "a", folder / "a"),
        advtool.side_by_side(folder / "a", folder / "a", folder / "a"),
        advtool.score(folder / "a", mlp(seed=1)),
        advtool.check(mlp(), *images, eps=0.05),
        advtool.evaluate_seeds(noisy, *images, seeds=[0, 1], **draws),
        advtool.sweep_eps(mlp(), *images, eps=[0, 0.05], pgd_steps=2),
        advtool.smallest_eps(mlp(), *images, attacks="nearest(rounds=1, steps=2)"),
        advtool.sweep_eot(noisy, *images, eps=0.05, draws=[1, 2], votes=2, pgd_steps=2),
        propose([10.0**power for power in range(-6, 0)], [2.0, 2.0, 1.5, 1.0, 0.5, 0.4], "cyclic"),
        Reproduced.model_validate_json(sorted((ROOT / "docs" / "results" / "night").glob("*.json"))[0].read_text()),
        standing([find("apb-fig2")], Scale.smoke, folder=folder / "none"),
        DataSets(available(folder)),
        Card(digits_checkpoint.name, read_header(digits_checkpoint)),
        attacks.catalogue(),
        opening.catalogue(),
        list_runs(folder),
    ]
    return {type(result).__name__: result for result in found}


def test_every_document_has_a_table(results: dict[str, Document]) -> None:
    documents = {kind.__name__ for kind in records.Document.__subclasses__() if not kind.__subclasses__()}
    assert documents - {"_Sweep"} <= TABLES.keys() == results.keys()


@pytest.mark.parametrize("kind", TABLES)
def test_every_format_writes_every_result(kind: str, results: dict[str, Document]) -> None:
    result = results[kind]
    written = {name: write(result) for name, write in FORMATS.items()}
    table = to_table(result)
    assert json.loads(written["json"]) == result.to_dict()
    objects = [json.loads(line) for line in written["jsonl"].splitlines()]
    assert all(isinstance(each, dict) for each in objects)
    assert all(text.endswith("\n") for text in written.values())
    assert max(map(len, written["table"].splitlines())) <= 80 or not table.folded
    header, *lines = csv.reader(io.StringIO(written["csv"]))
    assert len(set(header)) == len(header)
    assert len(lines) == len(table.rows or table.facts)
    assert len(objects) == {"Evaluation": 30, "SeedsEvaluation": 60, "PerImageSweep": 30}.get(kind, len(lines))
    assert {len(line) for line in lines} == {len(header)}
    for note in table.notes:
        assert f"\n- {note}\n" in written["markdown"]


def test_the_schema_accepts_every_result_and_refuses_what_lacks_a_key(results: dict[str, Document]) -> None:
    """A list of data sets alone has no schema of its own."""
    validator = jsonschema.Draft202012Validator(json_schema())
    validator.check_schema(validator.schema)
    for result in (result for kind, result in results.items() if kind != "DataSets"):
        document = result.to_dict()
        validator.validate(document)
        jsonschema.validate(document, json_schema(document["schema"].split(".")[1].split("/")[0]))
        optional = getattr(result, "optional", {"schema"})  # the header of a checkpoint is no record
        for key in document.keys() - optional:
            lacking = {name: value for name, value in document.items() if name != key}
            assert not validator.is_valid(lacking), (document["schema"], key)


EVALUATION = Evaluation.model_validate(
    {
        "checkpoint": None,
        "model": {"spec": "net.py:make"},
        "dataset": {"name": "mnist", "split": "test", "images": 10},
        "threat_model": {"norm": "linf", "eps": 8 / 255, "clip": [0, 1]},
        "seed": 0,
        "eot": 1,
        "votes": 1,
        "clean": {"correct": 9, "total": 10, "accuracy": 0.9, "interval": [0.596, 0.982]},
        "attacks": [
            {
                "name": "fgsm",
                "parameters": {},
                "total": 10,
                "robust": 5,
                "accuracy": 0.5,
                "interval": [0.237, 0.763],
                "seconds": 75.0,
                "model_calls": {"forward": 20, "backward": 10},
                "accuracy_on_examples": 0.6,
            },
            {
                "name": "pgd",
                "parameters": {},
                "total": 10,
                "survivors_in": 5,
                "survivors_out": 2,
                "seconds": 0.25,
                "model_calls": {"forward": 20, "backward": 10},
            },
        ],
        "effective_robustness": {"accuracy": 0.5, "interval": [0.237, 0.763], "attack": "fgsm"},
        "worst_case": {"robust": 2, "total": 10, "accuracy": 0.2, "interval": [0.057, 0.51]},
        "warnings": [{"code": "narrow-images", "kind": "setup", "message": "odd"}],
        "environment": {},
    }
)


def test_an_evaluation_as_markdown() -> None:
    assert FORMATS["markdown"](EVALUATION) == (
        "net.py:make on 10 test images of mnist, linf eps 8/255, seed 0:\n"
        "\n"
        "| attack | accuracy | 95 % interval | images | time |\n"
        "|---|---:|---:|---:|---:|\n"
        "| clean | 90.0 % | 59.6 - 98.2 | 10 |  |\n"
        "| fgsm | 50.0 % | 23.7 - 76.3 | 10 | 1 min 15 s |\n"
        "| pgd | 2 left | - | 5 | 0.2 s |\n"
        "| Min (fgsm) | 50.0 % | 23.7 - 76.3 | 10 |  |\n"
        "| worst case | 20.0 % | 5.7 - 51.0 | 10 |  |\n"
        "\n"
        "- fgsm: accuracy on examples 60.0 % (every image attacked, the final examples classified)\n"
        "- setup [narrow-images]: odd\n"
    )


def test_an_evaluation_as_csv() -> None:
    assert FORMATS["csv"](EVALUATION) == (
        "kind,name,accuracy,low,high,images,seconds,left\n"
        "clean,clean,0.9,0.596,0.982,10,,\n"
        "attack,fgsm,0.5,0.237,0.763,10,75.0,\n"
        "attack,pgd,,,,5,0.25,2\n"
        "minimum,Min (fgsm),0.5,0.237,0.763,10,,\n"
        "worst case,worst case,0.2,0.057,0.51,10,,\n"
    )


def grid(result: Document) -> list[list[str]]:
    """The cells of the Markdown table, without the rule under its head."""
    lines = [line for line in FORMATS["markdown"](result).splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_planted_examples_are_a_share_of_those_that_were_planted() -> None:
    planted = Planted(found=30, total=40, attack="fgsm", found_by={"fgsm": 30}, seconds=1.0)
    last = list(csv.DictReader(io.StringIO(FORMATS["csv"](EVALUATION.model_copy(update={"planted": planted})))))[-1]
    assert (last["kind"], last["accuracy"], last["images"]) == ("planted", "0.75", "40")


def test_seeds_in_columns() -> None:
    spread = {"mean": 0.5, "standard_deviation": 0.0123, "lowest": 0.4875, "highest": 0.512}
    summary = {
        "clean": {"mean": 0.9, "standard_deviation": 0.0, "lowest": 0.9, "highest": 0.9},
        "attacks": [{"name": "fgsm", **spread}],
        "effective_robustness": None,
        "worst_case": {"mean": 0.4, "standard_deviation": 0.1, "lowest": 0.3, "highest": 0.5},
    }
    result = SeedsEvaluation.model_validate({"seeds": [0, 2], "summary": summary, "evaluations": [EVALUATION] * 2})
    assert grid(result) == [
        ["attack", "mean", "std. deviation", "lowest", "highest"],
        ["clean", "90.0 %", "0.00", "90.0 %", "90.0 %"],
        ["fgsm", "50.0 %", "1.23", "48.8 %", "51.2 %"],
        ["worst case", "40.0 %", "10.00", "30.0 %", "50.0 %"],
    ]


def test_two_runs_in_columns() -> None:
    compared = ComparedRun.model_validate(
        {"run": "a", **EVALUATION.model_dump(include=ComparedRun.model_fields.keys() - {"run"})}
    )
    paired = {"difference": -0.25, "interval": (-0.4, -0.1), "only_a": 5, "only_b": 30, "p_value": 0.0312}
    paired |= {"accuracy_a": 0.25, "accuracy_b": 0.5}
    result = Comparison.model_validate(
        {"a": compared, "b": compared, "images": 100, "clean": paired, "attacks": [{"name": "pgd", **paired}],
         "effective_robustness": None, "worst_case": paired, "notes": []}
    )  # fmt: skip
    figures = ["25.0 %", "50.0 %", "-25.0", "-40.0 to -10.0", "0.031"]
    assert grid(result) == [
        ["attack", "A", "B", "A - B", "95 % interval", "McNemar p"],
        *([name, *figures] for name in ("clean", "pgd", "worst case")),
    ]


def test_a_score_in_columns() -> None:
    attack = RescoredAttack(
        name="pgd", examples=50, originals_correct=40, fooling=10, share=0.25, interval=(0.142, 0.402)
    )
    none = RescoredAttack(name="fgsm", examples=0, originals_correct=0, fooling=0, share=None, interval=None)
    result = Score(
        run="a", checkpoint=None, same_model=False, agrees=None, threat_model=EVALUATION.threat_model, seed=1, votes=1,
        attacks=[attack, none],
    )  # fmt: skip
    assert grid(result) == [
        ["attack", "examples", "original right", "fooling", "share", "95 % interval"],
        ["pgd", "50", "40", "10", "25.0 %", "14.2 - 40.2"],
        ["fgsm", "0", "0", "0", "-", "-"],
    ]


def test_the_smallest_eps_in_columns(results: dict[str, Document]) -> None:
    found = results["PerImageSweep"]
    assert isinstance(found, PerImageSweep)
    point = SweepPoint(value=0.1, robust=3, total=30, accuracy=0.1, interval=(0.035, 0.256))
    quantiles = [
        EpsQuantile(share=0.5, eps=0.0625, interval=(0.05, 0.07)),
        EpsQuantile(share=0.95, eps=None, interval=(0.3, None)),
    ]
    result = found.model_copy(update={"largest": 0.4, "worst_case": [point], "quantiles": quantiles})
    assert grid(result)[1:] == [
        ["median", "0.0625", "-", "eps 0.05 to 0.07"],
        ["95 % broken", "> 0.4", "-", "eps 0.3 to > 0.4"],
        ["robust accuracy", "0.1", "10.0 %", "3.5 - 25.6"],
    ]


def test_a_format_is_a_function_and_an_entry(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def as_lines(result: Document) -> str:
        return "".join(json.dumps(dict(row.values), default=str) + "\n" for row in to_table(result).rows)

    monkeypatch.setitem(FORMATS, "rows", Format(as_lines, has_notes=False))
    app(["data", "list", "--format", "rows", "--data-dir", str(tmp_path)], standalone_mode=False)
    names = [json.loads(line)["name"] for line in capsys.readouterr().out.splitlines()]
    assert names == [entry.name for entry in available(tmp_path)]


@pytest.mark.parametrize(
    "command",
    [
        ["eval"],
        ["check"],
        ["checklist", "a"],
        ["compare", "a", "b"],
        ["sweep", "eps"],
        ["sweep", "eot"],
        ["score", "a"],
        ["show", "a"],
        ["data", "list"],
        ["lr-range", "clean"],
        ["reproduce", "apb-fig2"],
    ],
    ids=" ".join,
)
def test_an_unknown_format_is_refused_with_the_known(command: list[str]) -> None:
    with pytest.raises(InputError, match="--format 'xml' is unknown: use table, json, jsonl, csv, markdown"):
        app([*command, "--format", "xml"], standalone_mode=False)
