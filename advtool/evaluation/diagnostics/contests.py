"""Contests between attacks: what it means if an attack beats one that should be stronger."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from advtool.attacks.base import Guide
from advtool.attacks.losses import tempered_cross_entropy
from advtool.evaluation.diagnosed import MASKING_MIN_DROP
from advtool.evaluation.diagnostics import families
from advtool.evaluation.diagnostics.evidence import Code, Evidence, PerImage, drop_finding, is_masking, percent_right
from advtool.evaluation.diagnostics.families import Family, guided_by, pgd_on
from advtool.evaluation.uncertainty import paired_difference
from advtool.results import Finding, notation
from advtool.target.inspection import Inspection
from advtool.target.scores import negative_margin


@dataclass(frozen=True)
class Contest:
    """Rivals that should not break more images than the baselines, and what it means if one does.

    The strongest rival of a run is compared with its strongest baseline.
    """

    code: Code
    rivals: Family
    meaning: str
    """text for people; ``{baseline}`` stands for the label of the baseline"""
    baselines: Family = families.plain_pgd
    """attacks that differ from the rivals only in what the code names"""
    trace: Callable[[Inspection], float] | None = None
    """The share of images that show the cause. The drop is masking only if the share reaches it. Where no image shows
    the cause, the rival only has the better loss. None if nothing is looked for."""


def _flattened(inspection: Inspection) -> float:
    """The share of images on which the softmax, and with it the gradient of cross entropy, is rounded away."""
    return max(inspection.saturated, inspection.vanishing)


CONTESTS = (
    Contest(
        "gradient-free-beats-gradient",
        guided_by(Guide.scores),
        "an attack without gradients breaks more images than {baseline}, the strongest attack along the model's own "
        "gradient, so this gradient misleads",
        baselines=families.many_steps,  # on honest robust models Square's margin beats cross entropy too
    ),
    Contest(
        "margin-beats-cross-entropy",
        pgd_on(negative_margin),
        "PGD on the margin breaks more images than PGD on cross entropy, so the gradient of cross entropy is lost",
        trace=_flattened,
    ),
    Contest(
        "temperature-beats-cross-entropy",
        pgd_on(tempered_cross_entropy),
        "PGD breaks more images if a temperature divides the logits, so the scale of the logits hides the gradient",
        trace=_flattened,
    ),
    Contest(
        "smoothing-beats-plain-gradient",
        guided_by(Guide.smoothed_gradient),
        "PGD along a gradient averaged over noised inputs breaks more images than {baseline}, so the loss is rough and "
        "the gradient at a single point misleads",
        baselines=families.pgd_on_cross_entropy,
    ),
    Contest(
        "straight-through-beats-plain-gradient",
        guided_by(Guide.straight_gradient),
        "PGD straight through rounding and clamping breaks more images than {baseline}, so rounding or clamping only "
        "hides the gradient",
        baselines=families.pgd_on_cross_entropy,
    ),
    Contest(
        "one-step-beats-many-step",
        families.single_step,
        "a single step breaks more images than the many small steps of {baseline}, so the small steps are led astray",
    ),
    Contest(
        "noise-beats-gradient",
        guided_by(Guide.nothing),
        "random noise breaks more images than {baseline}, so the gradient is worse than none",
    ),
    Contest(
        "transfer-beats-white-box",
        guided_by(Guide.surrogate),
        "examples made for another model break more images than {baseline}, the strongest attack along this model's "
        "own gradient, so this gradient misleads",
        baselines=families.many_steps,
    ),
)


def contests(evidence: Evidence) -> Iterator[Finding]:
    """Tell every contest that a rival wins: as masking if the drop is large and certain, else as a note."""
    for contest in CONTESTS:
        baseline, rival = (
            min(evidence.of(family), key=lambda attack: sum(attack[1]), default=None)
            for family in (contest.baselines, contest.rivals)
        )
        if baseline is not None and rival is not None:
            yield from _judge(contest, baseline, rival, evidence.inspection)


def _judge(
    contest: Contest, baseline: tuple[str, PerImage], rival: tuple[str, PerImage], inspection: Inspection
) -> Iterator[Finding]:
    drop = paired_difference(baseline[1], rival[1])
    figures = f"{percent_right(baseline[1])} under {baseline[0]}, {percent_right(rival[1])} under {rival[0]}"
    evidence = (
        f"{notation.percent(inspection.saturated)} of softmax outputs are exactly 1, "
        f"{notation.percent(inspection.vanishing)} of input gradients are zero"
    )
    traced = contest.trace is None or contest.trace(inspection) >= drop.interval[0]
    if is_masking(drop) and traced:
        yield drop_finding(
            contest.code,
            "masking",
            f"{contest.meaning.format(baseline=baseline[0])}: {figures} ({evidence})",
            drop,
            saturated=inspection.saturated,
            vanishing=inspection.vanishing,
        )
    elif drop.interval[0] > 0:
        least = notation.points(drop.interval[0])
        but = "by less than a trick would show"
        if not traced:
            but = f"but not because a gradient is lost ({evidence})"
        elif drop.difference >= MASKING_MIN_DROP:
            but = f"but {drop.n} images do not prove a trick, the drop may be as small as {least} points"
        message = f"{rival[0]} is stronger here than {baseline[0]}, {but}: {figures}"
        yield drop_finding(contest.code, "strength", message, drop)
