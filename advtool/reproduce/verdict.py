"""Verdicts by stated rules: from a paper's figures and ours to one of four words, with the reason.

``holds``, ``partly`` and ``does not`` speak of the paper's claim under our evaluation. ``gradient masking`` says that
the paper's own figure was reached, but that the images do not survive an attack which sees through it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from advtool.evaluation.finished import FinishedRun
from advtool.evaluation.uncertainty import PairedDifference, paired_difference
from advtool.results import Figure, Interval, Row, Verdict

MARGIN = 0.10
"""An accuracy reaches the paper's if it is at most ten points below."""
FAR = 0.20
"""A worst case twenty points below the shown accuracy: what was shown is no robustness."""

HOLDS: Verdict = "holds"
PARTLY: Verdict = "partly"
DOES_NOT: Verdict = "does not"
MASKING: Verdict = "gradient masking"


@dataclass(frozen=True)
class Judgement:
    """A verdict with its reason, in a line."""

    verdict: Verdict
    why: str


class Gain(Protocol):
    """How far two accuracies are apart, over images or over trainings, and the interval of that."""

    @property
    def difference(self) -> float: ...

    @property
    def interval(self) -> Interval: ...


@dataclass(frozen=True)
class Evidence:
    """How a method does beside its baseline, on the same images.

    Attributes:
        shown: its accuracy counted as the paper counts.
        gain: of that accuracy over the baseline's.
        honest_gain: of the worst case over the baseline's worst case.
        distance: how far its worst case is below the shown accuracy, on the images of the audit.
        codes: of the masking findings of its audit.
    """

    shown: float
    gain: Gain
    honest_gain: Gain
    distance: float
    codes: tuple[str, ...] = ()

    @property
    def hidden(self) -> bool:
        """Whether the shown accuracy is no robustness."""
        return bool(self.codes) or self.distance >= FAR or below(self.honest_gain)


def judged_row(
    labels: list[str], figures: dict[str, Figure], judgement: Judgement | None, codes: Iterable[str] = ()
) -> Row:
    """A row of a table with its verdict, if it claims something."""
    if judgement is None:
        return Row(labels=labels, figures=figures, codes=list(codes))
    return Row(labels=labels, figures=figures, codes=list(codes), verdict=judgement.verdict, why=judgement.why)


def judge_robustness(evidence: Evidence, paper: float | None) -> Judgement:
    """A claim that a method is more robust than its baseline, made with one weak attack.

    A gain is clear if its paired 95 % interval leaves 0 out. The paper's figure is *reached* if the shown accuracy is
    at most ``MARGIN`` below it and the gain over the baseline is not clearly negative; where the paper states none,
    if the gain is clearly positive.

    - reached, but masking codes, a worst case ``FAR`` below, or one that is clearly below the baseline's:
      ``gradient masking``;
    - reached, and the gain is clear: ``holds``; a gain within noise: ``partly``; no gain: ``does not``;
    - not reached, but the gain is clear, in the worst case too: ``partly``;
    - else ``does not``.

    Args:
        evidence: what we measured.
        paper: the method's accuracy in the paper, a fraction, or None if it is not stated.
    """
    near = above(evidence.gain) if paper is None else evidence.shown >= paper - MARGIN
    reached = near and not below(evidence.gain)
    if reached and evidence.hidden:
        return Judgement(MASKING, f"{_percent(evidence.shown)} shown, {_hidden_by(evidence)}")
    if reached:
        return Judgement(_by_interval(evidence.gain), f"{_points(evidence.gain)} against the baseline")
    if above(evidence.gain) and above(evidence.honest_gain):
        return Judgement(PARTLY, f"{_points(evidence.gain)}, short of the paper's figure")
    stated = "" if paper is None else f" where the paper has {_percent(paper)}"
    return Judgement(DOES_NOT, f"{_percent(evidence.shown)} shown{stated}, {_points(evidence.gain)}")


def judge_order(gain: Gain, what: str) -> Judgement:
    """A claim that one figure is above another: ``holds`` if clearly, ``partly`` within noise, else ``does not``.

    Args:
        gain: of the figure that the paper calls higher, on the same images.
        what: the figure, for the reason.
    """
    verdict = _by_interval(gain)
    noise = " (within noise)" if verdict == PARTLY else ""
    return Judgement(verdict, f"{what} {_points(gain)}{noise}")


def judge_at_most(ratio: float, paper: float, *, tolerance: float, baseline: float = 1.0) -> Judgement:
    """A claim that something costs only ``paper`` times as much as its baseline.

    ``holds`` up to ``tolerance`` above the paper's ratio, ``partly`` while it is still cheaper than the baseline by
    more than the tolerance, else ``does not``.
    """
    if ratio <= paper + tolerance:
        return Judgement(HOLDS, f"{ratio:.2f} of the time, the paper {paper:.2f}")
    verdict = PARTLY if ratio < baseline - tolerance else DOES_NOT
    return Judgement(verdict, f"{ratio:.2f} of the time, the paper {paper:.2f}")


def led_by(main: Judgement, side: Judgement) -> Judgement:
    """A row with a main claim and one beside it: the main one's verdict, unless the other one takes it back.

    Masking in either is masking. A main claim that holds beside one that does not is ``partly``.
    """
    why = f"{main.why}; {side.why}"
    if MASKING in (main.verdict, side.verdict):
        return Judgement(MASKING, why)
    if (main.verdict, side.verdict) == (HOLDS, DOES_NOT):
        return Judgement(PARTLY, why)
    return Judgement(main.verdict, why)


def both(one: Judgement, other: Judgement) -> Judgement:
    """A row with two claims of equal weight: ``partly`` if one holds, ``does not`` if neither does fully."""
    verdicts = {one.verdict, other.verdict}
    why = f"{one.why}; {other.why}"
    if MASKING in verdicts:
        return Judgement(MASKING, why)
    if len(verdicts) == 1:
        return Judgement(one.verdict, why)
    return Judgement(PARTLY if HOLDS in verdicts else DOES_NOT, why)


def together(verdicts: Iterable[Verdict | None]) -> Verdict | None:
    """Over all: masking if there is any, the verdict that all share, else ``partly``; None if there are none."""
    given = {verdict for verdict in verdicts if verdict is not None}
    if MASKING in given:
        return MASKING
    return next(iter(given), None) if len(given) < 2 else PARTLY


def above(gain: Gain) -> bool:
    """Whether the gain is clear."""
    return gain.interval[0] > 0


def below(gain: Gain) -> bool:
    """Whether the loss is clear."""
    return gain.interval[1] < 0


def worst_case_gain(method: FinishedRun, baseline: FinishedRun) -> PairedDifference:
    """Of the images that survive every attack; both runs saw the same images."""
    return paired_difference(method.worst_case, baseline.worst_case)


def masking_codes(run: FinishedRun) -> tuple[str, ...]:
    """Of a run's findings those that say that the gradient misleads."""
    return tuple(finding.code for finding in run.result.warnings if finding.kind == "masking")


def _by_interval(gain: Gain) -> Verdict:
    return HOLDS if above(gain) else PARTLY if gain.difference > 0 else DOES_NOT


def _hidden_by(evidence: Evidence) -> str:
    left = f"the worst case is {100 * evidence.distance:.1f} points lower"
    if below(evidence.honest_gain):
        left += f", {_points(evidence.honest_gain)} against the baseline's"
    return f"{left} ({', '.join(evidence.codes)})" if evidence.codes else left


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f} %"


def _points(gain: Gain) -> str:
    low, high = gain.interval
    return f"{100 * gain.difference:+.1f} points ({100 * low:.1f} to {100 * high:.1f})"
