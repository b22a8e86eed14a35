"""Two finished runs compared image by image, as Python and as ``advtool compare``."""

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import advtool
from advtool.errors import InputError
from advtool.evaluation.finished import read_finished
from advtool.report import FORMATS
from advtool.results import Outcome
from advtool.results.notation import percent
from tests.conftest import InProcess
from tests.support.models import Scaled, mlp
from tests.support.runs import two_models_images

SETTINGS: dict[str, Any] = {"eps": 0.05, "attacks": ["fgsm", "pgd"], "pgd_steps": 5}


def run(folder: Path, *, seed: int = 0, count: int = 250, **changes: Any) -> Path:
    """A finished run of the model with that seed."""
    advtool.evaluate(mlp(seed=seed), *two_models_images(count), **{**SETTINGS, "run_dir": folder, **changes})
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two models, one weaker than the other, on the same images."""
    root = tmp_path_factory.mktemp("runs")
    return run(root / "a"), run(root / "b", seed=1)


def worst(folder: Path) -> float:
    return float(json.loads((folder / "result.json").read_text())["worst_case"]["accuracy"])


def shards(folder: Path, stage: str) -> list[bool]:
    """What the shards of a stage say, read by hand."""
    paths = sorted((folder / "shards").glob(f"*-{stage}-*.json"))
    return [
        outcome == Outcome.robust for path in paths for outcome in json.loads(path.read_text())["record"]["outcome"]
    ]


def test_a_finished_run_is_read_image_by_image_and_left_as_it_was(runs: tuple[Path, Path]) -> None:
    before = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in runs[1].rglob("*")}
    found = read_finished(runs[1])
    outcomes = found.result.outcomes
    assert outcomes.clean.tolist() == shards(runs[1], "clean")
    assert outcomes.stages == ("clean", "fgsm", "pgd")
    assert all(outcomes.survives(name).tolist() == shards(runs[1], name) for name in ("fgsm", "pgd"))
    assert int(outcomes.worst_case.sum()) == found.result.worst_case.robust < found.result.clean.correct < 250
    assert len(set(found.image_ids or [])) == 250
    assert {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in runs[1].rglob("*")} == before


def test_reading_what_is_left_of_a_run_leaves_it_as_it_was(runs: tuple[Path, Path], tmp_path: Path) -> None:
    """An artifact of a CI job may hold the JSON files alone."""
    for path in runs[0].glob("*.json"):
        shutil.copy(path, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(InputError, match="shard 0 of 'clean' is missing"):
        advtool.compare(tmp_path, runs[1])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_figures_are_counted_from_the_pairs(runs: tuple[Path, Path]) -> None:
    result = advtool.compare(*runs)
    assert result.images == 250
    for stage, paired in (("clean", result.clean), ("fgsm", result.attacks[0]), ("pgd", result.attacks[1])):
        pairs = list(zip(shards(runs[0], stage), shards(runs[1], stage), strict=True))
        assert paired.accuracy_a == sum(a for a, _ in pairs) / 250
        assert paired.accuracy_b == sum(b for _, b in pairs) / 250
        assert (paired.only_a, paired.only_b) == (pairs.count((True, False)), pairs.count((False, True)))
        assert paired.difference == pytest.approx(paired.accuracy_a - paired.accuracy_b)
        assert paired.interval[0] < paired.difference < paired.interval[1]
    assert result.clean.p_value < 0.001
    assert result.worst_case.accuracy_b == read_finished(runs[1]).result.worst_case.accuracy
    assert result.effective_robustness is not None
    lowest = read_finished(runs[1]).result.effective_robustness
    assert lowest is not None
    assert (result.effective_robustness.accuracy_b, result.effective_robustness.attack_b) == (
        lowest.accuracy,
        lowest.attack,
    )
    assert result.notes == []


def test_each_minimum_is_of_the_runs_own_strongest_attack(tmp_path: Path) -> None:
    """Large logits leave FGSM no gradient, so noise breaks more of the one model, and fewer images of the other."""
    images = two_models_images(120)
    for name, model in (("plain", mlp()), ("hidden", Scaled(mlp(), 1e4))):
        attacks = ["fgsm", "noise"]
        advtool.evaluate(model, *images, eps=0.1, attacks=attacks, run_dir=tmp_path / name)
    result = advtool.compare(tmp_path / "plain", tmp_path / "hidden")
    fgsm, noise = result.attacks
    lowest = result.effective_robustness
    assert lowest is not None
    assert (lowest.attack_a, lowest.attack_b) == ("fgsm", "noise")
    assert (lowest.accuracy_a, lowest.accuracy_b) == (fgsm.accuracy_a, noise.accuracy_b)
    assert lowest.difference == pytest.approx(fgsm.accuracy_a - noise.accuracy_b)


def test_the_other_order_changes_the_sign_of_every_difference(runs: tuple[Path, Path]) -> None:
    forth, back = advtool.compare(*runs), advtool.compare(*reversed(runs))
    for one, other in zip([forth.clean, *forth.attacks], [back.clean, *back.attacks], strict=True):
        assert (other.difference, other.p_value) == (-one.difference, one.p_value)
        assert other.interval == pytest.approx((-one.interval[1], -one.interval[0]))


def test_a_run_may_move_to_another_folder(tmp_path: Path, runs: tuple[Path, Path]) -> None:
    moved = shutil.move(run(tmp_path / "made" / "a"), tmp_path / "fetched")
    shutil.rmtree(tmp_path / "made")
    here, there = (advtool.compare(each, runs[1]).to_dict() for each in (runs[0], moved))
    assert there["a"].pop("run") != here["a"].pop("run")
    assert there == here


def test_two_runs_of_the_same_model_do_not_differ(runs: tuple[Path, Path], tmp_path: Path) -> None:
    result = advtool.compare(runs[0], run(tmp_path))
    assert result.notes == ["A and B are the same model"]
    for paired in (result.clean, *result.attacks, result.effective_robustness, result.worst_case):
        assert paired is not None
        assert (paired.difference, paired.p_value) == (0, 1)
        assert paired.interval[0] < 0 < paired.interval[1]


def test_a_run_on_the_first_images_is_compared_on_the_first_images(runs: tuple[Path, Path], tmp_path: Path) -> None:
    shorter = run(tmp_path / "short", seed=1, count=130)
    result = advtool.compare(runs[0], shorter)
    assert result.images == 130
    assert result.attacks[1].accuracy_a == sum(shards(runs[0], "pgd")[:130]) / 130
    assert result.attacks[1].accuracy_b == sum(shards(shorter, "pgd")) / 130
    assert (result.a.dataset.images, result.b.dataset.images) == (250, 130)
    assert result.notes == ["compared on the first 130 images: A saw 250, B 130"]
    (shorter / "image_ids.json").unlink()
    with pytest.raises(InputError, match="saw different images"):
        advtool.compare(runs[0], shorter)


def test_other_images_and_other_labels_are_refused(runs: tuple[Path, Path], tmp_path: Path) -> None:
    x, y = two_models_images(130)
    advtool.evaluate(mlp(), x.flip(0), y.flip(0), run_dir=tmp_path / "turned", **SETTINGS)
    advtool.evaluate(mlp(), x, (y + 1) % 4, run_dir=tmp_path / "labels", **SETTINGS)
    for other in ("turned", "labels"):
        with pytest.raises(InputError, match=r"250 given images of given.*130 given images of given"):
            advtool.compare(runs[0], tmp_path / other)


def test_what_else_differs_is_noted_and_other_attacks_are_left_out(runs: tuple[Path, Path], tmp_path: Path) -> None:
    other = run(tmp_path / "other", attacks=["spsa", "pgd"], spsa_steps=2, eps=0.1, pgd_steps=4, spsa_samples=4)
    result = advtool.compare(runs[0], other)
    assert [attack.name for attack in result.attacks] == ["pgd"]
    assert result.notes == [
        "A and B are the same model",
        "left out, since only A ran it: fgsm",
        "left out, since only B ran it: spsa",
        f"A's own worst case, under all its attacks: {percent(worst(runs[0]))}",
        f"B's own worst case, under all its attacks: {percent(worst(other))}",
        "eps: A 0.05, B 0.1",
        "pgd.step_size: A 0.02, B 0.05",
        "pgd.steps: A 5, B 4",
    ]
    assert result.worst_case.accuracy_a == sum(shards(runs[0], "pgd")) / 250, "of the attack that both ran"


def test_runs_without_a_common_attack_are_refused(runs: tuple[Path, Path], tmp_path: Path) -> None:
    other = run(tmp_path, attacks=["pgd(steps=2)"])
    with pytest.raises(InputError, match=r"no attack in common .*fgsm, pgd; .*pgd\(steps=2\)"):
        advtool.compare(runs[0], other)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda run: (run / "manifest.json").unlink(), "holds no run"),
        (lambda run: (run / "manifest.json").write_text("{}"), r"its manifest\.json is damaged"),
        (lambda run: (run / "result.json").unlink(), "is not finished: the command that began it"),
        (lambda run: (run / "result.json").write_text("{"), r"its result\.json is damaged"),
        (lambda run: (run / "shards" / "1-fgsm-0000.json").unlink(), "shard 0 of 'fgsm' is missing"),
        (lambda run: (run / "shards" / "1-fgsm-0000.json").write_text("{"), r"shard 1-fgsm-0000\.json is damaged"),
    ],
)
def test_a_folder_without_a_finished_run_is_refused_in_words(tmp_path: Path, spoil: Any, words: str) -> None:
    spoiled = run(tmp_path / "run", count=20, attacks=["fgsm"])
    spoil(spoiled)
    with pytest.raises(InputError, match=words):
        read_finished(spoiled)


def test_every_view_shows_the_same_figures(runs: tuple[Path, Path], tmp_path: Path) -> None:
    other = run(tmp_path / "a folder of a long name, longer than a line", eps=0.1, attacks=["pgd", "fgsm"])
    result = advtool.compare(runs[0], other)
    views = {name: view(result) for name, view in FORMATS.items()}
    document = json.loads(views["json"])
    assert list(document) == [
        "schema", "a", "b", "images", "clean", "attacks", "effective_robustness", "worst_case", "notes",
    ]  # fmt: skip
    assert document["schema"] == "advtool.compare/1"
    lines = list(csv.DictReader(io.StringIO(views["csv"])))
    assert [line["kind"] for line in lines] == ["clean", "attack", "attack", "minimum", "worst case"]
    assert float(lines[1]["difference"]) == document["attacks"][0]["difference"] > 0
    assert float(lines[1]["low"]) == document["attacks"][0]["interval"][0]
    shown = f"+{100 * document['attacks'][0]['difference']:.1f}"
    for name in ("table", "markdown"):
        assert shown in views[name]
        assert "eps: A 0.05, B 0.1" in views[name]
    assert max(map(len, views["table"].splitlines())) <= 80


def test_the_command_compares_and_refuses(runs: tuple[Path, Path], advtool_here: InProcess) -> None:
    done = advtool_here("compare", *runs, "--format", "json")
    assert json.loads(done.stdout) == advtool.compare(*runs).to_dict()
    assert done.stderr == ""
    assert "'nowhere' is no folder" in advtool_here.refused("compare", "nowhere", runs[0])


def test_several_runs_stand_side_by_side_each_against_the_first(runs: tuple[Path, Path], tmp_path: Path) -> None:
    third = run(tmp_path / "third", eps=0.1, count=200, attacks=["pgd"])
    result = advtool.side_by_side(*runs, third)
    first, second = result.comparisons
    assert second.to_dict() == advtool.compare(runs[0], third).to_dict()
    assert first.images == second.images == 200, "all rows are about the same images"
    assert [attack.name for attack in first.attacks] == ["pgd"], "and about the attacks that all made"
    assert "left out, since another run did not make it: fgsm" in first.notes
    lines = list(csv.DictReader(io.StringIO(FORMATS["csv"](result))))
    assert [line["run"] for line in lines] == ["1", "2", "3"]
    assert [float(line["worst_case"]) for line in lines] == [
        first.worst_case.accuracy_a, first.worst_case.accuracy_b, second.worst_case.accuracy_b
    ]  # fmt: skip
    assert first.worst_case.accuracy_a == second.worst_case.accuracy_a
    assert [line["folder"] for line in lines] == [str(folder) for folder in (*runs, third)]
    assert lines[0]["difference"] == ""
    for line, comparison in zip(lines[1:], result.comparisons, strict=True):
        assert float(line["difference"]) == -comparison.worst_case.difference
        ends = [float(line[f"difference_interval_{end}"]) for end in ("low", "high")]
        assert ends == [-end for end in reversed(comparison.worst_case.interval)]
        assert float(line["p_value"]) == comparison.worst_case.p_value
    text = FORMATS["table"](result)
    assert "run 1 as A, run 3 as B: eps: A 0.05, B 0.1" in text
    assert max(map(len, text.splitlines())) <= 80
    with pytest.raises(InputError, match="name two or more"):
        advtool.side_by_side(runs[0])


def test_the_command_takes_more_than_two_runs(runs: tuple[Path, Path], tmp_path: Path, advtool_here: InProcess) -> None:
    third = run(tmp_path / "third")
    done = advtool_here("compare", *runs, third, "--format", "json")
    assert json.loads(done.stdout) == advtool.side_by_side(*runs, third).to_dict()
    assert "1: " in advtool_here("compare", *runs, third, "--format", "csv").stderr, "CSV has no place for notes"
