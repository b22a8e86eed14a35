"""Findings about accuracies that no honest model has, such as one that rises with eps or under attack."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from advtool.attacks.base import Guide
from advtool.evaluation.diagnosed import MASKING_MIN_DROP
from advtool.evaluation.diagnostics.evidence import (
    MASKING_MIN_LOWER_BOUND,
    Evidence,
    PerImage,
    drop_finding,
    finding,
    is_masking,
    percent_right,
)
from advtool.evaluation.diagnostics.families import guided_by, plain_pgd
from advtool.evaluation.uncertainty import paired_difference, wilson_interval
from advtool.results import Finding, notation

PLANTED_MIN_FOUND = 0.95
"""The smallest share of planted examples that an attack must find."""
GREY_EPS = 0.5
"""The smallest eps at which every image can become the same grey."""
SEARCH_MIN_DROP = 0.10
"""The smallest drop from PGD to the worst case that earns the code ``search-far-below-pgd``."""
CONVERGED_MAX_DROP = 0.01
"""A doubling of the search that takes this share of the images, or more, earns the note ``not-converged``."""
WORST_CASE_MIN_DROP = 0.01
"""The smallest drop from PGD to the worst case that earns the note ``worst-case-below-pgd``."""


def planted_missed(evidence: Evidence) -> Iterator[Finding]:
    """Tell planted adversarial examples that the attacks missed: then they may miss the model's own too."""
    planted = evidence.planted
    if planted is not None and planted.found < PLANTED_MIN_FOUND * planted.total:
        yield finding(
            "planted-missed",
            "masking",
            f"{planted.found} of {planted.total} planted examples were found ({planted.attack}): on copies of this "
            "model adversarial examples stay unseen that surely exist, so the accuracies say little",
            found=planted.found,
            planted=planted.total,
        )


def label_leaking(evidence: Evidence) -> Iterator[Finding]:
    """Tell one-step examples that are easier than the images: the signs of their steps carry the label."""
    for label, correct in evidence.on_examples.items():
        rise = paired_difference(correct, evidence.clean)
        if is_masking(rise):
            yield drop_finding(
                "label-leaking",
                "masking",
                f"images attacked by {label} are classified better ({percent_right(correct)}) than untouched images "
                f"({percent_right(evidence.clean)}): the model reads the label off the attack",
                rise,
            )


def noise(evidence: Evidence) -> Iterator[Finding]:
    """Tell random noise that breaks images: this eps is beyond the model, even without an adversary."""
    for label, robust in evidence.of(guided_by(Guide.nothing)):
        drop = paired_difference(evidence.clean, robust)
        if is_masking(drop):
            yield drop_finding(
                "noise-breaks-it",
                "setup",
                f"random noise of size eps lowers the accuracy from {percent_right(evidence.clean)} to "
                f"{percent_right(robust)} ({label}): no adversary is needed",
                drop,
            )


def far_below(evidence: Evidence) -> Iterator[Finding]:
    """Tell a worst case below PGD's accuracy. If it is far below, PGD gets stuck on the loss surface."""
    for label, robust in evidence.of(plain_pgd) if evidence.in_cascade else ():
        drop = paired_difference(robust, evidence.worst_case)
        figures = f"{percent_right(robust)} under {label}, {percent_right(evidence.worst_case)} survive all attacks"
        if drop.difference >= SEARCH_MIN_DROP and is_masking(drop):
            message = f"plain PGD gets stuck, and a patient search breaks many more images: {figures}"
            yield drop_finding("search-far-below-pgd", "masking", message, drop)
        elif drop.difference >= WORST_CASE_MIN_DROP:
            message = f"quote the worst case, not the accuracy under PGD: {figures}"
            yield drop_finding("worst-case-below-pgd", "strength", message, drop)


def not_converged(evidence: Evidence) -> Iterator[Finding]:
    """Tell that the last doubling of a search still took a point or more, and that some images still stand."""
    taken, total = sum(evidence.taken_late), len(evidence.taken_late)
    if taken >= CONVERGED_MAX_DROP * total and any(evidence.worst_case):
        yield finding(
            "not-converged",
            "strength",
            f"the search has not converged: its last doubling took {notation.percent(taken / total)} of {total} images "
            "before it had to end, and more may fall: raise --budget",
            taken=taken,
            images=total,
        )


def over_eps(evidence: Evidence) -> Iterator[Finding]:
    """Tell an accuracy that rises with eps, or that is left where every pixel can become grey."""
    radii = sorted(evidence.by_eps)
    for smaller, larger in pairwise(radii):
        rise = paired_difference(evidence.by_eps[larger], evidence.by_eps[smaller])
        if is_masking(rise):
            yield drop_finding(
                "accuracy-rises-with-eps",
                "masking",
                f"PGD leaves {percent_right(evidence.by_eps[smaller])} at eps {notation.eps(smaller)} and "
                f"{percent_right(evidence.by_eps[larger])} at {notation.eps(larger)}: a larger eps must not leave more",
                rise,
            )
    if radii and radii[-1] >= GREY_EPS:
        grey = min(radius for radius in radii if radius >= GREY_EPS)
        yield from _half_the_range(grey, evidence.by_eps[grey], evidence.most_of_a_class)


def _half_the_range(eps: float, left: PerImage, most_of_a_class: int) -> Iterator[Finding]:
    """The grey image lies in every ball. The model gives it one class, so only images of that class can survive."""
    possible, excess = most_of_a_class / len(left), (sum(left) - most_of_a_class) / len(left)
    if excess >= MASKING_MIN_DROP and wilson_interval(sum(left), len(left))[0] - possible >= MASKING_MIN_LOWER_BOUND:
        message = (
            f"at eps {notation.eps(eps)} every image can become the same grey, so at most {notation.percent(possible)} "
            f"(one class) can survive, but PGD leaves {percent_right(left)}: PGD fails here"
        )
        figures: dict[str, Any] = {"accuracy": sum(left) / len(left), "possible": possible}
        yield finding("survives-half-the-range", "masking", message, **figures)
