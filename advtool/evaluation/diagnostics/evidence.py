"""What the rules take, evidence, and what they give, findings with a code."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from advtool.attacks.base import TensorAttack
from advtool.evaluation.diagnostics.families import Family
from advtool.evaluation.stages import MASKING_MIN_DROP
from advtool.evaluation.uncertainty import PairedDifference
from advtool.results import Finding, notation
from advtool.target.facts import Facts
from advtool.target.inspection import Inspection

MASKING_MIN_LOWER_BOUND = 0.03
"""The smallest lower end of the paired interval of a masking code's drop."""

Outcome = Sequence[bool]

Kind = Literal["masking", "strength", "setup"]

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
    "worst-case-below-pgd",
]
"""Every finding has one of these; docs/audit.md explains each."""
CODES: tuple[str, ...] = get_args(Code)


@dataclass(frozen=True)
class Evidence:
    """What a run found on the images of its diagnostics; all outcomes are in the order of the images."""

    clean: Outcome
    robust: Mapping[str, Outcome]
    """by label, of the attacks that saw every one of these images"""
    attacks: Mapping[str, type[TensorAttack]]
    """what each label's attack is"""
    on_examples: Mapping[str, Outcome]
    """by label, of one-step attacks: the example made for the image is classified right"""
    by_eps: Mapping[float, Outcome]
    """robust under PGD at the run's own eps if it ran, and at the radii of a cascade's probes"""
    most_of_a_class: int
    """images classified right of the class that has most of them"""
    worst_case: Outcome
    in_cascade: bool
    facts: Facts
    inspection: Inspection
    eot: int
    votes: int
    span: tuple[float, float]
    """the smallest and the largest pixel value of the run"""
    classes: int

    def of(self, family: Family) -> Iterator[tuple[str, Outcome]]:
        """Labels and outcomes of the attacks of a family."""
        return ((label, outcome) for label, outcome in self.robust.items() if family(self.attacks[label]))


def is_masking(drop: PairedDifference) -> bool:
    """Whether a drop is large and sure enough for a code of kind masking."""
    return drop.difference >= MASKING_MIN_DROP and drop.interval[0] >= MASKING_MIN_LOWER_BOUND


def drop_finding(
    code: Code,
    kind: Kind,
    message: str,
    drop: PairedDifference,
    **figures: Any,
) -> Finding:
    """A finding that rests on a drop, with its figures."""
    figures |= {
        "drop": round(drop.difference, 4),
        "interval": [round(end, 4) for end in drop.interval],
        "images": drop.n,
    }
    return finding(code, kind, message, **figures)


def finding(code: Code, kind: Kind, message: str, **figures: Any) -> Finding:
    """A finding with figures of its own."""
    return Finding(code=code, kind=kind, message=message, **figures)


def percent(outcome: Outcome) -> str:
    """Its share of right answers, as text."""
    return notation.percent(sum(outcome) / len(outcome))
