"""Estimates how far accuracies are apart, with an interval over images and over trainings.

Each model has a bool tensor (N,) that tells which images it has right.
"""

from collections.abc import Sequence
from math import exp, hypot, sqrt
from statistics import fmean, variance

import torch
from scipy.stats import beta, t
from torch import Tensor

from advtool.evaluation.uncertainty import TTest, corrected_resampled_t_test, paired_difference
from advtool.results import Estimate, Figure

NORMAL_REACH = 1.96
"""Standard errors from the middle of a 95 % interval to its ends."""
TEST_TO_TRAIN = 1.0
"""n_test / n_train of 2-fold cross-validation, in the corrected resampled t-test (Nadeau and Bengio 2003).

It corrects for what folds share: training images and tested images. Where fewer than the other half are tested, folds
share hardly any of these. So the whole ratio corrects the variance of the trainings alone, and that of the images has
the ratio of the images that were tested. With the whole half this is about the test itself.
"""
ONE_TRAINING = "1 training"
"""How the words of an estimate end that compares one training with another one."""
Side = Sequence[Tensor]
"""The images that each model has right."""
Pair = tuple[Side, Side]
"""Two sides. The models at the same place of both saw the same images; where one saw fewer, they were the first."""


def gain(points: Sequence[Pair], *, trained_on: int | None = None) -> Estimate:
    """How far the first side of each point is above the second side: the mean over the points of a curve.

    The 95 % interval of one training tells how other images might come out for these models. That of several is the t
    interval over them. Its variance is at least that of the images: a few trainings that agree by chance have none.

    Args:
        points: the sides, with the same trainings at every point.
        trained_on: the number of images that each training has seen, where the trainings are the folds of a repeated
            2-fold cross-validation, and were tested on images of the other half; None: they differ by their seed, and
            were tested on the same images.
    """
    trainings = [_pooled([_paired(ours[i], theirs[i]) for ours, theirs in points]) for i in range(len(points[0][0]))]
    if len(trainings) == 1:
        return trainings[0].model_copy(update={"how": f"{trainings[0].how}, {ONE_TRAINING}"})
    n, differences = len(trainings), _differences(points)
    of_images = fmean(((each.interval[1] - each.interval[0]) / 2 / NORMAL_REACH) ** 2 for each in trainings)
    if trained_on is None:
        squared_error = max(variance(differences) / n, of_images)
    else:
        of_trainings = max(0.0, variance(differences) - _noise(points))
        tested = max(map(len, points[0][0]))
        squared_error = of_trainings * (1 / n + TEST_TO_TRAIN) + of_images * (1 / n + tested / trained_on)
    mean, reach = fmean(differences), sqrt(squared_error) * float(t.ppf(0.975, n - 1))
    interval = (max(-1.0, mean - reach), min(1.0, mean + reach))
    return Estimate(value=mean, interval=interval, how=f"t-test over {n} trainings")


def contrast(points: Sequence[Pair], others: Sequence[Pair], *, trained_on: int | None = None) -> Estimate:
    """How much higher the :func:`gain` is at the points than at others, as many and with the same trainings."""
    half = gain([*points, *((theirs, ours) for ours, theirs in others)], trained_on=trained_on)
    low, high = half.interval
    return Estimate(value=2 * half.value, interval=(2 * low, 2 * high), how=half.how)


def t_test(points: Sequence[Pair]) -> TTest:
    """The corrected resampled test whether the gain is 0, over the folds of a repeated 2-fold cross-validation."""
    return corrected_resampled_t_test(_differences(points), TEST_TO_TRAIN)


def between(ours: Figure, theirs: Figure) -> Estimate:
    """How far one measured proportion is above another one, of which only the intervals are known.

    Newcombe's interval of independent proportions joins Wilson's (Statistics in Medicine 17, 1998, p. 873, method 10).
    On the same images it is too wide rather than too narrow, where models tend to have the same ones right.
    """
    (a, (below_a, above_a)), (b, (below_b, above_b)) = map(_known, (ours, theirs))
    low, high = hypot(a - below_a, above_b - b), hypot(above_a - a, b - below_b)
    return Estimate(value=a - b, interval=(a - b - low, a - b + high), how=f"not paired, {ONE_TRAINING}")


def of_figure(figure: Figure) -> Estimate:
    """A figure as an estimate, with the 95 % t interval of its repeats on a logarithmic scale, or exact otherwise."""
    value, deviation, repeats = figure.ours, figure.deviation, figure.repeats
    assert value is not None, figure.missing
    if not value or deviation is None or repeats is None:
        return exact(value)
    factor = exp(float(t.ppf(0.975, repeats - 1)) * deviation / value / repeats**0.5)
    return Estimate(value=value, interval=(value / factor, value * factor), how=f"t, {repeats} repeats")


def exact(value: float) -> Estimate:
    """A value without doubt."""
    return Estimate(value=value, interval=(value, value), how="exact")


def share(outcomes: Tensor) -> float:
    """The share of True in ``outcomes``, bool (N,)."""
    return outcomes.double().mean().item()


def _differences(points: Sequence[Pair]) -> list[float]:
    """Of each training, the mean over the points."""
    return [fmean(share(ours[i]) - share(theirs[i]) for ours, theirs in points) for i in range(len(points[0][0]))]


def _noise(points: Sequence[Pair]) -> float:
    """The variance that a training's difference has by the images that were tested: the mean over trainings."""
    return fmean(_noise_of_one([(ours[i], theirs[i]) for ours, theirs in points]) for i in range(len(points[0][0])))


def _noise_of_one(pairs: Sequence[tuple[Tensor, Tensor]]) -> float:
    """The same of one training. It is rather too small: images that one side alone saw add no noise to it."""
    common, most = (number(len(side) for pair in pairs for side in pair) for number in (min, max))
    differences = torch.stack([ours[:common].double() - theirs[:common].double() for ours, theirs in pairs])
    return differences.mean(0).var(correction=0).item() / most


def _pooled(estimates: Sequence[Estimate]) -> Estimate:
    """The mean of estimates. Its standard error is at most the mean of their errors, however they correlate."""
    low, high = (fmean(each.interval[end] for each in estimates) for end in (0, 1))
    how = f"mean of {len(estimates)}, {estimates[0].how}" if len(estimates) > 1 else estimates[0].how
    return Estimate(value=fmean(each.value for each in estimates), interval=(low, high), how=how)


def _paired(ours: Tensor, theirs: Tensor) -> Estimate:
    """Newcombe's interval of a paired difference, on the images that both saw.

    Where few images differ it is too narrow, so it is widened to the exact interval of the images that only one side
    has right.
    """
    n = min(len(ours), len(theirs))
    found = paired_difference(ours[:n], theirs[:n])
    low = min(found.interval[0], found.only_a / n - _most(found.only_b, n))
    high = max(found.interval[1], _most(found.only_a, n) - found.only_b / n)
    return Estimate(value=found.difference, interval=(low, high), how=f"paired, {n} images")


def _most(count: int, n: int) -> float:
    """The upper end of the exact 95 % interval of a proportion (Clopper and Pearson 1934)."""
    return float(beta.ppf(0.975, count + 1, n - count)) if count < n else 1.0


def _known(figure: Figure) -> tuple[float, tuple[float, float]]:
    assert figure.ours is not None, "nothing was measured"
    assert figure.interval is not None, "a figure of one model"
    return figure.ours, figure.interval
