"""The units that columns of several results share."""

from advtool.report.table import Unit
from advtool.results import notation

WORDS = Unit(words=True)
COUNT = Unit()
SHARE = Unit(notation.percent, blank="-")
"""A fraction, written in per cent."""
INTERVAL = Unit(notation.percent_interval, blank="-", parts=("low", "high"))
"""The interval of a share."""
DIFFERENCE = Unit(lambda difference: notation.points(difference, signed=True))
"""Of two shares, written in percentage points."""
DIFFERENCE_INTERVAL = Unit(lambda interval: notation.points_interval(interval, signed=True), parts=("low", "high"))
DURATION = Unit(notation.duration)
P_VALUE = Unit(notation.p_value)


def decimals(places: int) -> Unit:
    """A number with so many digits behind the point."""
    return Unit(lambda value: f"{value:.{places}f}")
