"""How figures are written: known answers, and that what is written can be read back to its rounding."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advtool import arguments
from advtool.results.notation import (
    counted,
    duration,
    eps,
    first_three,
    p_value,
    percent,
    percent_interval,
    points,
    points_interval,
    seeds,
)


def test_shares_and_their_intervals() -> None:
    assert [percent(share) for share in (0, 0.331, 1)] == ["0.0 %", "33.1 %", "100.0 %"]
    assert percent_interval((0.2841, 0.381)) == "28.4 - 38.1"


def test_differences_and_their_intervals() -> None:
    assert [points(change) for change in (0.032, -0.056, -0.0001)] == ["3.2", "-5.6", "0.0"]
    assert [points(change, signed=True) for change in (0.032, -0.056, 0.0, 0.0004)] == ["+3.2", "-5.6", "0.0", "0.0"]
    assert points_interval((-0.056, 0.105)) == "-5.6 to 10.5"
    assert points_interval((-0.056, 0.105), signed=True) == "-5.6 to +10.5"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.42, "0.4 s"), (59.9, "59.9 s"), (125, "2 min 05 s"), (3599.9, "1 h 00 min"), (3725, "1 h 02 min")],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_counts() -> None:
    assert [counted(number, "part") for number in (0, 1, 2, 1000)] == ["0 parts", "1 part", "2 parts", "1,000 parts"]


def test_seeds() -> None:
    assert [seeds(numbers) for numbers in ([3], [0, 1])] == ["seed 3", "seeds 0, 1"]


def test_names() -> None:
    assert [first_three(list(names)) for names in ("a", "abc", "abcde")] == ["a", "a, b, c", "a, b, c and 2 more"]


def test_p_values() -> None:
    assert [p_value(p) for p in (0, 0.0009, 0.0312, 1)] == ["< 0.001", "< 0.001", "0.031", "1.000"]


@pytest.mark.parametrize(
    ("radius", "words"), [(0.3, "0.3"), (8 / 255, "8/255"), (0.2, "0.2"), (1, "1"), (0, "0"), (0.0123, "0.0123")]
)
def test_radii(radius: float, words: str) -> None:
    assert eps(radius) == words


@given(st.floats(1e-4, 1))
def test_a_written_radius_is_read_back(radius: float) -> None:
    assert arguments.fraction("eps", eps(radius)) == pytest.approx(radius, rel=1e-5)
