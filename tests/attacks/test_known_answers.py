"""Attacks on linear models, whose robust accuracy is known in closed form."""

import pytest
import torch

import advtool
from tests.support.linear import EPS, problem


@pytest.mark.parametrize("seed", range(3))
def test_two_classes_reach_the_closed_form(seed: int) -> None:
    model, x, y, robust = problem(classes=2, seed=seed)
    assert 0.1 < robust.float().mean() < 0.9, "the problem decides nothing"
    result = advtool.evaluate(model, x, y, eps=EPS, attacks=["fgsm", "pgd", "spsa"], spsa_steps=60)
    fgsm, pgd, spsa = result.attacks
    assert fgsm.robust == pgd.robust == int(robust.sum())
    assert 0 <= spsa.accuracy - robust.float().mean() <= 0.02


@pytest.mark.parametrize("seed", range(3))
def test_no_attack_goes_below_the_truth_on_four_classes(seed: int) -> None:
    model, x, y, robust = problem(classes=4, seed=seed)
    attacks = ["fgsm", "pgd(steps=20, restarts=3)", "spsa", "art:SquareAttack(max_iter=100)"]
    result = advtool.evaluate(model, x, y, eps=EPS, attacks=attacks, spsa_steps=60)
    for attack in result.attacks:
        assert attack.robust >= int(robust.sum()), attack.name
    assert result.worst_case.robust >= int(robust.sum())
    pgd = result.attacks[1]
    assert pgd.accuracy - robust.float().mean() <= 0.05


def test_wrong_images_stay_in_the_total() -> None:
    model, x, y, _ = problem(classes=2, seed=0)
    result = advtool.evaluate(model, x, y, eps=EPS, attacks=["pgd"])
    with torch.no_grad():
        assert result.clean.correct == int((model(x).argmax(1) == y).sum()) < len(x)
    assert result.attacks[0].total == result.clean.total == len(x)
    assert result.attacks[0].robust <= result.clean.correct
