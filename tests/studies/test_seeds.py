"""One evaluation with several seeds: each a run, and their spread."""

import csv
import io
import json
import statistics
from pathlib import Path
from typing import Any

import pytest

import advtool
from advtool.cli import app
from advtool.errors import InputError
from advtool.report import FORMATS
from advtool.results import Finding, SeedsEvaluation
from tests.conftest import Command
from tests.support.models import NoisyInput, mlp
from tests.support.runs import two_models_images as images
from tests.support.runs import without_times

SETTINGS: dict[str, Any] = {"eps": 0.05, "attacks": ["fgsm", "pgd"], "pgd_steps": 3, "votes": 3, "eot": 2}


def evaluate(seeds: list[int], **changes: Any) -> SeedsEvaluation:
    return advtool.evaluate_seeds(NoisyInput(mlp(), 0.3), *images(100), seeds=seeds, **{**SETTINGS, **changes})


@pytest.fixture(scope="module")
def three() -> SeedsEvaluation:
    return evaluate([0, 1, 5])


def test_each_seed_is_an_evaluation_of_its_own(three: SeedsEvaluation) -> None:
    alone = advtool.evaluate(NoisyInput(mlp(), 0.3), *images(100), seed=5, **SETTINGS)
    assert without_times(three.evaluations[2].to_dict()) == without_times(alone.to_dict())
    assert [evaluation.seed for evaluation in three.evaluations] == three.seeds == [0, 1, 5]


def test_the_summary_is_mean_deviation_and_range(three: SeedsEvaluation) -> None:
    documents = [evaluation.to_dict() for evaluation in three.evaluations]
    summary = three.summary
    for spread, accuracies in (
        (summary.clean, [each["clean"]["accuracy"] for each in documents]),
        (summary.attacks[1], [each["attacks"][1]["accuracy"] for each in documents]),
        (summary.effective_robustness, [each["effective_robustness"]["accuracy"] for each in documents]),
        (summary.worst_case, [each["worst_case"]["accuracy"] for each in documents]),
    ):
        assert spread is not None
        assert spread.mean == pytest.approx(sum(accuracies) / 3)
        assert spread.standard_deviation == pytest.approx(statistics.pstdev(accuracies) * (3 / 2) ** 0.5)
        assert (spread.lowest, spread.highest) == (min(accuracies), max(accuracies))
    assert summary.clean.standard_deviation > 0, "the model is random: its clean accuracy depends on the seed"
    assert [attack.name for attack in summary.attacks] == ["fgsm", "pgd"]


def test_the_runs_are_kept_and_go_on(tmp_path: Path, three: SeedsEvaluation) -> None:
    folders = [tmp_path / str(seed) for seed in (0, 1, 5)]
    first = evaluate([0, 1, 5], run_dirs=folders)
    assert without_times_of_all(first) == without_times_of_all(three)
    assert evaluate([0, 1, 5], run_dirs=folders) == first, "times too: nothing was computed again"


def without_times_of_all(result: SeedsEvaluation) -> list[dict[str, Any]]:
    return [without_times(evaluation.to_dict()) for evaluation in result.evaluations]


@pytest.mark.parametrize(
    ("of_one", "words"),
    [
        ({"seed": 3}, r"^seed=3 goes with one seed: with seeds=\[1, 2\] leave it out$"),
        ({"run_dir": "a"}, r"^run_dir='a' goes with one seed: with seeds=\[1, 2\] name run_dirs, a folder for each$"),
    ],
)
def test_what_every_seed_has_of_its_own_is_refused(of_one: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        evaluate([1, 2], **of_one)


@pytest.mark.parametrize(
    ("seeds", "run_dirs", "words"),
    [
        ([3], None, r"seeds=\[3\] must be at least two"),
        ([1, 1], None, "all different"),
        ([1, -1], None, "seed=-1"),
        ([1, 2], ["same", "same"], "a folder for each of the 2 seeds"),
        ([1, 2], ["one"], "a folder for each of the 2 seeds"),
    ],
)
def test_bad_seeds_are_refused(tmp_path: Path, seeds: list[int], run_dirs: list[str] | None, words: str) -> None:
    folders = None if run_dirs is None else [tmp_path / name for name in run_dirs]
    with pytest.raises(InputError, match=words):
        evaluate(seeds, run_dirs=folders)


def test_every_view_shows_the_same_figures(three: SeedsEvaluation) -> None:
    views = {name: view(three) for name, view in FORMATS.items()}
    document = json.loads(views["json"])
    assert list(document) == ["schema", "seeds", "summary", "evaluations"]
    assert (document["schema"], document["seeds"]) == ("advtool.eval-seeds/1", [0, 1, 5])
    assert document["evaluations"][0]["schema"] == "advtool.eval/1"
    lines = list(csv.DictReader(io.StringIO(views["csv"])))
    assert [line["kind"] for line in lines] == ["clean", "attack", "attack", "minimum", "worst case"]
    assert float(lines[2]["mean"]) == document["summary"]["attacks"][1]["mean"]
    for name in ("table", "markdown"):
        assert f"{100 * document['summary']['worst_case']['mean']:.1f} %" in views[name]
        assert "seeds 0, 1, 5" in views[name]
    assert max(map(len, views["table"].splitlines())) <= 80


def test_a_warning_is_shown_once_with_its_seeds(three: SeedsEvaluation) -> None:
    finding = Finding(code="narrow-images", kind="setup", message="odd")
    warned = [each.model_copy(update={"warnings": [finding]}) for each in three.evaluations[:2]]
    silent = three.evaluations[2].model_copy(update={"warnings": []})
    result = three.model_copy(update={"evaluations": [*warned, silent]})
    assert FORMATS["table"](result).endswith("seeds 0, 1: setup [narrow-images]: odd\n")


def test_a_code_of_two_kinds_is_told_as_both_and_every_message_of_a_seed_stands(three: SeedsEvaluation) -> None:
    found = [
        [Finding(code="smoothing", kind="strength", message="little")],
        [Finding(code="smoothing", kind="masking", message="much")],
        [Finding(code="leaking", kind="masking", message=f"by {name}") for name in ("fgsm", "rfgsm")],
    ]
    warned = [each.model_copy(update={"warnings": own}) for each, own in zip(three.evaluations, found, strict=True)]
    assert FORMATS["table"](three.model_copy(update={"evaluations": warned})).splitlines()[-4:] == [
        "seed 0: strength [smoothing]: little",
        "seed 1: masking [smoothing]: much",
        "seed 5: masking [leaking]: by fgsm",
        "seed 5: masking [leaking]: by rfgsm",
    ]


def test_the_command_repeats_and_judges_the_lowest_worst_case(
    tmp_path: Path, digits_checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("eval", "--checkpoint", str(digits_checkpoint), "--images", "60", "--attack", "pgd(steps=3)")
    asked = (*asked, "--format", "json")
    several = Command(tmp_path)(*asked, "--seed", "1", "--seeds", "2", "--fail-under", "1", check=False)
    assert several.returncode == 1
    assert "the lowest worst case" in several.stderr
    document = json.loads(several.stdout)
    assert document["seeds"] == [1, 2]

    monkeypatch.chdir(tmp_path)
    app([*asked, "--seed", "2"], standalone_mode=False)
    alone = capsys.readouterr()
    assert "is complete" in alone.err, "the run of a seed is the same, however it was asked for"
    assert json.loads(alone.out) == document["evaluations"][1]
    app([*asked, "--seeds", "2", "--run-dir", "mine"], standalone_mode=False)
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == ["seed-0", "seed-1"]


def test_a_surrogate_takes_part_in_the_evaluation_of_each_seed() -> None:
    surrogate = mlp(seed=1)
    result = evaluate([0, 1], attacks=["fgsm", "transfer(steps=5)"], surrogate=surrogate)
    assert [attack.name for attack in result.summary.attacks] == ["fgsm", "transfer(steps=5)"]
    settings = {**SETTINGS, "attacks": ["fgsm", "transfer(steps=5)"], "surrogate": surrogate}
    alone = advtool.evaluate(NoisyInput(mlp(), 0.3), *images(100), seed=1, **settings)
    assert without_times(result.evaluations[1].to_dict()) == without_times(alone.to_dict())
