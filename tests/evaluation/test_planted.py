"""Planted examples: they exist, random points miss them, honest models' are found, and those of tricks are not."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import advtool
from advtool.errors import InputError
from advtool.evaluation.planting.planter import CLOSENESS, plant
from advtool.evaluation.planting.planting import PLANTED_IMAGES
from advtool.evaluation.planting.readout import Readout, groups_apart
from advtool.report import FORMATS
from advtool.results import Evaluation, Outcome
from advtool.target.facts import Randomness
from advtool.target.scores import margin
from advtool.target.target import Target
from advtool.threat import ThreatModel
from tests.support.linear import problem
from tests.support.models import NoisyInput, Rounded, Scaled, mlp
from tests.support.runs import SHAPE, Listener, labelled, without_times

EPS = 0.05
THREAT_MODEL = ThreatModel(eps=EPS)


def evaluate(model: nn.Module, count: int = 70, **changes: Any) -> Evaluation:
    x, y = labelled(mlp(), count)
    return advtool.evaluate(model.eval(), x, y, **{"eps": EPS, "attacks": "pgd", "planted": True, **changes})


def target(model: nn.Module, **changes: Any) -> Target:
    return Target(model.eval(), input_shape=SHAPE, classes=4, **changes)


def apart(count: int = 30) -> tuple[Tensor, Tensor]:
    """Images whose balls do not overlap, and their labels."""
    x, y = labelled(mlp(), count)
    group = max(groups_apart(x, THREAT_MODEL), key=len)
    return x[group], y[group]


@pytest.mark.parametrize("model", [mlp(), Scaled(mlp()), Rounded(mlp())])
def test_what_is_planted_is_an_adversarial_example_of_the_copy(model: nn.Module) -> None:
    x, y = apart()
    planted = plant(target(model), x, y, THREAT_MODEL, torch.Generator().manual_seed(0))
    assert planted.sure.all()
    assert THREAT_MODEL.contains(planted.examples, x).all()
    assert (planted.target.logits(x).argmax(1) == 0).all()
    assert (planted.target.logits(planted.examples).argmax(1) == 1).all()


def test_the_copy_is_as_sure_of_the_image_as_the_model_is() -> None:
    """At the image the margins agree; at b the copy is wrong by (1 - c) / c of that margin."""
    x, y = apart()
    ours = target(mlp())
    planted = plant(ours, x, y, THREAT_MODEL, torch.Generator().manual_seed(0))
    of_model, zero = margin(ours.logits(x), y).abs(), torch.zeros_like(y)
    assert margin(planted.target.logits(x), zero).allclose(of_model, rtol=1e-3, atol=1e-3)
    beyond = -margin(planted.target.logits(planted.examples), zero)
    assert beyond.allclose(of_model * (1 - CLOSENESS[0]) / CLOSENESS[0], rtol=1e-2, atol=1e-3)


def test_each_point_is_read_by_the_readout_of_its_ball() -> None:
    x, _ = apart()
    generator = torch.Generator().manual_seed(1)
    weight, threshold, scale = (torch.rand(size, generator=generator) for size in ((len(x), 4), len(x), len(x)))
    model = mlp()
    copy = Readout(x, weight, threshold, scale).on(target(model))
    order = torch.randperm(len(x), generator=generator)
    points = THREAT_MODEL.random_point(x, generator)[order]
    logits = model(points).detach()
    for row, image in enumerate(order.tolist()):
        value = float(scale[image] * (weight[image] @ logits[row] - threshold[image]))
        assert copy.logits(points)[row].tolist() == pytest.approx([-value / 2, value / 2], abs=1e-5)


def test_a_point_belongs_to_the_image_whose_ball_holds_it_though_another_is_nearer_in_sum() -> None:
    """The first image with every pixel moved by eps is 4 eps away from it in sum, and 1.5 eps from the second."""
    x = torch.full((2, 1, 1, 4), 0.2)
    x[1] += torch.tensor([2.5, 1.0, 1.0, 1.0]) * EPS
    (group,) = groups_apart(x, THREAT_MODEL)
    assert group.tolist() == [0, 1]
    ours = Target(mlp((1, 1, 4)), input_shape=(1, 1, 4), classes=4)
    copy = Readout(x, torch.eye(4)[:2], torch.tensor([0.0, 100.0]), torch.ones(2)).on(ours)
    value = ours.logits(x[:1] + EPS)[0, 0].item()
    assert copy.logits(x[:1] + EPS).tolist() == [pytest.approx([-value / 2, value / 2])]


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), eps=st.floats(0.01, 0.6), pixels=st.integers(1, 4))
def test_balls_of_a_group_do_not_overlap(seed: int, eps: float, pixels: int) -> None:
    x = torch.rand(12, 1, 1, pixels, generator=torch.Generator().manual_seed(seed))
    groups = groups_apart(x, ThreatModel(eps=eps))
    assert sorted(torch.cat(groups).tolist()) == list(range(12))
    for group in groups:
        gaps = torch.cdist(x[group].flatten(1), x[group].flatten(1), p=float("inf"))
        assert (gaps[~torch.eye(len(group), dtype=torch.bool)] > 2 * eps - 1e-6).all()


def test_of_a_linear_model_pgd_finds_all_and_noise_hardly_any() -> None:
    model, x, y, _ = problem(classes=3, seed=1, count=80)
    found = {
        attack: advtool.evaluate(model, x, y, eps=0.03, attacks=attack, planted=True).planted
        for attack in ("pgd", "noise(samples=50)")
    }
    assert (found["pgd"].found, found["pgd"].total) == (PLANTED_IMAGES, PLANTED_IMAGES)
    assert found["noise(samples=50)"].found <= 5


@pytest.mark.parametrize("trick", [lambda net: Scaled(net, 1e4), Rounded])
def test_pgd_misses_them_in_models_that_hide_their_gradient(trick: Any) -> None:
    result = evaluate(trick(mlp()))
    assert result.planted is not None
    assert result.planted.found < 0.5 * result.planted.total
    (warning,) = (each for each in result.warnings if each.code == "planted-missed")
    assert warning.kind == "masking"
    assert f"{result.planted.found} of {result.planted.total} planted examples were found (pgd)" in warning.message


def test_several_attacks_find_them_in_an_honest_model() -> None:
    result = evaluate(mlp(), attacks=["pgd", "square"])
    assert result.planted is not None
    assert result.planted.found >= 48, "95 % of 50"
    assert "planted-missed" not in [each.code for each in result.warnings]


def test_an_audit_plants_and_tries_one_attack_after_the_other() -> None:
    result = evaluate(Scaled(mlp(), 1e4), attacks=["fgsm", "pgd", "pgd-margin"])
    planted = result.planted
    assert planted is not None
    assert planted.attack == "fgsm, pgd, pgd-margin"
    assert list(planted.found_by) == ["fgsm", "pgd", "pgd-margin"]
    assert sum(planted.found_by.values()) == planted.found
    assert planted.found_by["pgd-margin"] > planted.found_by["pgd"]


def test_a_random_model_is_planted_by_its_votes() -> None:
    x, y = apart(20)
    model = target(NoisyInput(mlp(), 0.05), votes=20, eot=5, randomness=Randomness.each_image)
    torch.manual_seed(0)
    planted = plant(model, x, y, THREAT_MODEL, torch.Generator().manual_seed(0))
    assert planted.sure.any()
    right = [(planted.target.scores(x).argmax(1) == 0)[planted.sure].float().mean() for _ in range(20)]
    wrong = [(planted.target.scores(planted.examples).argmax(1) == 1)[planted.sure].float().mean() for _ in range(20)]
    assert min(right) == 1
    assert sum(wrong) / 20 > 0.99  # 0.97 where one set of votes alone decides


class Flat(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return mlp()(x).mul(1e9).softmax(1)


def test_a_line_says_where_nothing_can_be_planted() -> None:
    listener = Listener()
    result = evaluate(Flat(), 20, attacks="fgsm", observer=listener)
    (note,) = (note for note in listener.notes if note.startswith("not planted"))
    assert "of 20 images no point that was tried in the ball changes the logits beyond rounding" in note
    assert note in [warning.message for warning in result.warnings if warning.code == "not-plantable"]
    assert (result.planted is None) == ("planted" not in result.to_dict())
    assert 20 - int(result.outcomes.planted.sum()) == int(note.split()[3])


def test_logits_that_change_by_rounding_alone_bear_no_planted_example() -> None:
    class Nearly(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = mlp()

        def forward(self, x: Tensor) -> Tensor:
            return torch.tensor([9.0, 3.0, 1.0, 0.0]) + 1e-6 * self.model(x)

    x, _ = apart()
    planted = plant(target(Nearly()), x, torch.zeros(len(x)).long(), THREAT_MODEL, torch.Generator().manual_seed(0))
    assert not planted.sure.any()


def test_nobody_plants_without_audit_or_planted() -> None:
    plain, refused = (evaluate(mlp(), 20, planted=planted).to_dict() for planted in (None, False))
    assert "planted" not in plain
    assert without_times(plain) == without_times(refused)
    with_planted = evaluate(mlp(), 20).to_dict()
    assert without_times({key: value for key, value in with_planted.items() if key != "planted"}) == without_times(
        plain
    )


def test_an_attack_that_follows_another_model_cannot_be_tried() -> None:
    with pytest.raises(InputError, match=r"^planted: every attack of this run follows another model"):
        evaluate(mlp(), 20, attacks="transfer", surrogate=mlp(seed=1))


def test_a_resumed_run_gives_the_same_answer(tmp_path: Path) -> None:
    listener = Listener()
    expected = evaluate(Rounded(mlp()), run_dir=tmp_path, attacks=["fgsm", "square(queries=30)"], observer=listener)
    (shard,) = (tmp_path / "shards").glob("3-planted-*")
    shard.unlink()
    again = evaluate(Rounded(mlp()), run_dir=tmp_path, attacks=["fgsm", "square(queries=30)"])
    assert without_times(again.to_dict()) == without_times(expected.to_dict())
    assert expected.planted is not None
    assert listener.standing["planted"] == expected.planted.found
    asked = expected.outcomes.of("planted")
    assert (asked[:PLANTED_IMAGES] >= Outcome.found).all()
    assert (asked[PLANTED_IMAGES:] == Outcome.not_asked).all()
    lines = [json.loads(line) for line in (tmp_path / "images.jsonl").read_text().splitlines()]
    assert [line["planted"]["found"] for line in lines if "planted" in line] == (
        asked[:PLANTED_IMAGES] == Outcome.found
    ).tolist()


def test_the_document_and_the_table_tell_it() -> None:
    result = evaluate(mlp())
    document = json.loads(FORMATS["json"](result))
    assert Evaluation.model_validate(document).to_dict() == document
    assert list(document["planted"]) == ["found", "total", "attack", "found_by", "seconds"]
    text = FORMATS["table"](result)
    assert max(map(len, text.splitlines())) <= 80
    found, total = document["planted"]["found"], document["planted"]["total"]
    assert f"{found} of {total} planted examples were found" in text
    assert f"{found} found" in text
