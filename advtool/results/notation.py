"""Figures as people read them: one function for each sort of figure.

Shares, accuracies and differences are fractions; eps is a fraction of the pixel range [0, 1].
"""

from collections.abc import Sequence

from advtool.results.record import Interval


def percent(fraction: float) -> str:
    """A share of 0.331 as ``33.1 %``."""
    return f"{100 * fraction:.1f} %"


def percent_interval(interval: Interval) -> str:
    """The interval of a share in per cent, ``28.4 - 38.1``."""
    low, high = interval
    return f"{100 * low:.1f} - {100 * high:.1f}"


def percent_between(low: float, high: float) -> str:
    """Two shares in per cent, ``28.4 and 38.1 %``."""
    return f"{100 * low:.1f} and {100 * high:.1f} %"


def points(difference: float, *, signed: bool = False) -> str:
    """A difference of two shares in percentage points, ``3.2``; ``signed`` writes ``+3.2``."""
    written = f"{100 * difference:{'+' if signed else ''}.1f}"
    return written if float(written) else "0.0"


def points_interval(interval: Interval, *, signed: bool = False) -> str:
    """The interval of a difference in percentage points, ``-5.6 to 10.5``; ``signed`` writes ``-5.6 to +10.5``."""
    low, high = interval
    return f"{points(low, signed=signed)} to {points(high, signed=signed)}"


def duration(seconds: float) -> str:
    """A time in seconds as ``0.4 s``, ``2 min 05 s`` or ``1 h 02 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def p_value(probability: float) -> str:
    """A p-value as ``0.031``, or as ``< 0.001``."""
    return "< 0.001" if probability < 0.001 else f"{probability:.3f}"


def eps(radius: float) -> str:
    """An eps as ``0.3``; as ``8/255`` if it is a whole number of 255ths with many decimals."""
    levels = radius * 255
    whole = abs(levels - round(levels)) < 1e-9
    return f"{round(levels)}/255" if whole and float(f"{radius:.4g}") != radius else f"{radius:g}"


def first_three(names: Sequence[str]) -> str:
    """The first three of some names, and how many more there are: ``a, b, c and 2 more``."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3:,} more" if len(names) > 3 else "")


def counted(number: int, noun: str) -> str:
    """How many of what its noun says in the singular: ``1 part``, ``1,000 parts``."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def seeds(numbers: Sequence[int]) -> str:
    """The seeds of something: ``seed 3``, ``seeds 0, 1``."""
    return f"seed{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))}"
