"""Intervals and tests against published figures, exact enumeration and laws."""

from itertools import product
from math import comb, inf, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from advtool.evaluation.uncertainty import (
    corrected_resampled_t_test,
    mcnemar_exact,
    paired_difference,
    wilson_interval,
)


@pytest.mark.parametrize(("successes", "total"), [(0, 10), (7, 10), (331, 1000), (1000, 1000)])
def test_wilson_interval_is_its_formula(successes: int, total: int) -> None:
    z, p = 1.959963984540054, successes / total
    centre = (p + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * (p * (1 - p) / total + z * z / (4 * total**2)) ** 0.5
    low, high = wilson_interval(successes, total)
    assert low == pytest.approx(centre - half, abs=1e-12)
    assert high == pytest.approx(centre + half, abs=1e-12)


def vectors(both: int, only_a: int, only_b: int, neither: int) -> tuple[list[bool], list[bool]]:
    """Two vectors with that many items of each kind."""
    a = [True] * (both + only_a) + [False] * (only_b + neither)
    b = [True] * both + [False] * only_a + [True] * only_b + [False] * neither
    return a, b


@pytest.mark.parametrize(
    ("table", "difference", "interval", "digits"),
    [
        # Cavo et al. (2012), as the R package contingencytables gives Newcombe's square-and-add interval
        ((59, 6, 16, 80), -0.0621, (-0.1186, -0.0046), 4),
        # Bentur et al. (2009), as Fagerland, Lydersen & Laake (2014) give it
        ((1, 1, 7, 12), -0.286, (-0.507, -0.026), 3),
        # Newcombe (1998), method 10
        ((36, 12, 2, 0), 0.2, (0.0569, 0.3404), 4),
    ],
)
def test_newcombes_interval_gives_the_published_figures(
    table: tuple[int, int, int, int], difference: float, interval: tuple[float, float], digits: int
) -> None:
    paired = paired_difference(*vectors(*table))
    assert round(paired.difference, digits) == difference
    assert tuple(round(bound, digits) for bound in paired.interval) == interval
    assert (paired.only_a, paired.only_b, paired.n) == (table[1], table[2], sum(table))


def test_newcombes_interval_covers_the_truth() -> None:
    """Counted over every table of 15 pairs, it covers about 95 %, also if the two proportions are correlated."""
    size = 15
    cells = [cell for cell in product(range(size + 1), repeat=3) if sum(cell) <= size]
    tables = [(*cell, size - sum(cell)) for cell in cells]
    bounds = [paired_difference(*vectors(*table)).interval for table in tables]
    for truth in ((0.5, 0.15, 0.1, 0.25), (0.1, 0.5, 0.2, 0.2), (0.7, 0.1, 0.1, 0.1), (0.05, 0.05, 0.85, 0.05)):
        chances = stats.multinomial(size, truth).pmf(np.array(tables))
        covered = [low <= truth[1] - truth[2] <= high for low, high in bounds]
        assert 0.93 < chances @ covered < 0.985, truth  # without phi 0.90 to 0.99, with its sign turned 0.73


@given(st.tuples(*[st.integers(0, 60)] * 4).filter(lambda table: sum(table) > 0))
def test_the_interval_holds_the_difference_and_turns_with_its_sign(table: tuple[int, int, int, int]) -> None:
    a, b = vectors(*table)
    forth, back = paired_difference(a, b), paired_difference(b, a)
    low, high = forth.interval
    assert -1 - 1e-12 <= low <= forth.difference <= high <= 1 + 1e-12
    assert high - low > 0
    assert back.interval == pytest.approx((-high, -low), abs=1e-12)
    assert (back.only_a, back.only_b) == (forth.only_b, forth.only_a)
    assert forth.difference == pytest.approx(np.mean(a) - np.mean(b), abs=1e-12)


def test_pairing_narrows_the_interval_where_both_mostly_agree() -> None:
    paired = paired_difference(*vectors(500, 60, 40, 400)).interval
    unpaired = paired_difference(*vectors(302, 258, 238, 202)).interval  # the same margins, independent
    assert paired[1] - paired[0] < 0.5 * (unpaired[1] - unpaired[0])


@pytest.mark.parametrize(("a", "b"), [([], []), ([True], [True, False])])
def test_no_pairs_are_refused(a: list[bool], b: list[bool]) -> None:
    with pytest.raises(ValueError, match="items"):
        paired_difference(a, b)


@pytest.mark.parametrize(("only_a", "only_b"), [(6, 16), (16, 6), (0, 5), (7, 7), (30, 50)])
def test_mcnemars_p_value_is_twice_the_binomial_tail(only_a: int, only_b: int) -> None:
    total, fewer = only_a + only_b, min(only_a, only_b)
    tail = sum(comb(total, count) for count in range(fewer + 1)) / 2**total
    assert mcnemar_exact(only_a, only_b) == pytest.approx(min(1.0, 2 * tail))


def test_mcnemars_p_value_is_1_where_all_agree() -> None:
    assert mcnemar_exact(0, 0) == 1


DIFFERENCES = (0.021, -0.004, 0.013, 0.030, 0.008, 0.011, -0.010, 0.019, 0.025, 0.002)


def test_without_overlap_the_corrected_test_is_the_paired_t_test() -> None:
    result = corrected_resampled_t_test(DIFFERENCES, 0)
    expected = stats.ttest_rel(DIFFERENCES, [0.0] * 10)
    assert (result.t, result.p_value) == pytest.approx((expected.statistic, expected.pvalue))
    assert result.degrees_of_freedom == expected.df == 9


@pytest.mark.parametrize("ratio", [1.0, 1 / 9, 0.25])
def test_the_overlap_of_training_sets_shrinks_t(ratio: float) -> None:
    plain, corrected = (corrected_resampled_t_test(DIFFERENCES, each) for each in (0, ratio))
    assert corrected.t == pytest.approx(plain.t * sqrt((1 / 10) / (1 / 10 + ratio)))
    assert corrected.p_value == pytest.approx(2 * (1 - stats.t(9).cdf(corrected.t)))


def test_the_corrected_test_errs_5_percent_of_the_time_where_methods_are_equal() -> None:
    """Differences that are correlated by r / (1 + r), as Nadeau and Bengio assume, have exactly this t."""
    draws, n, ratio = 2000, 10, 1.0
    generator = np.random.default_rng(0)
    shared = generator.normal(size=(draws, 1)) * sqrt(ratio)
    rows = (generator.normal(size=(draws, n)) + shared).tolist()
    found, naive = (
        np.mean([corrected_resampled_t_test(row, each).p_value < 0.05 for row in rows]) for each in (ratio, 0)
    )
    assert 0.035 < found < 0.065
    assert naive > 0.4


def test_differences_without_spread_have_a_t_of_0_or_infinity() -> None:
    assert corrected_resampled_t_test([0.0] * 4, 1).p_value == 1
    assert corrected_resampled_t_test([-0.1] * 4, 1).t == -inf
    assert corrected_resampled_t_test([0.1] * 4, 1).p_value == 0


@pytest.mark.parametrize(("differences", "ratio"), [([0.1], 1.0), ([], 1.0), ([0.1, 0.2], -0.5)])
def test_too_few_differences_and_negative_ratios_are_refused(differences: list[float], ratio: float) -> None:
    with pytest.raises(ValueError, match="at least 2"):
        corrected_resampled_t_test(differences, ratio)
