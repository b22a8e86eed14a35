"""From evidence to a verdict. A table's rule combines these functions; their docstrings are the rule that is printed.

A claim has parts. The interval of a part lies on the side of the claim: it is true, and holds; on the other side: it is
false, and does not hold; or on both: it is open, and undecided.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from advtool.reproduce.gains import ONE_TRAINING
from advtool.results import Estimate, Row, Verdict, notation

HIDING_GAP = 0.20
"""A worst case so far below the shown accuracy: what was shown is no robustness."""
SEED = 0.02
"""How far two trainings may differ in clean accuracy, or on fixed examples, by their seed alone. The last 20 of 100
epochs of one LeNet have a standard deviation of 0.6 points; 95 % of differences lie within 2 times the root of 2 of it.
Under an attack there is no such bound: of three LeNets that differ by their seed, FGSM leaves 24, 97 and 95 %
(``apb-fig2``).
"""
SEED_IN_WORST_CASE = 0.15
"""How far a gain in the worst case may differ by the seed alone. Over three seeds of LeNets with a bias its standard
deviation is up to 7 points at small eps (``apb-fig3a``); at 0.3 every LeNet keeps nothing (``apb-fig2``).
"""
SIZES = {"epochs": "number of epochs", "width": "width of the network"}
"""Evidence that tells how large a training is, as a share of the paper's, by its name."""
BEST_FIRST: tuple[Verdict, ...] = ("holds", "partly", "undecided", "gradient masking", "does not")
NO_GAP = Estimate(value=0.0, interval=(0.0, 0.0), how="exact")


@dataclass(frozen=True)
class Judgement:
    """A verdict on a claim or on a part of it, with its reason in a line."""

    verdict: Verdict
    why: str
    cannot_hold: bool = False
    """the gain in the worst case is clearly below what is claimed"""


Rule = Callable[[Row], Judgement | None]
"""From a row's evidence and codes to its verdict; None where the row can say nothing about the claim."""


def part(what: str, *, is_true: bool, is_false: bool) -> Judgement:
    """A part of a claim, with what was found."""
    if is_true:
        return Judgement("holds", f"{what}: true")
    return Judgement("does not", f"{what}: false") if is_false else Judgement("undecided", f"{what}: open")


def above(what: str, estimate: Estimate, least: float = 0.0, *, away: float = 0.0) -> Judgement:
    """The part that an accuracy is higher than another one by ``least`` or more: the interval ends ``away`` above."""
    low, high = estimate.interval
    bound = f", at least {100 * least:.1f}" if least else ""
    return part(f"{what} {points(estimate)}{bound}", is_true=low > least + away, is_false=high < least - away)


def above_unattacked(what: str, estimate: Estimate, least: float = 0.0) -> Judgement:
    """The same on images that do not depend on the model: clean ones, or fixed examples. With one training on each side
    the interval must end at least 2 points away from what is claimed, since trainings differ by their seed.
    """
    if not is_of_one_training(estimate):
        return above(what, estimate, least)
    judged = above(what, estimate, least, away=SEED)
    reason = f" for other seeds, which may differ by {100 * SEED:g} points"
    return replace(judged, why=judged.why + reason) if judged.verdict == "undecided" else judged


def unless_one_training(judged: Judgement, estimate: Estimate) -> Judgement:
    """With one training on each side the verdict under an attack is undecided where it would be holds or does not:
    another seed may be far away.
    """
    decides = judged.verdict in ("holds", "does not")
    return _undecided(judged, "other seeds may differ") if decides and is_of_one_training(estimate) else judged


def is_of_one_training(estimate: Estimate) -> bool:
    """Whether it compares one training with another one, whose seeds may have decided."""
    return estimate.how.endswith(ONE_TRAINING)


def times(what: str, estimate: Estimate, *, least: float = 0.0, most: float = float("inf")) -> Judgement:
    """The part that a ratio is at least ``least`` and at most ``most``."""
    low, high = estimate.interval
    found = f"{what} {estimate.value:.2f} times ({low:.2f} to {high:.2f})"
    bound = f"at least {least:g}" if least else f"at most {most:g}"
    return part(f"{found}, {bound}", is_true=least <= low and high <= most, is_false=high < least or low > most)


def robust(row: Row) -> Judgement:
    """We judge the gain over the baseline on the same images. Its 95 % interval is above what is claimed: holds;
    below it: does not, or undecided where the gain in the worst case may reach it, since the baseline may hide
    more; on both sides: undecided. A gain that would hold is gradient masking if it is hidden: by a masking code of
    the audit, for half of the trainings or more; by a worst case clearly and at least 20 points below the shown
    accuracy on the same images; or, of several trainings, by a worst case clearly below the baseline's. With one
    training on each side the verdict is undecided where it would be holds or does not: another seed may be far away.
    If an undecided reading of the claim gains less than is claimed in the worst case (of one training 15 points less),
    the other readings decide.
    """
    least, worst, hidden = claimed(row, "gain"), row.evidence["worst case"], list(_hiding(row))
    gain = above("gain", row.evidence["gain"], least)
    why = "; ".join([gain.why, f"in the worst case {points(worst)}", *hidden])
    found = Judgement(gain.verdict, why, cannot_hold=worst.interval[1] < least - _by_seed(worst))
    if gain.verdict == "holds" and hidden:
        return replace(found, verdict="gradient masking")
    found = unless_one_training(found, row.evidence["gain"])
    if gain.verdict == "does not" and worst.interval[1] >= least:
        return _undecided(found, "in the worst case the gain is open: the baseline may hide more")
    return found


def claimed(row: Row, name: str) -> float:
    """The least gain that a paper claims, by the name of the gain's evidence."""
    least = row.evidence.get(f"{name}, claimed")
    return least.value if least else 0.0


def combined(*parts: Judgement) -> Judgement:
    """Parts of equal weight: all hold: holds; one holds and another does not, or is masked: partly. Where none holds,
    the first of gradient masking, does not and undecided that any part has.
    """
    return Judgement(_of({each.verdict for each in parts}), "; ".join(each.why for each in parts))


def led_by(main: Judgement, side: Judgement) -> Judgement:
    """Where one claim leads its verdict counts, but partly where it holds and the other one does not."""
    partly = main.verdict == "holds" and side.verdict in ("does not", "gradient masking")
    return Judgement("partly" if partly else main.verdict, f"{main.why}; {side.why}", main.cannot_hold)


def unless_smaller(judged: Judgement, row: Row) -> Judgement:
    """A training that is shorter than the paper's, or of a narrower network, refutes nothing, since accuracies change
    with both: does not becomes undecided. What it shows stands.
    """
    shares = {words: row.evidence[name].value for name, words in SIZES.items() if name in row.evidence}
    smaller = [f"{notation.percent(share)} of the paper's {words}" for words, share in shares.items() if share < 1]
    if not smaller:
        return judged
    able = replace(judged, cannot_hold=False)
    return _undecided(able, f"but with {' and '.join(smaller)}") if judged.verdict == "does not" else able


def together(verdicts: Iterable[Verdict | None]) -> Verdict | None:
    """Over all rows that have a verdict, as over the parts of a claim; None if no row has one."""
    given = {verdict for verdict in verdicts if verdict is not None}
    return _of(given) if given else None


def best_of(verdicts: Iterable[Verdict | None]) -> Verdict | None:
    """Of several readings of one claim the best verdict counts for the table, in the order holds, partly, undecided,
    gradient masking, does not: one reading under which it holds is enough.
    """
    given = {verdict for verdict in verdicts if verdict is not None}
    return next((verdict for verdict in BEST_FIRST if verdict in given), None)


def points(estimate: Estimate) -> str:
    """``+1.3 points (0.1 to 2.6; paired, 1000 images)``."""
    low, high = estimate.interval
    return f"{100 * estimate.value:+.1f} points ({100 * low:.1f} to {100 * high:.1f}; {estimate.how})"


def _undecided(judged: Judgement, reason: str) -> Judgement:
    return replace(judged, verdict="undecided", why=f"{judged.why}; {reason}")


def _by_seed(worst: Estimate) -> float:
    """How far the interval of a gain in the worst case may be off by the seed."""
    return SEED_IN_WORST_CASE if is_of_one_training(worst) else 0.0


def _of(verdicts: set[Verdict]) -> Verdict:
    if "partly" in verdicts or ("holds" in verdicts and verdicts & {"does not", "gradient masking"}):
        return "partly"
    worst_first: tuple[Verdict, ...] = ("gradient masking", "does not", "undecided")
    return next((verdict for verdict in worst_first if verdict in verdicts), "holds")


def _hiding(row: Row) -> Iterable[str]:
    """What says that the shown accuracy is no robustness."""
    if codes := [code for code in row.codes if code not in row.baseline_codes]:
        yield f"masking codes {', '.join(codes)}"
    gap, of_baseline = row.evidence["gap"], row.evidence.get("baseline's gap", NO_GAP)
    if gap.value - of_baseline.value >= HIDING_GAP and gap.interval[0] > of_baseline.interval[1]:
        beside = "" if of_baseline is NO_GAP else f", the baseline's {100 * of_baseline.value:.1f}"
        yield f"the worst case is {100 * gap.value:.1f} points lower ({gap.how}){beside}"
    worst = row.evidence["worst case"]
    if worst.interval[1] < 0 and not is_of_one_training(worst):
        yield "the worst case is below the baseline's"
