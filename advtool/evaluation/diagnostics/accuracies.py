"""Accuracies that no honest model has: rising with eps or with the attack, lost to noise, far above the worst case."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from advtool.attacks.base import Guide
from advtool.evaluation.diagnostics.evidence import (
    MASKING_MIN_LOWER_BOUND,
    Evidence,
    Outcome,
    drop_finding,
    finding,
    is_masking,
    percent,
)
from advtool.evaluation.diagnostics.families import guided_by, plain_pgd
from advtool.evaluation.stages import MASKING_MIN_DROP
from advtool.evaluation.uncertainty import paired_difference, wilson_interval
from advtool.results import Finding

GREY_EPS = 0.5
"""From this eps on every image can be made the same grey."""
SEARCH_MIN_DROP = 0.10
"""The worst case lies below PGD by so much: the search must have been hard."""


def label_leaking(evidence: Evidence) -> Iterator[Finding]:
    """One-step examples that are easier than the images themselves carry the label in their signs."""
    for label, correct in evidence.on_examples.items():
        rise = paired_difference(correct, evidence.clean)
        if is_masking(rise):
            yield drop_finding(
                "label-leaking",
                "masking",
                f"images attacked by {label} are classified better ({percent(correct)}) than untouched ones "
                f"({percent(evidence.clean)}): the model reads the label off the attack",
                rise,
            )


def noise(evidence: Evidence) -> Iterator[Finding]:
    """Noise that breaks images says that no adversary is needed."""
    for label, robust in evidence.of(guided_by(Guide.nothing)):
        drop = paired_difference(evidence.clean, robust)
        if is_masking(drop):
            yield drop_finding(
                "noise-breaks-it",
                "setup",
                f"no adversary needed: random noise of size eps takes the accuracy from {percent(evidence.clean)} to "
                f"{percent(robust)} ({label})",
                drop,
            )


def far_below(evidence: Evidence) -> Iterator[Finding]:
    """A worst case far below PGD's figure: the loss surface is such that plain PGD gets stuck."""
    for label, robust in evidence.of(plain_pgd) if evidence.in_cascade else ():
        drop = paired_difference(robust, evidence.worst_case)
        figures = f"{percent(robust)} under {label}, {percent(evidence.worst_case)} survive all attacks"
        if drop.difference >= SEARCH_MIN_DROP and is_masking(drop):
            message = f"plain PGD gets stuck far above what a patient search reaches: {figures}"
            yield drop_finding("search-far-below-pgd", "masking", message, drop)
        elif drop.difference >= 0.01:
            message = f"quote the worst case, not PGD's figure: {figures}"
            yield drop_finding("worst-case-below-pgd", "strength", message, drop)


def over_eps(evidence: Evidence) -> Iterator[Finding]:
    """Accuracy must fall as eps grows, and must be gone where every pixel can be made grey."""
    radii = sorted(evidence.by_eps)
    for smaller, larger in pairwise(radii):
        rise = paired_difference(evidence.by_eps[larger], evidence.by_eps[smaller])
        if is_masking(rise):
            yield drop_finding(
                "accuracy-rises-with-eps",
                "masking",
                f"PGD leaves {percent(evidence.by_eps[smaller])} at eps {smaller:g} and "
                f"{percent(evidence.by_eps[larger])} at {larger:g}: with more room it must break more",
                rise,
            )
    if radii and radii[-1] >= GREY_EPS:
        enough = min(radius for radius in radii if radius >= GREY_EPS)
        yield from _half_the_range(enough, evidence.by_eps[enough], evidence.most_of_a_class)


def _half_the_range(eps: float, left: Outcome, most_of_a_class: int) -> Iterator[Finding]:
    """The grey image is in every ball and has one class, so no more images than one class has can survive."""
    possible, excess = most_of_a_class / len(left), (sum(left) - most_of_a_class) / len(left)
    if excess >= MASKING_MIN_DROP and wilson_interval(sum(left), len(left))[0] - possible >= MASKING_MIN_LOWER_BOUND:
        message = (
            f"at eps {eps:g} every image can be made the same grey, so {100 * possible:.1f} % (one class) could "
            f"survive, and PGD leaves {percent(left)}: it does not attack"
        )
        figures: dict[str, Any] = {"accuracy": sum(left) / len(left), "possible": possible}
        yield finding("survives-half-the-range", "masking", message, **figures)
