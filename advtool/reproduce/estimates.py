"""Differences of accuracies with the intervals that rules read. Outcomes are bool tensors (N,), one for each model."""

from collections.abc import Sequence
from statistics import fmean

import torch
from scipy.stats import t
from torch import Tensor

from advtool.evaluation.statistics import corrected_resampled_t_test, paired_difference, wilson_interval
from advtool.results import Estimate, Figure

TESTED_TRAININGS = 10
"""From so many trainings on an interval speaks of trainings, not of images alone: the paper's test has ten."""


def share(outcomes: Tensor) -> float:
    """The share of True."""
    return outcomes.double().mean().item()


def gain(
    points: Sequence[tuple[Sequence[Tensor], Sequence[Tensor]]], *, test_to_train: float, alpha: float
) -> Estimate:
    """How much more one side has right than the other: the mean over one or several points of a curve.

    Args:
        points: the outcomes of both sides, model by model; of each model both sides saw the same images.
        test_to_train: see :func:`advtool.evaluation.statistics.corrected_resampled_t_test`.
        alpha: level of the test over trainings.
    """
    by_images = pooled([paired(*point) for point in points])
    trainings = len(points[0][0])
    if trainings < TESTED_TRAININGS:
        return by_images
    differences = [fmean(share(ours[i]) - share(theirs[i]) for ours, theirs in points) for i in range(trainings)]
    return over_trainings(differences, by_images, test_to_train=test_to_train, alpha=alpha)


def paired(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> Estimate:
    """Image by image over all models, by Newcombe's method 10. It speaks of other images for these models."""
    found = paired_difference(torch.cat(list(ours)).tolist(), torch.cat(list(theirs)).tolist())
    return Estimate(value=found.difference, interval=found.interval, how=f"paired, {found.n} images")


def against(value: float, outcomes: Sequence[Tensor], *, test_to_train: float) -> Estimate:
    """The share of True minus a number that a paper states."""
    right = torch.cat(list(outcomes))
    low, high = wilson_interval(int(right.sum()), len(right))
    by_images = Estimate(
        value=share(right) - value, interval=(low - value, high - value), how=f"Wilson, {len(right)} images"
    )
    if len(outcomes) < TESTED_TRAININGS:
        return by_images
    distances = [share(each) - value for each in outcomes]
    return over_trainings(distances, by_images, test_to_train=test_to_train, alpha=0.05)


def pooled(estimates: Sequence[Estimate]) -> Estimate:
    """The mean of several: the standard error of a mean is at most the mean of the errors, however they correlate."""
    if len(estimates) == 1:
        return estimates[0]
    low, high = (fmean(each.interval[end] for each in estimates) for end in (0, 1))
    how = f"mean of {len(estimates)}, {estimates[0].how}"
    return Estimate(value=fmean(each.value for each in estimates), interval=(low, high), how=how)


def over_trainings(
    differences: Sequence[float], by_images: Estimate, *, test_to_train: float, alpha: float
) -> Estimate:
    """The mean of a difference for each training, by the corrected resampled t-test, and at least as wide as by images.

    Trainings that all agree would give an interval without width, though each saw a sample of images.
    """
    test = corrected_resampled_t_test(differences, test_to_train)
    mean, reach = fmean(differences), test.error * float(t.ppf(1 - alpha / 2, test.degrees_of_freedom))
    interval = (min(mean - reach, by_images.interval[0]), max(mean + reach, by_images.interval[1]))
    return Estimate(value=mean, interval=interval, how=f"t-test at {alpha:g} over {len(differences)} trainings")


def of_figure(figure: Figure) -> Estimate:
    """A figure itself: with the t interval of its repeats, or exact where nothing was repeated."""
    value = figure.ours or 0.0
    if figure.deviation is None or figure.repeats is None:
        return Estimate(value=value, interval=(value, value), how="exact")
    reach = figure.deviation * float(t.ppf(0.975, figure.repeats - 1)) / figure.repeats**0.5
    return Estimate(value=value, interval=(value - reach, value + reach), how=f"t, {figure.repeats} turns")
