"""Intervals of accuracies, and tests of differences between them."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import copysign, inf, sqrt
from statistics import fmean, variance

import torch
from scipy.stats import binom, binomtest, t
from torch import Tensor

from advtool.results import Interval


@dataclass(frozen=True)
class PairedDifference:
    """The difference of two accuracies, a and b, on the same n images."""

    difference: float
    """accuracy of a minus accuracy of b"""
    interval: Interval
    """the 95 % interval of the difference"""
    only_a: int
    """how many images a has right and b has wrong"""
    only_b: int
    """how many images b has right and a has wrong"""
    n: int


@dataclass(frozen=True)
class TTest:
    """The result of a two-sided t-test whether a mean is 0."""

    t: float
    degrees_of_freedom: int
    p_value: float
    error: float
    """the standard error of the mean"""


def wilson_interval(successes: int, total: int) -> Interval:
    """The 95 % Wilson score interval of a proportion (Wilson 1927). It holds near 0 and 1 too.

    Raises:
        ValueError: ``total`` is 0, or ``successes`` is outside [0, total].
    """
    interval = binomtest(successes, total).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def quantile_ranks(share: float, total: int) -> tuple[int, int]:
    """The ranks (from 1) of two order statistics between which a quantile lies with 95 % confidence.

    It holds for every distribution (Conover 1999, Practical Nonparametric Statistics, section 3.2): how many of
    ``total`` values lie below the quantile is binomial. Rank 0 is below every value and rank ``total`` + 1 above all,
    where there are too few values for that end.

    Args:
        share: of the values that lie below the quantile, in (0, 1).
        total: the number of values.
    """
    return int(binom.ppf(0.025, total, share)), int(binom.ppf(0.975, total, share)) + 1


def paired_difference(a: Sequence[bool] | Tensor, b: Sequence[bool] | Tensor) -> PairedDifference:
    """The difference of two proportions on the same items, with Newcombe's interval.

    The interval is method 10 of R. G. Newcombe, "Improved confidence intervals for the difference between binomial
    proportions based on paired data", Statistics in Medicine 17 (1998). It joins the Wilson intervals of the two
    proportions by their correlation phi, with a correction for continuity.

    Args:
        a: for each of n items, whether a has it right, bool (n,).
        b: for the same items in the same order, whether b has them right, bool (n,).

    Raises:
        ValueError: there are no items, or a and b differ in length.
    """
    of_a, of_b = (torch.as_tensor(each, dtype=torch.bool) for each in (a, b))
    n = len(of_a)
    if not n or n != len(of_b):
        raise ValueError(f"{n} and {len(of_b)} items: they must be the same, and at least one")
    both, only_a, only_b = (int(each.sum()) for each in (of_a & of_b, of_a & ~of_b, of_b & ~of_a))
    below_a, above_a = _distances(both + only_a, n)
    below_b, above_b = _distances(both + only_b, n)
    phi = _corrected_phi(both, only_a, only_b, n - both - only_a - only_b)
    difference = (only_a - only_b) / n
    low = difference - _joined(below_a, above_b, phi)
    high = difference + _joined(above_a, below_b, phi)
    return PairedDifference(difference, (low, high), only_a, only_b, n)


def mcnemar_exact(only_a: int, only_b: int) -> float:
    """The exact two-sided p-value of McNemar's test (McNemar 1947): is a alone right as often as b alone?

    Args:
        only_a: items that a alone has right.
        only_b: items that b alone has right.

    Returns:
        The p-value in [0, 1]; 1 if both counts are 0.

    Raises:
        ValueError: a count is negative.
    """
    if only_a == only_b == 0:
        return 1.0
    return float(binomtest(only_a, only_a + only_b, 0.5).pvalue)


def corrected_resampled_t_test(differences: Sequence[float], test_to_train: float) -> TTest:
    """The t-test of differences between two methods over resampled splits with overlapping training sets.

    The overlap correlates the differences, so the plain paired t-test finds too much. C. Nadeau and Y. Bengio,
    "Inference for the generalization error", Machine Learning 52 (2003), use the factor (1/n + n_test/n_train) instead
    of 1/n of the variance of the mean.

    Args:
        differences: one for each of n splits: what one method reached minus what the other reached there.
        test_to_train: n_test / n_train of a split: 1 for repeated 2-fold cross-validation, 1/9 for 10-fold
            cross-validation; 0 gives the plain paired t-test.

    Returns:
        t with n - 1 degrees of freedom. If all differences are 0, t is 0. If all are equal and not 0, t is infinite.

    Raises:
        ValueError: there are fewer than two differences, or the ratio is negative.
    """
    n = len(differences)
    if n < 2 or test_to_train < 0:
        raise ValueError(f"{n} differences and a ratio of {test_to_train}: at least 2, and a ratio of at least 0")
    mean = fmean(differences)
    error = sqrt((1 / n + test_to_train) * variance(differences))
    statistic = mean / error if error else copysign(inf, mean) if mean else 0.0
    return TTest(statistic, n - 1, float(2 * t.sf(abs(statistic), n - 1)), error)


def _distances(successes: int, total: int) -> tuple[float, float]:
    """How far the Wilson interval of a proportion reaches below the proportion, and above it."""
    low, high = wilson_interval(successes, total)
    return successes / total - low, high - successes / total


def _corrected_phi(both: int, only_a: int, only_b: int, neither: int) -> float:
    """The correlation of a fourfold table. If it is positive, n/2 is subtracted in its numerator, but not below 0."""
    n = both + only_a + only_b + neither
    margins = (both + only_a) * (both + only_b) * (neither + only_a) * (neither + only_b)
    product = both * neither - only_a * only_b
    return (max(product - n / 2, 0) if product > 0 else product) / sqrt(margins) if margins else 0.0


def _joined(one: float, other: float, phi: float) -> float:
    return sqrt(max(one**2 - 2 * phi * one * other + other**2, 0.0))
