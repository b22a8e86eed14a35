"""Certification inside an evaluation: who is proved, who is attacked then, what counts, and what a lie leads to."""

import csv
import io
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import advtool
from advtool.attacks.suites import SUITES, Scope
from advtool.errors import InputError
from advtool.evaluation import shard
from advtool.evaluation.contradiction import ContradictionError
from advtool.evaluation.diagnosed import DIAGNOSED_IMAGES
from advtool.evaluation.ledger import Ledger
from advtool.evaluation.observer import Observer
from advtool.evaluation.proof import CHECKED_FALLEN, Proof
from advtool.evaluation.uncertainty import wilson_interval
from advtool.report import FORMATS, to_table
from advtool.results import Evaluation, Outcome
from tests.support.certifiers import Unable, Unwanted, exact, install, intervals, liar
from tests.support.linear import EPS as LINEAR_EPS
from tests.support.linear import problem
from tests.support.models import Scaled, mlp
from tests.support.runs import Listener, labelled, without_times

SHORT: dict[str, Scope] = {
    "fgsm": Scope.every,
    "pgd": Scope.every,
    "noise": Scope.every,
    "pgd-margin": Scope.diagnosed,
    "square(queries=40)": Scope.diagnosed,
    "apgd(loss='dlr', steps=20)": Scope.survivors,
    "pgd(restarts=3)": Scope.survivors,
}
"""Of the same kinds as the real suite, in the same order."""

EPS = 0.02


@pytest.fixture(autouse=True)
def short_audit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SUITES, "audit", SHORT)
    monkeypatch.setitem(shard.MAX_IMAGES_A_SHARD, "cpu", 100)


def images(count: int = 250) -> tuple[Tensor, Tensor]:
    x, y = labelled(mlp(), count)
    y[3::20] = (y[3::20] + 1) % 4  # some are wrong from the start
    return x, y


def evaluate(**changes: Any) -> Evaluation:
    arguments = {"eps": EPS, "attacks": "audit", "pgd_steps": 6, **changes}
    return advtool.evaluate(mlp(), *images(arguments.pop("count", 250)), **arguments)


@pytest.mark.parametrize("attacks", ["audit", ["pgd", "square(queries=40)"], ["square(queries=40)", "fgsm"]])
@pytest.mark.parametrize("eps", [0.005, 0.02, 0.06])
def test_certified_implies_worst_case_implies_clean(eps: float, attacks: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, intervals(mlp()))
    result = evaluate(eps=eps, attacks=attacks, certify=True)
    outcomes = result.outcomes
    assert (outcomes.certified <= outcomes.worst_case).all()
    assert (outcomes.worst_case <= outcomes.clean).all()
    assert result.certified is not None
    assert 0 < result.certified.robust == int(outcomes.certified.sum()) <= result.worst_case.robust
    assert result.certified.interval == pytest.approx(wilson_interval(result.certified.robust, 250))
    assert (result.certified.total, result.certified.method) == (250, "by hand")
    assert result.undecided == result.worst_case.robust - result.certified.robust
    fallen = (outcomes.outcome[1:] == Outcome.fallen)[[label not in outcomes.probes for label in outcomes.stages[1:]]]
    assert not (fallen.any(0) & outcomes.certified).any()
    assert (outcomes.lower[outcomes.certified] > 0).all()


def test_exact_bounds_leave_nothing_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x, y, robust = problem(classes=3, seed=1)
    install(monkeypatch, exact(model))
    result = advtool.evaluate(model, x, y, eps=LINEAR_EPS, attacks="audit")
    assert result.outcomes.certified.equal(robust)
    assert result.outcomes.worst_case.equal(robust)
    assert result.undecided == 0


def test_the_worst_case_is_the_same_without_proofs(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x, y, _ = problem(classes=3, seed=2)
    install(monkeypatch, exact(model))
    with_proofs, without = (
        advtool.evaluate(model, x, y, eps=LINEAR_EPS, attacks="audit", certify=certify) for certify in (True, False)
    )
    assert with_proofs.outcomes.worst_case.equal(without.outcomes.worst_case)
    assert with_proofs.effective_robustness == without.effective_robustness
    assert with_proofs.warnings == without.warnings


def test_an_audit_attacks_certified_images_with_nothing_after_the_quick_attacks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    install(monkeypatch, intervals(mlp()))
    result = evaluate()
    outcomes = result.outcomes
    certified = outcomes.certified
    assert outcomes.stages[:5] == ("clean", "fgsm", "pgd", "noise", "certified")
    for stage, queries in zip(outcomes.stages, outcomes.queries, strict=True):
        if stage in ("fgsm", "pgd", "noise"):
            assert (queries[certified] > 0).all()
        elif stage in (f"pgd at eps {2 * EPS:g}", "pgd at eps 0.5"):
            assert (queries[:DIAGNOSED_IMAGES][certified[:DIAGNOSED_IMAGES]] > 0).all(), (
                "a larger ball is another question"
            )
        else:
            assert (queries[certified] == 0).all()
            assert stage in ("clean", "certified", "planted") or not outcomes.asked(stage)[certified].any()
    later = result.attacks[3:]
    for before, after in pairwise(later):
        assert after.survivors_in == before.survivors_out, "certified images count as robust in every stage"
    assert later[-1].survivors_out == result.worst_case.robust


@pytest.mark.parametrize(
    ("attacks", "stages"),
    [
        ("paper", ["fgsm", "pgd", "certified", "spsa"]),
        (["pgd", "noise"], ["pgd", "noise", "certified"]),
        (["fgsm", "pgd(steps=100)"], ["fgsm", "certified", "pgd(steps=100)"]),
        (["square(queries=200)", "fgsm"], ["certified", "square(queries=200)", "fgsm"]),
    ],
)
def test_proofs_come_before_the_first_attack_that_is_not_quick(
    attacks: Any, stages: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, intervals(mlp()))
    result = evaluate(attacks=attacks, certify=True, count=20, spsa_steps=2, pgd_steps=50)
    assert list(result.outcomes.stages) == ["clean", *stages]


def test_bounds_are_asked_for_what_stands_and_for_a_few_that_fell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(shard.MAX_IMAGES_A_SHARD, "cpu", 1000)
    certifier = intervals(mlp())
    install(monkeypatch, certifier)
    outcomes = evaluate(eps=0.06, attacks=["pgd"], certify=True).outcomes
    asked, standing = outcomes.asked("certified"), outcomes.survives("pgd")
    fell = (outcomes.clean & ~standing).nonzero().flatten()
    assert len(fell) > CHECKED_FALLEN
    assert asked[standing].all()
    assert (asked & ~standing).nonzero().flatten().equal(fell[:CHECKED_FALLEN])
    assert certifier.asked == [int(asked.sum())]


@pytest.mark.parametrize(("standing", "checked"), [(0, 0), (3, 3), (40, CHECKED_FALLEN)])
def test_no_more_fallen_images_are_checked_than_stand(standing: int, checked: int) -> None:
    """Where everything has fallen, nothing is left to prove, and the bounds of a large net would take their time."""
    ledger = Ledger(["pgd", "certified"], 100)
    ledger.outcomes.outcome[0] = Outcome.robust
    ledger.outcomes.outcome[1] = torch.where(torch.arange(100) < standing, Outcome.robust, Outcome.fallen)
    proof = object.__new__(Proof)
    asked = proof.asked(ledger.outcomes, slice(0, 100))
    assert int(asked[:standing].sum()) == standing
    assert int(asked[standing:].sum()) == checked


def test_a_later_one_step_attack_still_makes_every_example(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, intervals(mlp()))
    attacks = ["square(queries=200)", "fgsm"]
    with_proofs, without = (evaluate(attacks=attacks, certify=certify) for certify in (True, False))
    assert with_proofs.outcomes.certified.any()
    assert with_proofs.attacks[1].accuracy_on_examples == without.attacks[1].accuracy_on_examples
    assert with_proofs.attacks[1].accuracy == without.attacks[1].accuracy


def test_proofs_are_made_in_an_audit_where_they_are_cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, intervals(mlp(), cost=1e2))
    assert evaluate(count=20).certified is not None
    install(monkeypatch, intervals(mlp(), cost=1e6))
    listener = Listener()
    left_out = evaluate(count=20, observer=listener)
    assert left_out.certified is None
    (note,) = (note for note in listener.notes if note.startswith("not certified"))
    assert "cost about as much as 1000000 forward passes, and the attacks at most" in note
    assert evaluate(count=20, certify=True).certified is not None


def test_nobody_asks_for_bounds_without_audit_or_certify(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, Unwanted)
    listener = Listener()
    plain = evaluate(attacks=["pgd"], count=20, observer=listener).to_dict()
    assert not [note for note in listener.notes if "certified" in note]
    refused = evaluate(attacks=["pgd"], count=20, certify=False).to_dict()
    assert without_times(plain) == without_times(refused)
    assert not {"certified", "undecided"} & evaluate(count=20, certify=False).to_dict().keys()


def test_who_insists_is_told_why_nothing_is_certified(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, Unable)
    reason = "not certified: layer 'body.3' (aten.argmin) cannot be bounded"
    insisting, auditing = Listener(), Listener()
    result = evaluate(attacks=["pgd"], count=20, certify=True, observer=insisting)
    assert reason in insisting.notes
    (warning,) = (warning for warning in result.warnings if warning.code == "not-certifiable")
    assert (warning.kind, warning.message) == ("setup", reason)
    assert f"setup [not-certifiable]: {reason}" in " ".join(FORMATS["table"](result).split())
    assert not {"certified", "undecided"} & result.to_dict().keys()
    audited = evaluate(count=20, observer=auditing)
    assert reason in auditing.notes
    assert "not-certifiable" not in [warning.code for warning in audited.warnings]


@pytest.mark.parametrize("certify", [None, False])
def test_seconds_for_proofs_need_proofs(certify: bool | None) -> None:
    with pytest.raises(InputError, match=r"^certify_seconds=2 is for proofs: ask for them"):
        evaluate(attacks=["pgd"], certify=certify, certify_seconds=2)
    with pytest.raises(InputError, match=r"certify_seconds=-1 must be a number of seconds"):
        evaluate(certify_seconds=-1)


def test_a_resumed_run_does_not_decide_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, intervals(mlp()))
    expected = without_times(evaluate(run_dir=tmp_path).to_dict())
    shards = sorted((tmp_path / "shards").glob("4-certified-*"))
    assert len(shards) == 3
    install(monkeypatch, intervals(mlp(), cost=1e9))
    shards[1].unlink()
    assert without_times(evaluate(run_dir=tmp_path).to_dict()) == expected
    install(monkeypatch, Unwanted)
    assert without_times(evaluate(run_dir=tmp_path).to_dict()) == expected, "a complete run asks for nothing"
    for other in ({"certify": True}, {"certify": False}, {"certify_seconds": 1.0}):
        with pytest.raises(InputError, match=r"another configuration .*certif"):
            evaluate(run_dir=tmp_path, **other)


def test_a_run_that_is_stopped_among_the_proofs_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certifier = intervals(mlp())
    install(monkeypatch, certifier)
    expected = without_times(evaluate().to_dict())

    class Stopped(certifier):  # type: ignore[misc, valid-type]
        def certify(self, *arguments: Any, **options: Any) -> Any:
            if len(list((tmp_path / "shards").glob("4-certified-*"))) == 1:
                raise KeyboardInterrupt
            return super().certify(*arguments, **options)

    install(monkeypatch, Stopped)
    with pytest.raises(KeyboardInterrupt):
        evaluate(run_dir=tmp_path)
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "shards").iterdir()}
    install(monkeypatch, certifier)
    assert without_times(evaluate(run_dir=tmp_path).to_dict()) == expected
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_progress_tells_what_is_proved_and_found_before_a_shard_ends() -> None:
    told: dict[tuple[str, float], set[int]] = {}

    class Listening(Observer):
        def advance(self, stage: str, done: float, standing: int) -> None:
            told.setdefault((stage, done), set()).add(standing)

    result = evaluate(observer=Listening(), count=100)
    assert result.certified is not None
    assert result.planted is not None
    assert told["certified", 100] == {result.certified.robust}
    assert told["planted", 100] == {result.planted.found}
    assert result.certified.robust > 0 < result.planted.found


def test_proofs_that_run_out_of_memory_go_on_with_half(monkeypatch: pytest.MonkeyPatch) -> None:
    certifier = intervals(mlp())

    class Hungry(certifier):  # type: ignore[misc, valid-type]
        def certify(self, *arguments: Any, **options: Any) -> Any:
            if self.target.batch_size > 64:
                raise MemoryError
            return super().certify(*arguments, **options)

    install(monkeypatch, certifier)
    expected = evaluate(attacks=["pgd"], certify=True)
    install(monkeypatch, Hungry)
    result = evaluate(attacks=["pgd"], certify=True)
    assert 32 < result.environment["images_a_pass"] <= 64
    assert result.outcomes.certified.equal(expected.outcomes.certified)


def test_images_that_were_asked_say_what_is_proved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, intervals(mlp()))
    outcomes = evaluate(eps=0.06, run_dir=tmp_path).outcomes
    lines = [json.loads(line) for line in (tmp_path / "images.jsonl").read_text().splitlines()]
    for line in lines:
        place = line["place"]
        assert ("certified" in line) == bool(outcomes.asked("certified")[place])
        assert "certified" not in line["attacks"]
        if "certified" in line:
            proved = bool(outcomes.certified[place])
            assert line["certified"] == {"proved": proved, "lower": outcomes.lower[place].item()}
            assert (line["certified"]["lower"] > 0) == proved
    assert any("certified" in line and line["attacks"]["pgd"]["robust"] is False for line in lines)


def test_the_progress_tells_what_is_proved(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, intervals(mlp()))
    listener = Listener()
    result = evaluate(observer=listener)
    assert result.certified is not None
    assert listener.standing["certified"] == result.certified.robust
    for attack in result.attacks:
        assert listener.standing[attack.name] == (attack.robust if attack.robust is not None else attack.survivors_out)


def test_proofs_silence_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Certified images count as robust under the misled attack as under the others."""
    model, x, y, robust = problem(classes=3, seed=1)
    assert 0.2 < robust.double().mean() < 0.8
    install(monkeypatch, exact(model))
    masked = Scaled(model, 1e4)
    codes = [
        [
            warning.code
            for warning in advtool.evaluate(
                masked, x, y, eps=LINEAR_EPS, attacks="audit", pgd_steps=10, certify=certify
            ).warnings
        ]
        for certify in (True, False)
    ]
    assert "margin-beats-cross-entropy" in codes[0]
    assert codes[0] == codes[1]


def test_runs_with_proofs_are_compared_repeated_and_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, intervals(mlp()))
    a = evaluate(run_dir=tmp_path / "a", save_adversarial=True)
    b = evaluate(run_dir=tmp_path / "b", eps=2 * EPS, certify_seconds=0.5)
    assert a.certified is not None
    assert b.certified is not None
    compared = advtool.compare(tmp_path / "a", tmp_path / "b")
    assert compared.certified is not None
    assert compared.certified.accuracy_a - compared.certified.accuracy_b == pytest.approx(compared.certified.difference)
    assert (compared.certified.accuracy_a, compared.certified.accuracy_b) == (
        a.certified.accuracy,
        b.certified.accuracy,
    )
    assert (compared.worst_case.accuracy_a, compared.worst_case.accuracy_b) == (
        a.worst_case.accuracy,
        b.worst_case.accuracy,
    )
    assert "certified.seconds: A 0.0, B 0.5" in compared.notes
    scored = advtool.score(tmp_path / "a", mlp())
    assert scored.agrees
    fallen = {attack.name: int((a.outcomes.of(attack.name) == Outcome.fallen).sum()) for attack in a.attacks}
    assert {attack.name: attack.examples for attack in scored.attacks} == fallen
    assert len(set(fallen.values())) > 2
    seeds = advtool.evaluate_seeds(
        mlp(), *images(40), seeds=[0, 1], eps=EPS, attacks=["pgd"], pgd_steps=2, certify=True
    )
    first = seeds.evaluations[0].certified
    assert first is not None
    assert seeds.summary.certified is not None
    assert seeds.summary.certified.mean == first.accuracy
    plain = evaluate(run_dir=tmp_path / "c", certify=False, save_adversarial=True)
    assert plain.certified is None
    assert "certified" not in advtool.compare(tmp_path / "a", tmp_path / "c").to_dict()


def test_the_document_and_the_table_tell_both_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, intervals(mlp()))
    result = evaluate(eps=0.04)
    document = json.loads(FORMATS["json"](result))
    assert Evaluation.model_validate(document).to_dict() == document
    keys = list(document)
    assert keys[keys.index("worst_case") + 1 : keys.index("warnings")] == ["certified", "undecided", "planted"]
    certified, worst = document["certified"], document["worst_case"]
    assert list(certified) == ["robust", "total", "accuracy", "interval", "method", "seconds"]
    assert 0 < document["undecided"] == worst["robust"] - certified["robust"]
    text = FORMATS["table"](result)
    assert max(map(len, text.splitlines())) <= 80
    low, high, far_low, far_high = (
        f"{100 * share:.1f}"
        for share in (certified["accuracy"], worst["accuracy"], certified["interval"][0], worst["interval"][1])
    )
    assert (
        f"robust accuracy of these images lies between {low} and {high} %; of images like them between {far_low} and "
        f"{far_high} %"
    ) in " ".join(text.split())
    names = [line.split("|")[1].strip() for line in FORMATS["markdown"](result).splitlines() if line.startswith("| ")]
    assert names[-4:] == ["worst case", "certified", "undecided", "planted"]
    rows = list(csv.DictReader(io.StringIO(FORMATS["csv"](result))))
    assert [row["kind"] for row in rows[-4:]] == ["worst case", "certified", "undecided", "planted"]
    assert float(rows[-3]["accuracy"]) == certified["accuracy"]
    assert (rows[-2]["accuracy"], int(rows[-2]["left"])) == ("", document["undecided"])


def test_a_preflight_tells_whether_proofs_would_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def told(certifier: Any, **settings: Any) -> str:
        install(monkeypatch, certifier)
        check = advtool.check(mlp(), *images(20), eps=EPS, **settings)
        (line,) = (words for name, words in to_table(check).facts if name == "certify")
        assert check.certification.runs == line.startswith("yes")
        return line

    able = intervals(mlp(), cost=12.0)
    assert told(able, attacks="audit") == "yes, the bounds of an image cost about 12 forward passes"
    assert told(able, certify=True).startswith("yes")
    assert told(able, attacks="audit", certify=False) == "no: --no-certify"
    assert told(Unwanted) == "no: it takes --certify, or --attack audit where it is cheap"
    assert told(Unable, attacks="audit") == "no: layer 'body.3' (aten.argmin) cannot be bounded"
    assert "cost about as much as 1000000 forward passes" in told(intervals(mlp(), cost=1e6), attacks="audit")


def test_a_run_of_wrong_images_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, intervals(mlp()))
    x, y = labelled(mlp(), 12)
    result = advtool.evaluate(mlp(), x, (y + 1) % 4, eps=EPS, attacks="audit", pgd_steps=2)
    assert result.certified is not None
    assert (result.certified.robust, result.certified.method, result.undecided) == (0, "none", 0)


def test_proving_a_broken_image_is_an_error_with_its_witnesses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certifier = liar()
    install(monkeypatch, certifier)
    x, y = images()
    indices = list(range(1000, 1250))
    arguments: dict[str, Any] = {"eps": 0.06, "attacks": "audit", "pgd_steps": 6, "indices": indices}
    with pytest.raises(ContradictionError, match=r"broke image 1\d\d\d \(place \d+ in the run\)") as error:
        advtool.evaluate(mlp(), x, y, run_dir=tmp_path, **arguments)
    check_witnesses(tmp_path, str(error.value), x, y, 0.06)
    with pytest.raises(ContradictionError) as again:
        advtool.evaluate(mlp(), x, y, run_dir=tmp_path, **arguments)
    assert str(again.value) == str(error.value), "a resumed run is no way round it"
    assert len(certifier.asked) == 1
    with pytest.raises(ContradictionError, match=r"the witnesses are lost, since this run has no folder"):
        advtool.evaluate(mlp(), x, y, **arguments)


def test_breaking_a_proved_image_is_an_error_with_its_witnesses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a one-step attack still looks at a certified image."""
    install(monkeypatch, liar())
    with pytest.raises(ContradictionError, match="fgsm broke image") as error:
        evaluate(eps=0.06, attacks=["square(queries=200)", "fgsm"], certify=True, run_dir=tmp_path)
    check_witnesses(tmp_path, str(error.value), *images(), 0.06)


def check_witnesses(folder: Path, message: str, x: Tensor, y: Tensor, eps: float) -> None:
    (path,) = folder.glob("contradiction-*.safetensors")
    assert str(path) in message
    place = int(path.stem.removeprefix("contradiction-"))
    assert f"(place {place} in the run)" in message
    kept = load_file(path)
    assert kept["image"].equal(x[place])
    assert int(kept["label"]) == int(y[place])
    assert (kept["lower"].item(), kept["lower"].dtype) == (1.0, torch.float64)
    assert (kept["example"] - x[place]).abs().max() <= eps + 1e-6
    with torch.no_grad():
        assert int(mlp()(kept["example"][None]).argmax()) != int(y[place])
