"""From evidence to a verdict. A table's rule combines these functions; their docstrings are the rule that is printed.

A claim has parts. The interval of a part lies on the side of the claim: it is true, and holds; on the other side: it is
false, and does not hold; or on both: it is open, and undecided.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from advtool.results import Estimate, Row, Verdict

MAX_SHORTFALL = 0.10
"""An accuracy reaches the paper's if it is at most ten points below."""
HIDING_GAP = 0.20
"""A worst case so far below the shown accuracy: what was shown is no robustness."""


@dataclass(frozen=True)
class Judgement:
    """A verdict on a claim or on a part of it, with its reason in a line."""

    verdict: Verdict
    why: str


Rule = Callable[[Row], Judgement | None]
"""From a row's evidence and codes to its verdict; None where the row can say nothing about the claim."""


def part(what: str, *, is_true: bool, is_false: bool) -> Judgement:
    """A part of a claim, with what was found."""
    if is_true:
        return Judgement("holds", f"{what}: true")
    return Judgement("does not", f"{what}: false") if is_false else Judgement("undecided", f"{what}: open")


def above(what: str, estimate: Estimate, least: float = 0.0) -> Judgement:
    """The part that an accuracy is higher than another one by at least ``least``."""
    low, high = estimate.interval
    return part(f"{what} {points(estimate)}", is_true=low > least, is_false=high < least)


def times(what: str, estimate: Estimate, *, least: float = 0.0, most: float = float("inf")) -> Judgement:
    """The part that a ratio is at least ``least`` and at most ``most``."""
    low, high = estimate.interval
    found = f"{what} {estimate.value:.2f} times ({low:.2f} to {high:.2f})"
    bound = f"at least {least:g}" if least else f"at most {most:g}"
    return part(f"{found}, {bound}", is_true=least <= low and high <= most, is_false=high < least or low > most)


def robust(row: Row) -> Judgement:
    """Judged are the gain over the baseline, on the same images, and the distance from the paper's figure, where it
    states one: at most 10 points below. Each is true, false or open where its 95 % interval is above, below or on both
    sides. Both true: holds. Gain false, or figure false: does not, but partly where only the figure is false and the
    worst case is clearly above the baseline's too. Else undecided. The gain is hidden by a masking code of the audit
    (of half of the trainings or more), by a worst case clearly and at least 20 points below the shown accuracy on the
    same images, or by one clearly below the baseline's. Hidden, and one of the two true and none false: gradient
    masking; hidden otherwise, no part counts as true.
    """
    gain, worst = above("gain", row.evidence["gain"]), row.evidence["worst case"]
    parts = [gain]
    if "reach" in row.evidence:
        parts.append(above("against the paper's figure", row.evidence["reach"], -MAX_SHORTFALL))
    verdicts, why = {each.verdict for each in parts}, "; ".join(each.why for each in parts)
    if hidden := "; ".join(_hiding(row)):
        masked = "holds" in verdicts and "does not" not in verdicts
        verdict = "gradient masking" if masked else _of(verdicts - {"holds"} or {"undecided"})
        return Judgement(verdict, f"{why}; hidden: {hidden}")
    partly = gain.verdict == "holds" and worst.interval[0] > 0
    return Judgement("does not" if "does not" in verdicts and not partly else _of(verdicts), why)


def combined(*parts: Judgement) -> Judgement:
    """Parts of equal weight: gradient masking in one is that of all; all true: holds; some true and some false: partly;
    some false and none true: does not; else undecided.
    """
    return Judgement(_of({each.verdict for each in parts}), "; ".join(each.why for each in parts))


def led_by(main: Judgement, side: Judgement) -> Judgement:
    """Where one claim leads its verdict counts, but partly where it holds and the other one does not, and gradient
    masking where the other one is that.
    """
    verdict: Verdict = "partly" if (main.verdict, side.verdict) == ("holds", "does not") else main.verdict
    masked = "gradient masking" in (main.verdict, side.verdict)
    return Judgement("gradient masking" if masked else verdict, f"{main.why}; {side.why}")


def together(verdicts: Iterable[Verdict | None]) -> Verdict | None:
    """Over all rows that have a verdict, as over the parts of a claim; None if no row has one."""
    given = {verdict for verdict in verdicts if verdict is not None}
    return _of(given) if given else None


def points(estimate: Estimate) -> str:
    """``+1.3 points (0.1 to 2.6; paired, 1000 images)``."""
    low, high = estimate.interval
    return f"{100 * estimate.value:+.1f} points ({100 * low:.1f} to {100 * high:.1f}; {estimate.how})"


def _of(verdicts: set[Verdict]) -> Verdict:
    if "gradient masking" in verdicts:
        return "gradient masking"
    if "partly" in verdicts or {"holds", "does not"} <= verdicts:
        return "partly"
    return "does not" if "does not" in verdicts else "undecided" if "undecided" in verdicts else "holds"


def _hiding(row: Row) -> Iterable[str]:
    """What says that the shown accuracy is no robustness."""
    yield from row.codes
    gap, worst = row.evidence["gap"], row.evidence["worst case"]
    if gap.value >= HIDING_GAP and gap.interval[0] > 0:
        yield f"the worst case is {100 * gap.value:.1f} points lower"
    if worst.interval[1] < 0:
        yield f"the worst case {points(worst)} against the baseline's"
