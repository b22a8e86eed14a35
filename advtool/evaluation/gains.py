"""Estimates how far accuracies are apart, with an interval over images or over trainings.

Each model has a bool tensor (N,) that tells which images it has right.
"""

from collections.abc import Sequence
from math import exp
from statistics import fmean

import torch
from scipy.stats import beta, t
from torch import Tensor

from advtool.evaluation.uncertainty import corrected_resampled_t_test, paired_difference, wilson_interval
from advtool.results import Estimate, Figure

MIN_TRAININGS = 10
"""The fewest trainings for an interval over trainings. The test of the second paper has ten."""

Side = Sequence[Tensor] | float
"""The images that each model has right, or an accuracy that a paper states."""


def gain(points: Sequence[tuple[Sequence[Tensor], Side]], *, test_to_train: float, alpha: float = 0.05) -> Estimate:
    """How far the first side of each point is above the second side: the mean over the points of a curve.

    With fewer trainings than ``MIN_TRAININGS``, the interval tells how other images might come out for these models.
    With more, it is the interval of the corrected resampled t-test. Then it is at least as wide as the interval over
    images, because trainings that all agree have no spread.

    Args:
        points: pairs of two sides. The models at the same place of both sides saw the same images.
        test_to_train: as for :func:`advtool.evaluation.uncertainty.corrected_resampled_t_test`.
        alpha: the level of the test over trainings, in (0, 1).
    """
    by_images = _pooled([_by_images(*point) for point in points])
    trainings = range(len(points[0][0]))
    if len(trainings) < MIN_TRAININGS:
        return by_images
    differences = [fmean(share(ours[i]) - _of_training(theirs, i) for ours, theirs in points) for i in trainings]
    test = corrected_resampled_t_test(differences, test_to_train)
    mean, reach = fmean(differences), test.error * float(t.ppf(1 - alpha / 2, test.degrees_of_freedom))
    interval = (min(mean - reach, by_images.interval[0]), max(mean + reach, by_images.interval[1]))
    return Estimate(value=mean, interval=interval, how=f"t-test at {alpha:g} over {len(trainings)} trainings")


def of_figure(figure: Figure) -> Estimate:
    """A figure as an estimate, with the 95 % t interval of its repeats on a logarithmic scale, or exact otherwise."""
    value, deviation, repeats = figure.ours or 0.0, figure.deviation, figure.repeats
    if not value or deviation is None or repeats is None:
        return Estimate(value=value, interval=(value, value), how="exact")
    factor = exp(float(t.ppf(0.975, repeats - 1)) * deviation / value / repeats**0.5)
    return Estimate(value=value, interval=(value / factor, value * factor), how=f"t, {repeats} repeats")


def share(outcomes: Tensor) -> float:
    """The share of True in ``outcomes``, bool (N,)."""
    return outcomes.double().mean().item()


def _pooled(estimates: Sequence[Estimate]) -> Estimate:
    """The mean of estimates. Its standard error is at most the mean of their errors, however they correlate."""
    low, high = (fmean(each.interval[end] for each in estimates) for end in (0, 1))
    how = f"mean of {len(estimates)}, {estimates[0].how}" if len(estimates) > 1 else estimates[0].how
    return Estimate(value=fmean(each.value for each in estimates), interval=(low, high), how=how)


def _by_images(ours: Sequence[Tensor], theirs: Side) -> Estimate:
    """The gain over the images of all models together.

    An accuracy against a paper's figure gets Wilson's interval. A paired difference gets Newcombe's. Where few images
    differ that is too narrow, so it is widened to the exact interval of the images that only one side has right.
    """
    right = torch.cat(list(ours))
    n = len(right)
    if isinstance(theirs, float):
        low, high = wilson_interval(int(right.sum()), n)
        return Estimate(value=share(right) - theirs, interval=(low - theirs, high - theirs), how=f"Wilson, {n} images")
    found = paired_difference(right, torch.cat(list(theirs)))
    low = min(found.interval[0], found.only_a / n - _most(found.only_b, n))
    high = max(found.interval[1], _most(found.only_a, n) - found.only_b / n)
    return Estimate(value=found.difference, interval=(low, high), how=f"paired, {n} images")


def _most(count: int, n: int) -> float:
    """The upper end of the exact 95 % interval of a proportion (Clopper and Pearson 1934)."""
    return float(beta.ppf(0.975, count + 1, n - count)) if count < n else 1.0


def _of_training(side: Side, number: int) -> float:
    return side if isinstance(side, float) else share(side[number])
