"""Estimates how far accuracies are apart, with an interval over images and over trainings.

Each model has a bool tensor (N,) that tells which images it has right.
"""

from collections.abc import Sequence
from math import exp, hypot
from statistics import fmean

import torch
from scipy.stats import beta, t
from torch import Tensor

from advtool.evaluation.uncertainty import TTest, corrected_resampled_t_test, paired_difference
from advtool.results import Estimate, Figure

Side = Sequence[Tensor]
"""The images that each model has right."""
Pair = tuple[Side, Side]
"""Two sides. The models at the same place of both saw the same images; where one saw fewer, they were the first."""


def gain(points: Sequence[Pair], *, folded: bool) -> Estimate:
    """How far the first side of each point is above the second side: the mean over the points of a curve.

    The 95 % interval of one training tells how other images might come out for these models. That of several is the t
    interval over them, but at least as wide as the one over images: trainings that all agree have no spread.

    Args:
        points: the sides, with the same trainings at every point.
        folded: whether the trainings are the folds of a repeated 2-fold cross-validation. Then each has other images
            than the other half, and the test is the corrected resampled one. Otherwise they differ by their seed.
    """
    by_images, count = _pooled([_by_images(pair, folded=folded) for pair in points]), len(points[0][0])
    if count == 1:
        return by_images.model_copy(update={"how": f"{by_images.how}, 1 training"})
    test, mean = t_test(points, folded=folded), fmean(_differences(points))
    reach = test.error * float(t.ppf(0.975, test.degrees_of_freedom))
    interval = (min(mean - reach, by_images.interval[0]), max(mean + reach, by_images.interval[1]))
    return Estimate(value=mean, interval=interval, how=f"t-test over {count} trainings")


def t_test(points: Sequence[Pair], *, folded: bool) -> TTest:
    """The test over two trainings or more whether the gain is 0; the arguments are those of :func:`gain`."""
    return corrected_resampled_t_test(_differences(points), test_to_train=float(folded))


def between(ours: Figure, theirs: Figure) -> Estimate:
    """How far one measured proportion is above another one, of which only the intervals are known.

    Newcombe's interval of independent proportions joins Wilson's (Statistics in Medicine 17, 1998, p. 873, method 10).
    On the same images it is too wide rather than too narrow, where models tend to have the same ones right.
    """
    (a, (below_a, above_a)), (b, (below_b, above_b)) = map(_known, (ours, theirs))
    low, high = hypot(a - below_a, above_b - b), hypot(above_a - a, b - below_b)
    return Estimate(value=a - b, interval=(a - b - low, a - b + high), how="not paired")


def of_figure(figure: Figure) -> Estimate:
    """A figure as an estimate, with the 95 % t interval of its repeats on a logarithmic scale, or exact otherwise."""
    value, deviation, repeats = figure.ours or 0.0, figure.deviation, figure.repeats
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


def _by_images(pair: Pair, *, folded: bool) -> Estimate:
    """Over the images of all folds together; further seeds on the same images are no further images."""
    same = [_on_the_same(*sides) for sides in zip(*pair, strict=True)]
    if folded:
        return _paired(*(torch.cat(side) for side in zip(*same, strict=True)))
    return _pooled([_paired(*sides) for sides in same])


def _on_the_same(ours: Tensor, theirs: Tensor) -> tuple[Tensor, Tensor]:
    """The images that both saw."""
    count = min(len(ours), len(theirs))
    return ours[:count], theirs[:count]


def _pooled(estimates: Sequence[Estimate]) -> Estimate:
    """The mean of estimates. Its standard error is at most the mean of their errors, however they correlate."""
    low, high = (fmean(each.interval[end] for each in estimates) for end in (0, 1))
    how = f"mean of {len(estimates)}, {estimates[0].how}" if len(estimates) > 1 else estimates[0].how
    return Estimate(value=fmean(each.value for each in estimates), interval=(low, high), how=how)


def _paired(ours: Tensor, theirs: Tensor) -> Estimate:
    """Newcombe's interval of a paired difference.

    Where few images differ it is too narrow, so it is widened to the exact interval of the images that only one side
    has right.
    """
    found, n = paired_difference(ours, theirs), len(ours)
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
