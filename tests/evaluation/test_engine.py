"""The engine: one array of outcomes, votes that do not depend on shard sizes, shards by number."""

import threading
from pathlib import Path
from typing import Any

import pytest
import torch

import advtool
from advtool.attacks.pgd import PGD
from advtool.checkpoints import now
from advtool.evaluation import shard
from advtool.evaluation.diagnosed import diagnosed_of
from advtool.evaluation.finished import read_finished
from advtool.evaluation.manifest import Manifest
from advtool.evaluation.observer import Observer
from advtool.evaluation.run import Run
from advtool.evaluation.shard import ShardRecord
from advtool.results import Evaluation, ModelCalls, Outcome, Outcomes
from tests.support.models import NoisyInput, mlp
from tests.support.runs import labelled


def evaluate(images_a_shard: int, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> Evaluation:
    monkeypatch.setitem(shard.MAX_IMAGES_A_SHARD, "cpu", images_a_shard)
    model = NoisyInput(mlp(), 0.2)
    x, y = labelled(model.model, 120)
    return advtool.evaluate(model, x, y, **{"eps": 0.05, "attacks": ["fgsm", "pgd"], "pgd_steps": 4, **changes})


@pytest.mark.parametrize("images_a_shard", [7, 50, 101])
def test_the_noise_of_predictions_does_not_depend_on_the_shards(
    images_a_shard: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, cut = (evaluate(size, monkeypatch).outcomes for size in (1000, images_a_shard))
    assert cut.margin[0].equal(whole.margin[0]), "the votes of the clean stage are the same"
    assert cut.clean.equal(whole.clean)


def test_verification_asks_for_the_same_votes_whatever_the_draws_of_the_gradient(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So the points of a sweep over EOT differ in their candidates alone."""
    monkeypatch.setattr(PGD, "explore", lambda *_: None)
    one, ten = (evaluate(40, monkeypatch, eot=eot).outcomes for eot in (1, 10))
    assert torch.allclose(one.margin[2], ten.margin[2], rtol=0, atol=0, equal_nan=True)


def test_outcomes_are_the_documents_figures() -> None:
    model = mlp()
    x, y = labelled(model, 150)
    y[::10] = (y[::10] + 1) % 4
    result = advtool.evaluate(model, x, y, eps=0.05, attacks=["fgsm", "pgd"], pgd_steps=5)
    outcomes = result.outcomes
    assert outcomes.stages == ("clean", "fgsm", "pgd")
    assert int(outcomes.clean.sum()) == result.clean.correct == 135
    for attack in result.attacks:
        assert int(outcomes.survives(attack.name).sum()) == attack.robust
        assert not outcomes.asked(attack.name)[::10].any(), "a misclassified image is not attacked"
    assert int(outcomes.worst_case.sum()) == result.worst_case.robust
    assert outcomes.standing_before("fgsm").equal(outcomes.clean)
    assert outcomes.standing_before("pgd").equal(outcomes.survives("fgsm"))
    assert int(outcomes.on_examples["fgsm"].sum()) == pytest.approx(150 * (result.attacks[0].accuracy_on_examples or 0))
    assert "outcomes" not in result.to_dict()


def test_a_run_gives_back_its_outcomes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = evaluate(50, monkeypatch, run_dir=tmp_path)
    assert read_finished(tmp_path).result.outcomes == result.outcomes
    with pytest.raises(AttributeError, match="read from JSON"):
        _ = Evaluation.model_validate_json((tmp_path / "result.json").read_bytes()).outcomes


def test_shards_are_read_by_number(tmp_path: Path) -> None:
    configuration = {"dataset": {"images": 10_002}, "attacks": {"pgd": {}}, "images_a_shard": 1}
    run = Run(tmp_path, manifest(configuration))
    for number in (2, 9999, 10_000, 10_001):
        run.put(1, record(number))
    again = Run(tmp_path, manifest(configuration))
    assert [found.shard for n in (2, 9999, 10_000, 10_001) if (found := again.get(1, n))] == [2, 9999, 10_000, 10_001]
    assert again.get(1, 1000) is None


def test_of_two_processes_that_note_a_pass_at_once_the_smaller_counts(tmp_path: Path) -> None:
    """The second one notes its number after the first has read the manifest, and before it has written it."""
    ours, theirs = (Run(tmp_path, manifest({"images_a_shard": 1})) for _ in range(2))
    other = threading.Thread(target=theirs.set_passes, args=({"images_a_pass": 2},))

    class Slow(dict[str, int]):
        def items(self) -> Any:
            other.start()
            other.join(timeout=1)
            return super().items()

    ours.set_passes(Slow(images_a_pass=4))
    other.join()
    assert ours.passes == theirs.passes == {"images_a_pass": 2}


def manifest(configuration: dict[str, Any]) -> Manifest:
    return Manifest(configuration=configuration, environment={"images_a_pass": 8}, created=now())


def record(number: int) -> ShardRecord:
    return ShardRecord(
        stage="pgd",
        shard=number,
        images_a_pass=1,
        seconds=0,
        model_calls=ModelCalls(forward=0, backward=0),
        outcome=[1],
        prediction=[0],
        margin=[None],
        step=[0],
        queries=[1],
    )


def test_shard_follows_shard_and_stage_follows_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Order(Observer):
        def __init__(self) -> None:
            self.done: list[tuple[str, float]] = []

        def advance(self, stage: str, done: float, standing: int) -> None:
            if (stage, done) not in self.done and done in (50, 100, 120):
                self.done.append((stage, done))

    order = Order()
    evaluate(50, monkeypatch, run_dir=tmp_path, observer=order)
    assert order.done == [(stage, done) for done in (50, 100, 120) for stage in ("clean", "fgsm", "pgd")]


def test_a_shard_that_pgd_breaks_is_not_diagnosed() -> None:
    """No attack can be stronger there by the smallest drop that a masking code needs."""
    outcome = torch.full((2, 300), Outcome.robust, dtype=torch.uint8)
    outcome[1, :100] = Outcome.fallen
    outcome[1, :4] = Outcome.robust  # four of a hundred
    blank = torch.zeros(2, 300)
    outcomes = Outcomes(("clean", "pgd"), outcome, blank, blank, blank, blank, blank)
    assert not diagnosed_of(outcomes, slice(0, 100)).any()
    assert diagnosed_of(outcomes, slice(100, 200)).all()
    assert not diagnosed_of(outcomes, slice(200, 300)).any(), "beyond the first 200 images"
    outcome[1, 4] = Outcome.robust
    assert diagnosed_of(outcomes, slice(0, 100)).all()
