"""Intervals and tests: no accuracy without its uncertainty, no difference without its test."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import copysign, inf, sqrt
from statistics import fmean, variance

from scipy.stats import binomtest, t
from torch import Tensor

from advtool.results import Interval


@dataclass(frozen=True)
class PairedDifference:
    """Two accuracies on the same images, and how far they are apart."""

    difference: float
    """accuracy of a minus accuracy of b"""
    interval: Interval
    """of the difference, 95 %"""
    only_a: int
    """images that a has right and b has wrong"""
    only_b: int
    n: int


@dataclass(frozen=True)
class TTest:
    """A two-sided t-test of a mean of 0."""

    t: float
    degrees_of_freedom: int
    p_value: float
    error: float
    """standard error of the mean"""


def wilson_interval(successes: int, total: int) -> Interval:
    """The 95 % Wilson score interval of a proportion (Wilson 1927): sound near 0 and 1 too.

    Raises:
        ValueError: ``total`` is 0, or ``successes`` not within it.
    """
    interval = binomtest(successes, total).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def paired_difference(a: Sequence[bool] | Tensor, b: Sequence[bool] | Tensor) -> PairedDifference:
    """The difference of two proportions on the same items, with Newcombe's interval.

    The interval is method 10 of R. G. Newcombe, "Improved confidence intervals for the difference between binomial
    proportions based on paired data", Statistics in Medicine 17 (1998): the Wilson intervals of the two proportions,
    joined by their correlation phi, whose continuity is corrected.

    Args:
        a: whether each item is right, in one order.
        b: the same of the other, in the same order.

    Raises:
        ValueError: no items, or not as many in both.
    """
    of_a, of_b = (each.tolist() if isinstance(each, Tensor) else each for each in (a, b))
    pairs = [(bool(one), bool(other)) for one, other in zip(of_a, of_b, strict=True)]
    both, only_a, only_b = (pairs.count(pair) for pair in ((True, True), (True, False), (False, True)))
    neither = len(pairs) - both - only_a - only_b
    below_a, above_a = _distances(both + only_a, len(pairs))
    below_b, above_b = _distances(both + only_b, len(pairs))
    phi = _corrected_phi(both, only_a, only_b, neither)
    difference = (only_a - only_b) / len(pairs)
    low = difference - _joined(below_a, above_b, phi)
    high = difference + _joined(above_a, below_b, phi)
    return PairedDifference(difference, (low, high), only_a, only_b, len(pairs))


def mcnemar_exact(only_a: int, only_b: int) -> float:
    """The exact two-sided p-value of McNemar's test (McNemar 1947): are both equally often the only one right?

    Args:
        only_a: items that a alone has right.
        only_b: items that b alone has right.

    Returns:
        The p-value; 1 where there are no such items.

    Raises:
        ValueError: a negative count.
    """
    if only_a == only_b == 0:
        return 1.0
    return float(binomtest(only_a, only_a + only_b, 0.5).pvalue)


def corrected_resampled_t_test(differences: Sequence[float], test_to_train: float) -> TTest:
    """The t-test of differences between two methods over resampled splits, whose training sets overlap.

    The differences are then correlated, and the plain paired t-test finds too much. C. Nadeau and Y. Bengio,
    "Inference for the generalization error", Machine Learning 52 (2003), use the factor (1/n + n_test/n_train) instead
    of 1/n of the variance of the mean.

    Args:
        differences: one for each of n splits: what one method reached minus what the other reached there.
        test_to_train: n_test / n_train of a split: 1 for repeated 2-fold cross-validation, 1/9 for 10-fold;
            0 gives the plain paired t-test.

    Returns:
        t with n - 1 degrees of freedom. Differences that are all 0 give t = 0; all equal and not 0, an infinite t.

    Raises:
        ValueError: fewer than two differences, or a negative ratio.
    """
    n = len(differences)
    if n < 2 or test_to_train < 0:
        raise ValueError(f"{n} differences and a ratio of {test_to_train}: at least 2, and a ratio of at least 0")
    mean = fmean(differences)
    error = sqrt((1 / n + test_to_train) * variance(differences))
    statistic = mean / error if error else copysign(inf, mean) if mean else 0.0
    return TTest(statistic, n - 1, float(2 * t.sf(abs(statistic), n - 1)), error)


def _distances(successes: int, total: int) -> tuple[float, float]:
    """How far a proportion's Wilson interval reaches below it, and above it."""
    low, high = wilson_interval(successes, total)
    return successes / total - low, high - successes / total


def _corrected_phi(both: int, only_a: int, only_b: int, neither: int) -> float:
    """The correlation of a fourfold table; a positive one is moved towards 0 by n/2 in its numerator."""
    n = both + only_a + only_b + neither
    margins = (both + only_a) * (both + only_b) * (neither + only_a) * (neither + only_b)
    product = both * neither - only_a * only_b
    return (max(product - n / 2, 0) if product > 0 else product) / sqrt(margins) if margins else 0.0


def _joined(one: float, other: float, phi: float) -> float:
    return sqrt(max(one**2 - 2 * phi * one * other + other**2, 0.0))
