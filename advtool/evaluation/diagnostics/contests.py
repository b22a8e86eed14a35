"""Attacks that should not beat some others, and what it means if one does."""

from collections.abc import Iterator
from dataclasses import dataclass

from advtool.attacks.base import Guide
from advtool.attacks.losses import tempered_cross_entropy
from advtool.evaluation.diagnostics import families
from advtool.evaluation.diagnostics.evidence import Code, Evidence, Outcome, drop_finding, is_masking, percent
from advtool.evaluation.diagnostics.families import Family, guided_by, pgd_on
from advtool.evaluation.stages import MASKING_MIN_DROP
from advtool.evaluation.uncertainty import paired_difference
from advtool.results import Finding
from advtool.target.inspection import Inspection
from advtool.target.scores import negative_margin


@dataclass(frozen=True)
class Contest:
    """Attacks that should not beat some others, and what it means if one does."""

    code: Code
    rivals: Family
    meaning: str
    """with a place for the name of the attack that was beaten"""
    against: Family = families.plain_pgd
    """the strongest of these counts, so that what differs is what the code names"""


CONTESTS = (
    Contest(
        "gradient-free-beats-gradient",
        guided_by(Guide.scores),
        "an attack that never looks at a gradient breaks more images than {baseline}, the strongest of those that "
        "follow the model's own, so that misleads",
        against=families.many_steps,  # on honest robust models Square's margin beats cross entropy too
    ),
    Contest(
        "margin-beats-cross-entropy",
        pgd_on(negative_margin),
        "the same PGD on the margin breaks more images than on cross entropy, so cross entropy's gradient is lost",
    ),
    Contest(
        "temperature-beats-cross-entropy",
        pgd_on(tempered_cross_entropy),
        "dividing the logits by a temperature makes PGD stronger, so their scale hides the gradient",
    ),
    Contest(
        "smoothing-beats-plain-gradient",
        guided_by(Guide.smoothed_gradient),
        "a gradient averaged over noised inputs breaks more images than {baseline}, so the loss is rough and its "
        "gradient local",
        against=families.pgd_on_cross_entropy,
    ),
    Contest(
        "straight-through-beats-plain-gradient",
        guided_by(Guide.straight_gradient),
        "stepping over rounding or clamping breaks more images than {baseline}, so these only hide the gradient",
        against=families.pgd_on_cross_entropy,
    ),
    Contest(
        "one-step-beats-many-step",
        families.single_step,
        "a single step breaks more images than the many small ones of {baseline}, so these are led astray",
    ),
    Contest(
        "noise-beats-gradient",
        guided_by(Guide.nothing),
        "random noise breaks more images than {baseline} does, so the gradient is worse than none",
    ),
    Contest(
        "transfer-beats-white-box",
        guided_by(Guide.surrogate),
        "examples made for another model break more images than {baseline}, the strongest attack along this one's "
        "own gradient, so that misleads",
        against=families.many_steps,
    ),
)


def contests(evidence: Evidence) -> Iterator[Finding]:
    """PGD and its like against every attack that has no business being stronger."""
    for contest in CONTESTS:
        baseline, rival = (
            min(evidence.of(family), key=lambda attack: sum(attack[1]), default=None)
            for family in (contest.against, contest.rivals)
        )
        if baseline is not None and rival is not None:
            yield from _judge(contest, baseline, rival, evidence.inspection)


def _judge(
    contest: Contest, baseline: tuple[str, Outcome], rival: tuple[str, Outcome], inspection: Inspection
) -> Iterator[Finding]:
    drop = paired_difference(baseline[1], rival[1])
    figures = f"{percent(baseline[1])} under {baseline[0]}, {percent(rival[1])} under {rival[0]}"
    if is_masking(drop):
        evidence = (
            f"{100 * inspection.saturated:.0f} % of softmax outputs are exactly 1, "
            f"{100 * inspection.vanishing:.0f} % of input gradients are zero"
        )
        yield drop_finding(
            contest.code,
            "masking",
            f"{contest.meaning.format(baseline=baseline[0])}: {figures} ({evidence})",
            drop,
            saturated=inspection.saturated,
            vanishing=inspection.vanishing,
        )
    elif drop.interval[0] > 0:
        short = "by less than a trick would show"
        if drop.difference >= MASKING_MIN_DROP:
            short = (
                f"and on {drop.n} images that is no proof of a trick: the drop may be as small as "
                f"{100 * drop.interval[0]:.1f} points"
            )
        message = f"{rival[0]} is stronger here than {baseline[0]}, {short}: {figures}"
        yield drop_finding(contest.code, "strength", message, drop)
