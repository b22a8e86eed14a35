"""The cascade of ``audit``: who sees which images, what counts, and what a run folder gives back."""

import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import advtool
from advtool.attacks.spelling import parse
from advtool.attacks.square import Square
from advtool.attacks.suites import LONG_SQUARE, SUITES, Scope
from advtool.errors import InputError
from advtool.evaluation import conclusion, shard
from advtool.evaluation.diagnosed import DIAGNOSED_IMAGES
from advtool.evaluation.observer import Observer
from advtool.evaluation.stages import probed
from advtool.evaluation.uncertainty import wilson_interval
from advtool.results import Outcome, Outcomes
from tests.support.models import NoisyInput, Scaled, mlp
from tests.support.runs import labelled, without_times

SHORT: dict[str, Scope] = {
    "fgsm": Scope.every,
    "pgd": Scope.every,
    "noise": Scope.diagnosed,
    "pgd-margin": Scope.diagnosed,
    "square(queries=40)": Scope.diagnosed,
    "transfer(steps=10)": Scope.diagnosed,
    "apgd(steps=10)": Scope.survivors,
    "apgd(loss='dlr', steps=10)": Scope.survivors,
    "pgd(restarts=3)": Scope.survivors,
}
"""Of the same kinds as the real suite, in the same order."""

IMAGES, EPS = 250, 0.04
COUNTS = ["survivors_in", "survivors_out"]


@pytest.fixture(autouse=True)
def short_audit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SUITES, "audit", SHORT)
    monkeypatch.setitem(shard.MAX_IMAGES_A_SHARD, "cpu", 100)


def audit(folder: Path | None = None, images: int = IMAGES, **changes: Any) -> dict[str, Any]:
    model = mlp()
    x, y = labelled(model, images)
    y[3::20] = (y[3::20] + 1) % 4  # some are wrong from the start
    arguments = {"eps": EPS, "attacks": "audit", "pgd_steps": 6, "run_dir": folder, "certify": False, **changes}
    return without_times(advtool.evaluate(model.eval(), x, y, **arguments).to_dict())


def records(folder: Path) -> dict[str, dict[str, list[Any]]]:
    """What the shards say of each stage, in the order of the stages and of the images."""
    stages: dict[str, dict[str, list[Any]]] = {}
    paths = sorted((folder / "shards").iterdir(), key=lambda path: (int(path.name.split("-")[0]), path.name))
    for path in paths:
        record = json.loads(path.read_text())["record"]
        stage = stages.setdefault(record["stage"], {"survives": [], "step": [], "queries": []})
        stage["survives"] += [outcome == Outcome.robust for outcome in record["outcome"]]
        stage["step"] += record["step"]
        stage["queries"] += record["queries"]
    return stages


def fell(record: Mapping[str, list[Any]]) -> list[bool]:
    """The stage worked on the image, and it did not survive."""
    return [step is not None and not left for step, left in zip(record["step"], record["survives"], strict=True)]


def test_survivors_chain_and_later_attacks_have_no_accuracy() -> None:
    result = audit()
    every, later = result["attacks"][:2], result["attacks"][2:]
    assert [attack["name"] for attack in every] == ["fgsm", "pgd"]
    assert [attack["name"] for attack in later] == [name for name in [*SHORT][2:] if not name.startswith("transfer")]
    assert all("accuracy" in attack and not attack.keys() & set(COUNTS) for attack in every)
    for attack in later:
        assert not attack.keys() & {"accuracy", "robust", "interval", "accuracy_on_examples"}
        assert attack["survivors_out"] <= attack["survivors_in"]
    assert later[0]["survivors_in"] <= min(attack["robust"] for attack in every)
    for before, after in pairwise(later):
        assert after["survivors_in"] == before["survivors_out"]
    assert later[-1]["survivors_out"] == result["worst_case"]["robust"] < later[0]["survivors_in"]
    assert all(attack["total"] == IMAGES for attack in result["attacks"])
    assert result["effective_robustness"]["accuracy"] == min(attack["accuracy"] for attack in every)
    assert result["effective_robustness"]["attack"] in ("fgsm", "pgd")


def test_the_worst_case_is_what_the_shards_say(tmp_path: Path) -> None:
    """Images count that are right without an attack and fell to no attack. Probes do not count."""
    result = audit(tmp_path)
    stages = records(tmp_path)
    standing = stages.pop("clean")["survives"]
    after: dict[str, int] = {}
    for name, record in stages.items():
        if "at eps" not in name:
            standing = [stands and not gone for stands, gone in zip(standing, fell(record), strict=True)]
            after[name] = sum(standing)
    assert result["worst_case"]["robust"] == sum(standing)
    assert result["worst_case"]["accuracy"] == sum(standing) / IMAGES
    assert result["worst_case"]["interval"] == pytest.approx(wilson_interval(sum(standing), IMAGES))
    for attack in result["attacks"][2:]:
        assert attack["survivors_out"] == after[attack["name"]]


def test_diagnosed_attacks_see_the_first_200_and_the_others_survivors_alone(tmp_path: Path) -> None:
    assert DIAGNOSED_IMAGES == 200
    audit(tmp_path)
    stages = records(tmp_path)
    clean = stages.pop("clean")["survives"]
    del stages["planted"]
    standing = list(clean)
    for name, record in stages.items():
        asked = [step is not None for step in record["step"]]
        assert asked == [queries > 0 for queries in record["queries"]]
        if name == "fgsm":
            assert all(asked), "one step is made for every image, for the accuracy on examples"
        elif name == "pgd":
            assert asked == clean
        elif "at eps" in name:
            assert asked[:200] == clean[:200]
            assert not any(asked[200:])
        elif SHORT[name] is Scope.diagnosed:
            assert asked[:200] == clean[:200]
            assert asked[200:] == standing[200:]
        else:
            assert asked == standing
        if "at eps" not in name:
            standing = [stands and not gone for stands, gone in zip(standing, fell(record), strict=True)]
    assert standing[:200] != clean[:200], "some of the 200 had fallen when they were seen again"


def test_probes_at_other_radii_say_nothing_of_the_worst_case(tmp_path: Path) -> None:
    result = audit(tmp_path)
    stages = records(tmp_path)
    left = {radius: sum(stages[f"pgd at eps {radius:g}"]["survives"]) for radius in (EPS / 2, 2 * EPS, 0.5)}
    assert left[0.5] == 0 < result["worst_case"]["robust"]
    assert left[EPS / 2] > left[2 * EPS]
    assert not [attack for attack in result["attacks"] if "at eps" in attack["name"]]


def test_accuracies_over_eps_are_of_the_shards_that_were_probed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shard of which PGD leaves nothing is not probed, and says nothing of other radii."""
    size = 5
    monkeypatch.setitem(shard.MAX_IMAGES_A_SHARD, "cpu", size)
    found = audit(tmp_path, eps=0.1)["diagnostics"]
    stages = records(tmp_path)
    assert len(found["by_eps"]) == 4
    for point in found["by_eps"]:
        record = stages["pgd" if point["eps"] == 0.1 else f"pgd at eps {point['eps']:g}"]
        probes = [step is not None for step in stages["pgd at eps 0.05"]["step"]]
        probed = [any(probes[first : first + size]) for first in range(0, IMAGES, size) for _ in range(size)]
        survives = [left for left, seen in zip(record["survives"], probed, strict=True) if seen]
        assert (point["robust"], point["accuracy"]) == (sum(survives), sum(survives) / len(survives))
        assert found["images"] == len(survives) < 200


def test_where_no_pgd_has_the_runs_own_settings_the_strongest_stands_among_the_radii(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attacks = {"pgd(steps=1)": Scope.every, "pgd(steps=20)": Scope.every, "apgd(steps=5)": Scope.survivors}
    monkeypatch.setitem(SUITES, "audit", attacks)
    result = audit(images=100, planted=False)
    weak, strong, _ = result["attacks"]
    (at_eps,) = (point["robust"] for point in result["diagnostics"]["by_eps"] if point["eps"] == EPS)
    assert at_eps == strong["robust"] < weak["robust"]


def test_an_image_that_an_attack_did_not_see_counts_as_pgd_left_it() -> None:
    """Otherwise a shard without diagnostics would speak for every attack that was spared it."""
    right, fell, unseen = Outcome.robust, Outcome.fallen, Outcome.not_asked
    outcome = torch.tensor(
        [[right] * 5 + [fell], [right, fell, right, fell, right, unseen], [right, right, fell] + 3 * [unseen]]
    )
    blank = torch.zeros(3, 6)
    outcomes = Outcomes(("clean", "pgd", "square"), outcome, blank, blank, blank, blank, blank)
    assert conclusion._survives(outcomes, "square").tolist() == [True, True, False, False, True, False]


def test_findings_compare_the_first_200_images_that_all_diagnosed_attacks_saw() -> None:
    model = Scaled(mlp()).eval()
    x, y = labelled(model, IMAGES)
    result = advtool.evaluate(model, x, y, eps=EPS, attacks="audit", pgd_steps=6)
    masking = [finding for finding in result.warnings if finding.kind == "masking"]
    assert "margin-beats-cross-entropy" in {finding.code for finding in masking}
    assert {finding.images for finding in masking if "drop" in finding.model_extra} == {200}


@pytest.mark.parametrize(
    ("eps", "radii"),
    [
        (0.1, [0.05, 0.2, 0.5]),
        (0.25, [0.125, 0.5]),
        (0.7 - 0.45, [0.125, 0.5]),  # just below 0.25
        (0.5, [0.25, 1.0]),
        (0.7 - 0.2, [0.25, 1.0]),  # just below 0.5
        (0.8, [0.4, 0.5, 1.0]),
        (1.0, [0.5]),
    ],
)
def test_probes_are_at_half_and_twice_eps_and_half_the_range(eps: float, radii: list[float]) -> None:
    assert probed(eps) == pytest.approx(radii)


def test_a_resumed_audit_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    expected = audit(tmp_path)
    assert json.dumps(expected) == json.dumps(audit())
    shards = sorted((tmp_path / "shards").iterdir())
    assert len(shards) == 3 * (1 + len(expected["attacks"]) + 3 + 1), "clean, attacks, probes, planted"
    for gone in shards[1::3]:
        gone.unlink()
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "shards").iterdir()}
    assert json.dumps(audit(tmp_path)) == json.dumps(expected)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert sorted((tmp_path / "shards").iterdir()) == shards


def test_an_explicit_attack_sees_every_image_and_comes_first(tmp_path: Path) -> None:
    """An attack that is asked for by name gets an accuracy, even if the suite gives it survivors only."""
    result = audit(attacks=["audit", "square(queries=40)", "pgd(steps=3)"])
    names = [attack["name"] for attack in result["attacks"]]
    assert names[:4] == ["fgsm", "pgd", "square(queries=40)", "pgd(steps=3)"]
    assert len(set(names)) == len(names)
    assert ["accuracy" in attack for attack in result["attacks"]] == [True] * 4 + [False] * (len(names) - 4)
    assert result["attacks"][4]["survivors_in"] <= min(attack["robust"] for attack in result["attacks"][:4])
    assert result["attacks"][-1]["survivors_out"] == result["worst_case"]["robust"]


def test_the_order_of_the_request_does_not_matter_for_the_worst_case() -> None:
    first, second = audit(attacks=["audit", "noise"], images=60), audit(attacks=["noise", "audit"], images=60)
    assert {attack["name"] for attack in first["attacks"]} == {attack["name"] for attack in second["attacks"]}
    assert first["worst_case"] == second["worst_case"]


@pytest.mark.parametrize(
    ("first", "second"), [(["fgsm", "pgd"], ["pgd", "fgsm"]), (["audit"], ["audit", "square(queries=40)"])]
)
def test_a_folder_is_refused_to_other_stages(first: list[str], second: list[str], tmp_path: Path) -> None:
    """The name of a shard holds the position of its stage, so another order would confuse attacks."""
    audit(tmp_path, attacks=first, images=20)
    with pytest.raises(InputError, match=r"another configuration .*stages"):
        audit(tmp_path, attacks=second, images=20)


def test_a_surrogate_takes_part_and_is_part_of_the_question(tmp_path: Path) -> None:
    result = audit(tmp_path, images=40, surrogate=mlp(seed=1))
    assert "transfer(steps=10)" in [attack["name"] for attack in result["attacks"]]
    with pytest.raises(InputError, match="surrogate"):
        audit(tmp_path, images=40, surrogate=mlp(seed=2))


@pytest.mark.parametrize("images", [1, 2, 101, 199])
def test_any_number_of_images_will_do(images: int) -> None:
    result = audit(images=images)
    assert result["worst_case"]["total"] == result["clean"]["total"] == images
    assert all(attack["total"] == images for attack in result["attacks"])


def test_where_nothing_is_right_nothing_is_attacked() -> None:
    model = mlp()
    x, y = labelled(model, 12)
    result = advtool.evaluate(model, x, (y + 1) % 4, eps=EPS, attacks="audit").to_dict()
    assert result["clean"]["correct"] == result["worst_case"]["robust"] == 0
    for attack in result["attacks"][2:]:
        assert (attack["survivors_in"], attack["survivors_out"]) == (0, 0)
        assert attack["model_calls"] == {"forward": 0, "backward": 0}
    assert "low-clean-accuracy" in [warning["code"] for warning in result["warnings"]]


def test_a_random_model_is_audited_with_its_draws() -> None:
    model = NoisyInput(mlp(), 0.05).eval()
    x, y = labelled(model.model, 40)
    result = advtool.evaluate(model, x, y, eps=EPS, attacks="audit", pgd_steps=4, eot=3, votes=5).to_dict()
    assert (result["eot"], result["votes"]) == (3, 5)
    fewer = {"pgd-smooth": 1, "square": 2, "spsa": 1}
    for attack in result["attacks"]:
        assert attack["parameters"]["eot"] == fewer.get(attack["name"].split("(")[0], 3), attack["name"]
    assert "random-model" in [warning["code"] for warning in result["warnings"]]


def test_the_real_suite_conforms_to_the_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert [name for name, scope in SUITES["audit"].items() if scope is Scope.every] == ["fgsm", "pgd", "noise"]
    result = audit(images=12, pgd_steps=3, surrogate=mlp(seed=1))
    document = json.loads(json.dumps(result, allow_nan=False))
    planted = document.pop("planted")
    assert (planted["attack"], planted["total"]) == ("audit", 12)
    assert document.pop("diagnostics")["images"] == 12
    check_document(document)
    assert {attack["name"] for attack in result["attacks"]} == {
        spec.label for spec in parse(["audit"], surrogate=True) if spec.name not in ("pgd-straight", "apgd-targeted")
    }, "which has nothing to go straight through, and is not random"


def check_document(document: dict[str, Any]) -> None:
    """Against "JSON of ``advtool eval``", times left out."""
    assert set(document) == {
        "schema", "checkpoint", "model", "dataset", "threat_model", "seed", "eot", "votes", "clean", "attacks",
        "effective_robustness", "worst_case", "warnings", "environment",
    }  # fmt: skip
    assert document["schema"] == "advtool.eval/1"
    assert document["threat_model"] == {"norm": "linf", "eps": EPS, "clip": [0, 1]}
    assert set(document["clean"]) == {"correct", "total", "accuracy", "interval"}
    assert set(document["effective_robustness"]) == {"accuracy", "interval", "attack"}
    assert set(document["worst_case"]) == {"robust", "total", "accuracy", "interval"}
    for attack in document["attacks"]:
        figures = {"survivors_in", "survivors_out"} if "survivors_in" in attack else {"robust", "accuracy", "interval"}
        assert (
            set(attack) - {"accuracy_on_examples", "given_up"}
            == {"name", "parameters", "total", "model_calls"} | figures
        )
        assert set(attack["model_calls"]) == {"forward", "backward"}
    for warning in document["warnings"]:
        assert {"code", "kind", "message"} <= set(warning)
        assert warning["kind"] in ("masking", "strength", "setup")


def test_probes_are_told_apart_and_their_examples_are_not_kept(tmp_path: Path) -> None:
    audit(tmp_path, images=60, save_adversarial=True)
    lines = [json.loads(line) for line in (tmp_path / "images.jsonl").read_text().splitlines()]
    names = {f"pgd at eps {radius:g}" for radius in probed(EPS)}
    right = [line for line in lines if line["clean"]["prediction"] == line["label"]]
    assert all(line["probes"].keys() == names for line in right)
    assert not any("at eps" in name for line in lines for name in line["attacks"])
    assert any("pgd" in path.name for path in (tmp_path / "adversarial").iterdir())
    assert not [path.name for path in (tmp_path / "adversarial").iterdir() if "at-eps" in path.name]
    shards = {path: path.stat().st_mtime_ns for path in (tmp_path / "shards").iterdir()}
    audit(tmp_path, images=60, save_adversarial=True)
    assert {path: path.stat().st_mtime_ns for path in shards} == shards, "a probe without examples is finished"


def test_an_extra_strong_attack_does_not_silence_the_diagnostics() -> None:
    """PGD leaves enough to ask what hides it, whatever other attacks leave."""
    alone = audit_of_masked("audit")
    assert "search-far-below-pgd" in alone
    assert "margin-beats-cross-entropy" in alone
    assert alone - {"planted-missed"} <= audit_of_masked("audit", "square(queries=300)", "pgd-margin(steps=30)")


def audit_of_masked(*attacks: str) -> set[str]:
    model = Scaled(mlp(), 10_000)
    x, y = labelled(model, 60)
    result = advtool.evaluate(model.eval(), x, y, eps=0.3, attacks=attacks, pgd_steps=10)
    return {finding.code for finding in result.warnings if finding.kind == "masking"}


def test_progress_tells_the_survivors_of_the_cascade() -> None:
    """The progress counts as the table does: without the images that fell before. Probes are no attacks."""
    listener = Finishes()
    result = audit(observer=listener)
    for attack in result["attacks"]:
        assert listener.standing[attack["name"]] == attack.get("survivors_out", attack.get("robust"))
    assert {name for name in listener.standing if "at eps" in name} == {
        f"probe, pgd at eps {radius:g}" for radius in probed(EPS)
    }


class Finishes(Observer):
    def __init__(self) -> None:
        self.standing: dict[str, int] = {}

    def finish(self, stage: str, standing: int) -> None:
        self.standing[stage] = standing


def test_a_comparison_of_different_cascades_counts_the_attacks_that_saw_every_image(tmp_path: Path) -> None:
    """An image that fell to an attack of B alone never reaches B's later stages. That must not count against B."""
    audit(tmp_path / "a")
    audit(tmp_path / "b", attacks=["audit", "square(queries=300)"])
    result = advtool.compare(tmp_path / "a", tmp_path / "b")
    assert (result.worst_case.difference, result.worst_case.only_a) == (0, 0), "the same model, the same attacks"
    assert "left out, since only B ran it: square(queries=300)" in result.notes
    assert any("the worst case is that of fgsm, pgd" in note for note in result.notes)
    same = advtool.compare(tmp_path / "a", tmp_path / "a").worst_case
    assert same.accuracy_a < result.worst_case.accuracy_a, "equal cascades count every attack"


@pytest.mark.parametrize(
    ("attacks", "surrogate", "words"),
    [
        (["pgd"], mlp(seed=1), "^surrogate: no attack of this run uses it"),
        (["transfer"], mlp(classes=7), "surrogate: it tells 7 classes apart and the model 4"),
        (["transfer"], mlp((1, 5, 5)), "surrogate: the model does not take images"),
    ],
)
def test_a_surrogate_that_does_not_fit_is_refused_as_such(attacks: list[str], surrogate: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        audit(attacks=attacks, surrogate=surrogate, images=10)


@pytest.mark.parametrize("randomised", [False, True])
def test_a_moot_or_too_dear_attack_is_left_out(monkeypatch: pytest.MonkeyPatch, *, randomised: bool) -> None:
    """For a random model long Square is too dear, and restarts of constant steps gain nothing.

    PGD straight through rounding is moot where nothing rounds.
    """
    restarts = "pgd(restarts=3)"
    suite = {
        "pgd": Scope.every,
        "pgd-straight": Scope.diagnosed,
        restarts: Scope.survivors,
        LONG_SQUARE: Scope.survivors,
    }
    monkeypatch.setitem(SUITES, "audit", suite)
    monkeypatch.setattr(Square, "explore", lambda *_: None)
    model = mlp()
    x, y = labelled(model, 12)
    subject = NoisyInput(model, 0.1) if randomised else model
    names = {attack.name for attack in advtool.evaluate(subject, x, y, eps=EPS, attacks="audit", pgd_steps=2).attacks}
    assert names == ({"pgd"} if randomised else {"pgd", restarts, LONG_SQUARE})
    rounded = nn.Sequential(Rounded(), subject)
    result = advtool.evaluate(rounded, x, y, eps=EPS, attacks="audit", pgd_steps=2)
    assert "pgd-straight" in {attack.name for attack in result.attacks}


class Rounded(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (15 * x).round() / 15
