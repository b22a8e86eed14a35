"""Which epoch is kept, and when a training has collapsed, on fabricated histories."""

import math

import pytest
import torch

from advtool.training import Collapse, Figures
from advtool.training.history import best, find_collapse, floor_of


def epochs(*figures: tuple[float, float, float]) -> list[Figures]:
    """Of (clean, one-step, PGD) accuracies."""
    return [
        Figures(
            epoch=number,
            loss=1.0,
            learning_rate=1e-3,
            seconds=1.0,
            clean=clean,
            one_step=one_step,
            pgd=pgd,
            adversarial_loss=3 - pgd - clean,
        )
        for number, (clean, one_step, pgd) in enumerate(figures, start=1)
    ]


@pytest.mark.parametrize(
    ("keep", "epoch"),
    [("pgd", 2), ("one-step", 4), ("clean", 3), ("loss", 3), ("last", 4)],
)
def test_the_kept_epoch_is_the_first_by_the_asked_figure(keep: str, epoch: int) -> None:
    history = epochs((0.5, 0.5, 0.3), (0.7, 0.6, 0.6), (0.9, 0.6, 0.5), (0.8, 0.95, 0.2))
    assert best(history, keep, floor=0.13).epoch == epoch


def test_ties_go_by_one_step_then_clean_accuracy_then_the_later_epoch() -> None:
    assert best(epochs((0.9, 0.6, 0.5), (0.8, 0.7, 0.5)), "pgd", 0.1).epoch == 2
    assert best(epochs((0.9, 0.7, 0.5), (0.8, 0.7, 0.5)), "pgd", 0.1).epoch == 1
    assert best(epochs((0.8, 0.7, 0.5), (0.8, 0.7, 0.5)), "pgd", 0.1).epoch == 2


def test_an_immature_epoch_does_not_win_by_what_a_constant_answer_reaches() -> None:
    history = epochs((0.12, 0.11, 0.11), (0.8, 0.7, 0.0), (0.9, 0.75, 0.002), (0.9, 0.74, 0.01))
    floor = floor_of(torch.arange(500) % 10)
    assert best(history, "pgd", floor).epoch == 3
    assert best(history, "pgd", floor=0.0).epoch == 1
    constant = epochs((0.1, 0.1, 0.1), (0.3, 0.05, 0.0))
    assert best(constant, "pgd", floor).epoch == 2
    assert best(constant, "one-step", floor).epoch == 2


def test_the_floor_is_the_most_frequent_class_and_two_standard_errors() -> None:
    assert floor_of(torch.arange(500) % 10) == pytest.approx(0.1 + 2 * math.sqrt(0.09 / 500))
    assert floor_of(torch.tensor([0, 0, 0, 1])) == 1.0


def test_collapse_is_pgd_more_than_20_points_down_while_one_step_holds() -> None:
    history = epochs((0.8, 0.6, 0.4), (0.9, 0.7, 0.55), (0.9, 0.72, 0.5), (0.9, 0.95, 0.05), (0.9, 0.96, 0.0))
    assert find_collapse(history) == Collapse(
        epoch=4, one_step=0.95, pgd=0.05, best_epoch=2, best_one_step=0.7, best_pgd=0.55
    )
    assert find_collapse(history[:3]) is None
    assert (
        find_collapse(epochs((0.9, 0.7, 0.55), (0.5, 0.4, 0.1))) is None
    )  # the model fell apart, that is another thing
    assert find_collapse(epochs((0.9, 0.7, 0.5), (0.9, 0.8, 0.31))) is None
    assert find_collapse([]) is None


@pytest.mark.parametrize(("one_step", "told"), [(0.81, True), (0.8, True), (0.79, True), (0.781, True), (0.77, False)])
def test_a_collapse_near_the_ceiling_need_not_raise_one_step_accuracy(one_step: float, told: bool) -> None:
    history = epochs((0.9, 0.8, 0.6), (0.9, one_step, 0.0))
    assert (find_collapse(history) is not None) == told
