"""Intervals: no accuracy without its uncertainty."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from scipy.stats import binomtest

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


def wilson_interval(successes: int, total: int) -> Interval:
    """The 95 % Wilson score interval of a proportion (Wilson 1927): sound near 0 and 1 too.

    Raises:
        ValueError: ``total`` is 0, or ``successes`` not within it.
    """
    interval = binomtest(successes, total).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def paired_difference(a: Sequence[bool], b: Sequence[bool]) -> PairedDifference:
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
    pairs = [(bool(of_a), bool(of_b)) for of_a, of_b in zip(a, b, strict=True)]
    both, only_a, only_b = (pairs.count(pair) for pair in ((True, True), (True, False), (False, True)))
    neither = len(pairs) - both - only_a - only_b
    below_a, above_a = _distances(both + only_a, len(pairs))
    below_b, above_b = _distances(both + only_b, len(pairs))
    phi = _corrected_phi(both, only_a, only_b, neither)
    difference = (only_a - only_b) / len(pairs)
    low = difference - _joined(below_a, above_b, phi)
    high = difference + _joined(above_a, below_b, phi)
    return PairedDifference(difference, (low, high), only_a, only_b, len(pairs))


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
