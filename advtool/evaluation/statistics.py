"""Intervals: no accuracy without its uncertainty."""

from scipy.stats import binomtest

from advtool.results import Interval


def wilson_interval(successes: int, total: int) -> Interval:
    """The 95 % Wilson score interval of a proportion (Wilson 1927): sound near 0 and 1 too.

    Raises:
        ValueError: ``total`` is 0, or ``successes`` not within it.
    """
    interval = binomtest(successes, total).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)
