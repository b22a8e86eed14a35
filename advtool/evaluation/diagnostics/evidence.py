"""The evidence that the rules take, and the findings that they give."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from advtool.attacks.base import TensorAttack
from advtool.evaluation.diagnosed import MASKING_MIN_DROP
from advtool.evaluation.diagnostics.families import Family
from advtool.evaluation.uncertainty import PairedDifference
from advtool.results import Finding, Planted, notation
from advtool.results.evaluation import FindingKind
from advtool.target.facts import Facts
from advtool.target.inspection import Inspection

MASKING_MIN_LOWER_BOUND = 0.03
"""The smallest lower end of the paired 95 % interval of a drop that earns a masking code."""

PerImage = Sequence[bool]
"""For each image, in the order of the run: is it classified right, or does it survive?"""

Code = Literal[
    "gradient-free-beats-gradient",
    "margin-beats-cross-entropy",
    "temperature-beats-cross-entropy",
    "smoothing-beats-plain-gradient",
    "straight-through-beats-plain-gradient",
    "one-step-beats-many-step",
    "noise-beats-gradient",
    "transfer-beats-white-box",
    "search-far-below-pgd",
    "survives-half-the-range",
    "accuracy-rises-with-eps",
    "label-leaking",
    "planted-missed",
    "noise-breaks-it",
    "random-model",
    "too-few-draws",
    "noise-once-a-call",
    "batch-dependent",
    "probabilities",
    "gradient-in-forward",
    "no-gradient",
    "undefined-gradient",
    "zero-gradient",
    "ends-ignored",
    "keeps-state",
    "train-mode",
    "narrow-images",
    "low-clean-accuracy",
    "no-answer",
    "not-certifiable",
    "not-plantable",
    "worst-case-below-pgd",
    "not-converged",
]
"""Every finding has one of these; docs/warnings.md explains each."""
CODES: tuple[str, ...] = get_args(Code)


@dataclass(frozen=True)
class Evidence:
    """The outcomes and facts that the rules judge, for the images of the diagnostics in their order."""

    clean: PerImage
    """classified right without an attack"""
    robust: Mapping[str, PerImage]
    """survives the attack, by the label of each attack that saw all these images"""
    attacks: Mapping[str, type[TensorAttack]]
    """the class of each attack, by label"""
    on_examples: Mapping[str, PerImage]
    """the example made of the image is classified right, by the label of each one-step attack"""
    by_eps: Mapping[float, PerImage]
    """survives PGD, by eps: the run's own eps if PGD ran, and the radii of a cascade's probes"""
    most_of_a_class: int
    """how many images are classified right in the class that has most such images"""
    worst_case: PerImage
    """survives every attack of the run"""
    unanswered: int
    """how many images of the whole run have outputs that are NaN or infinite without an attack"""
    taken_late: PerImage
    """only the last round of a search took the image, and the search could have gone on"""
    in_cascade: bool
    """some attacks of the run saw survivors only"""
    not_certifiable: str | None
    """why nothing could be proved although somebody insisted on it"""
    planted: Planted | None
    """how many planted examples were found; None if none was planted"""
    unplantable: Sequence[str]
    """for which images nothing could be planted, and why, although somebody insisted on it"""
    facts: Facts
    inspection: Inspection
    eot: int
    votes: int
    pixel_range: tuple[float, float]
    """the smallest and the largest pixel value of the run"""

    def of(self, family: Family) -> Iterator[tuple[str, PerImage]]:
        """The label of each attack of a family, and which images survive it."""
        return ((label, outcome) for label, outcome in self.robust.items() if family(self.attacks[label]))


def is_masking(drop: PairedDifference) -> bool:
    """Whether a drop is large and certain enough for a code of kind ``masking``."""
    return drop.difference >= MASKING_MIN_DROP and drop.interval[0] >= MASKING_MIN_LOWER_BOUND


def drop_finding(code: Code, kind: FindingKind, message: str, drop: PairedDifference, **figures: Any) -> Finding:
    """A finding that rests on a drop of accuracy, which is among its figures."""
    figures |= {
        "drop": round(drop.difference, 4),
        "interval": [round(end, 4) for end in drop.interval],
        "images": drop.n,
    }
    return finding(code, kind, message, **figures)


def finding(code: Code, kind: FindingKind, message: str, **figures: Any) -> Finding:
    """A finding; ``figures`` stand beside its message in the JSON."""
    return Finding(code=code, kind=kind, message=message, **figures)


def percent_right(answers: PerImage) -> str:
    """The share of True in ``answers``, as text."""
    return notation.percent(sum(answers) / len(answers))
