"""From what was measured to a verdict. A rule of a table combines these, and its docstring is the rule that is printed.

A claim has parts. The interval of a part lies on the side of the claim (``holds``), on the other side (``does not``),
or on both (``undecided``).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from advtool.results import Estimate, Row, Verdict

HIDING_GAP = 0.20
"""A worst case so far below the shown accuracy, 20 points: what was shown is no robustness."""

HOLDS: Verdict = "holds"
PARTLY: Verdict = "partly"
DOES_NOT: Verdict = "does not"
UNDECIDED: Verdict = "undecided"
MASKING: Verdict = "gradient masking"


@dataclass(frozen=True)
class Judgement:
    """A verdict on a claim or on a part of it, with its reason in a line."""

    verdict: Verdict
    why: str


Rule = Callable[[Row], Judgement | None]
"""From a row's evidence and codes to its verdict; None where the row can say nothing about the claim."""


def above(what: str, estimate: Estimate, least: float = 0.0) -> Judgement:
    """The part "at least ``least``" of a claim about a difference of accuracies."""
    low, high = estimate.interval
    return _part(f"{what} {points(estimate)}", is_true=low > least, is_false=high < least)


def at_least(what: str, estimate: Estimate, least: float) -> Judgement:
    """The part "at least ``least`` times" of a claim about a ratio."""
    low, high = estimate.interval
    return _part(f"{what} {times(estimate)}, at least {least:g}", is_true=low >= least, is_false=high < least)


def at_most(what: str, estimate: Estimate, most: float) -> Judgement:
    """The part "at most ``most`` times" of a claim about a ratio."""
    low, high = estimate.interval
    return _part(f"{what} {times(estimate)}, at most {most:g}", is_true=high <= most, is_false=low > most)


def robust(row: Row) -> Judgement:
    """Judged are the gain over the baseline, and the distance from the paper's figure where it states one: at most 10
    points below. Each is true, false or open where its 95 % interval is above, below or on both sides. Gain and figure
    true: holds. Gain true, figure false: partly. Gain false, or figure false and gain open: does not. Else undecided.
    The gain is hidden by a masking code of the audit, by a worst case at least 20 points and clearly below the shown
    accuracy on the same images, or by a worst case that is clearly below the baseline's. If it is hidden, the verdict
    is gradient masking where one of the two is true and none false, and a true part does not count where the other one
    is false.
    """
    gain = above("gain", row.evidence["gain"])
    parts = [gain]
    if "reach" in row.evidence:
        parts.append(above("against the paper's figure", row.evidence["reach"], -0.10))
    why = "; ".join(part.why for part in parts)
    verdicts = {part.verdict for part in parts}
    if hidden := "; ".join(_hiding(row)):
        if HOLDS in verdicts and DOES_NOT not in verdicts:
            return Judgement(MASKING, f"{why}; hidden: {hidden}")
        return Judgement(_combined(verdicts - {HOLDS} or {UNDECIDED}), f"{why}; hidden: {hidden}")
    return Judgement(DOES_NOT if gain.verdict == DOES_NOT else _combined(verdicts), why)


def combined(*parts: Judgement) -> Judgement:
    """Of equal weight: all true holds, true and false partly, false and none true does not, else undecided."""
    return Judgement(_combined({part.verdict for part in parts}), "; ".join(part.why for part in parts))


def led_by(main: Judgement, side: Judgement) -> Judgement:
    """The verdict of the main claim; where that holds and the one beside it does not, ``partly``."""
    why = f"{main.why}; {side.why}"
    if MASKING in (main.verdict, side.verdict):
        return Judgement(MASKING, why)
    return Judgement(PARTLY if (main.verdict, side.verdict) == (HOLDS, DOES_NOT) else main.verdict, why)


def together(verdicts: Iterable[Verdict | None]) -> Verdict | None:
    """Over all rows that have a verdict, as over the parts of a claim; None if no row has one."""
    given = {verdict for verdict in verdicts if verdict is not None}
    return _combined(given) if given else None


def points(estimate: Estimate) -> str:
    """``+1.3 points (0.1 to 2.6)``."""
    low, high = estimate.interval
    return f"{100 * estimate.value:+.1f} points ({100 * low:.1f} to {100 * high:.1f})"


def times(estimate: Estimate) -> str:
    """``3.18 times (2.80 to 3.56)``; without an interval where the value is exact."""
    low, high = estimate.interval
    return f"{estimate.value:.2f} times" + (f" ({low:.2f} to {high:.2f})" if low < high else "")


def _part(what: str, *, is_true: bool, is_false: bool) -> Judgement:
    if is_true:
        return Judgement(HOLDS, f"{what}: true")
    return Judgement(DOES_NOT, f"{what}: false") if is_false else Judgement(UNDECIDED, f"{what}: open")


def _combined(verdicts: set[Verdict]) -> Verdict:
    if MASKING in verdicts:
        return MASKING
    if PARTLY in verdicts or {HOLDS, DOES_NOT} <= verdicts:
        return PARTLY
    if DOES_NOT in verdicts:
        return DOES_NOT
    return UNDECIDED if UNDECIDED in verdicts else HOLDS


def _hiding(row: Row) -> Iterable[str]:
    """What says that the shown accuracy is no robustness."""
    yield from row.codes
    gap, worst = row.evidence["gap"], row.evidence["worst case"]
    if gap.value >= HIDING_GAP and gap.interval[0] > 0:
        yield f"the worst case is {100 * gap.value:.1f} points lower"
    if worst.interval[1] < 0:
        yield f"the worst case {points(worst)} against the baseline's"
