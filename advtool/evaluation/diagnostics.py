"""What a sceptic should know before believing the numbers: from outcomes and facts to findings.

A rule takes the :class:`Evidence` and yields findings. Codes of kind ``masking`` say that the gradient misleads;
they need a drop of at least 5 points whose paired 95 % interval begins at 3 points or more (a plainly robust
model's accuracy differs by a point or two from attack to attack). Smaller but real drops are ``strength`` notes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, get_args

from advtool.attacks.estimator import Randomness
from advtool.evaluation.inspection import Inspection
from advtool.evaluation.stages import DROP
from advtool.evaluation.statistics import PairedDifference, paired_difference, wilson_interval
from advtool.results import Finding

LEAST = 0.03
"""The smallest lower end of the paired interval of a masking code's drop."""
GREY = 0.5
"""From this eps on every image can be made the same grey."""
FAR = 0.10
"""How far the worst case lies below PGD when the search must have been hard."""

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
    "ends-ignored",
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
    names: Mapping[str, str]
    """the attack's name for each label"""
    on_examples: Mapping[str, Outcome]
    """by label, of one-step attacks: the example made for the image is classified right"""
    by_eps: Mapping[float, Outcome]
    """robust under PGD at the run's own eps if it ran, and at the radii of a cascade's probes"""
    most_of_a_class: int
    """images classified right of the class that has most of them"""
    worst_case: Outcome
    in_cascade: bool
    inspection: Inspection
    randomness: Randomness
    eot: int
    votes: int
    span: tuple[float, float]
    """the smallest and the largest pixel value of the run"""
    classes: int

    def of(self, *names: str) -> Iterator[tuple[str, Outcome]]:
        """Labels and outcomes of attacks of these names."""
        return ((label, outcome) for label, outcome in self.robust.items() if self.names[label] in names)


def findings(evidence: Evidence) -> list[Finding]:
    """Every finding, masking first."""
    found = [finding for rule in RULES for finding in rule(evidence)]
    return sorted(found, key=lambda finding: ("masking", "strength", "setup").index(finding.kind))


@dataclass(frozen=True)
class Contest:
    """Attacks that should not beat some others, and what it means if one does."""

    code: Code
    names: tuple[str, ...]
    meaning: str
    """with a place for the name of the attack that was beaten"""
    against: tuple[str, ...] = ("pgd",)
    """the strongest of these counts, so that what differs is what the code names"""


SAME_LOSS = ("pgd", "pgd-temperature")
"""PGD on cross entropy, and on what the smoothed and the straight-through gradient are of."""
OWN_GRADIENT = (*SAME_LOSS, "pgd-margin", "apgd", "apgd-targeted")
"""Attacks that follow the model's own gradient. On honest robust models Square's margin beats cross entropy too."""

CONTESTS = (
    Contest(
        "gradient-free-beats-gradient",
        ("square", "spsa"),
        "an attack that never looks at a gradient breaks more images than {baseline}, the strongest of those that "
        "follow the model's own, so that misleads",
        against=OWN_GRADIENT,
    ),
    Contest(
        "margin-beats-cross-entropy",
        ("pgd-margin",),
        "the same PGD on the margin breaks more images than on cross entropy, so cross entropy's gradient is lost",
    ),
    Contest(
        "temperature-beats-cross-entropy",
        ("pgd-temperature",),
        "dividing the logits by a temperature makes PGD stronger, so their scale hides the gradient",
    ),
    Contest(
        "smoothing-beats-plain-gradient",
        ("pgd-smooth",),
        "a gradient averaged over noised inputs breaks more images than {baseline}, so the loss is rough and its "
        "gradient local",
        against=SAME_LOSS,
    ),
    Contest(
        "straight-through-beats-plain-gradient",
        ("pgd-straight",),
        "stepping over rounding or clamping breaks more images than {baseline}, so these only hide the gradient",
        against=SAME_LOSS,
    ),
    Contest(
        "one-step-beats-many-step",
        ("fgsm",),
        "a single step breaks more images than the many small ones of {baseline}, so these are led astray",
    ),
    Contest(
        "noise-beats-gradient",
        ("noise",),
        "random noise breaks more images than {baseline} does, so the gradient is worse than none",
    ),
    Contest(
        "transfer-beats-white-box",
        ("transfer",),
        "examples made for another model break more images than {baseline}, the strongest attack along this one's "
        "own gradient, so that misleads",
        against=OWN_GRADIENT,
    ),
)


def contests(evidence: Evidence) -> Iterator[Finding]:
    """PGD and its like against every attack that has no business being stronger."""
    for contest in CONTESTS:
        baseline, rival = (
            min(evidence.of(*names), key=lambda attack: sum(attack[1]), default=None)
            for names in (contest.against, contest.names)
        )
        if baseline is not None and rival is not None:
            yield from _judge(contest, baseline, rival, evidence.inspection)


def _judge(
    contest: Contest, baseline: tuple[str, Outcome], rival: tuple[str, Outcome], inspection: Inspection
) -> Iterator[Finding]:
    drop = paired_difference(baseline[1], rival[1])
    figures = f"{_percent(baseline[1])} under {baseline[0]}, {_percent(rival[1])} under {rival[0]}"
    if _is_masking(drop):
        evidence = (
            f"{100 * inspection.saturated:.0f} % of softmax outputs are exactly 1, "
            f"{100 * inspection.vanishing:.0f} % of input gradients are zero"
        )
        yield _finding(
            contest.code,
            "masking",
            f"{contest.meaning.format(baseline=baseline[0])}: {figures} ({evidence})",
            drop,
            saturated=inspection.saturated,
            vanishing=inspection.vanishing,
        )
    elif drop.interval[0] > 0:
        short = "by less than a trick would show"
        if drop.difference >= DROP:
            short = (
                f"and on {drop.n} images that is no proof of a trick: the drop may be as small as "
                f"{100 * drop.interval[0]:.1f} points"
            )
        message = f"{rival[0]} is stronger here than {baseline[0]}, {short}: {figures}"
        yield _finding(contest.code, "strength", message, drop)


def label_leaking(evidence: Evidence) -> Iterator[Finding]:
    """One-step examples that are easier than the images themselves carry the label in their signs."""
    for label, correct in evidence.on_examples.items():
        rise = paired_difference(correct, evidence.clean)
        if _is_masking(rise):
            yield _finding(
                "label-leaking",
                "masking",
                f"images attacked by {label} are classified better ({_percent(correct)}) than untouched ones "
                f"({_percent(evidence.clean)}): the model reads the label off the attack",
                rise,
            )


def noise(evidence: Evidence) -> Iterator[Finding]:
    """Noise that breaks images says that no adversary is needed."""
    for label, robust in evidence.of("noise"):
        drop = paired_difference(evidence.clean, robust)
        if _is_masking(drop):
            yield _finding(
                "noise-breaks-it",
                "setup",
                f"no adversary needed: random noise of size eps takes the accuracy from {_percent(evidence.clean)} to "
                f"{_percent(robust)} ({label})",
                drop,
            )


def far_below(evidence: Evidence) -> Iterator[Finding]:
    """A worst case far below PGD's figure: the loss surface is such that plain PGD gets stuck."""
    for label, robust in evidence.of("pgd") if evidence.in_cascade else ():
        drop = paired_difference(robust, evidence.worst_case)
        figures = f"{_percent(robust)} under {label}, {_percent(evidence.worst_case)} survive all attacks"
        if drop.difference >= FAR and _is_masking(drop):
            message = f"plain PGD gets stuck far above what a patient search reaches: {figures}"
            yield _finding("search-far-below-pgd", "masking", message, drop)
        elif drop.difference >= 0.01:
            message = f"quote the worst case, not PGD's figure: {figures}"
            yield _finding("worst-case-below-pgd", "strength", message, drop)


def over_eps(evidence: Evidence) -> Iterator[Finding]:
    """Accuracy must fall as eps grows, and must be gone where every pixel can be made grey."""
    radii = sorted(evidence.by_eps)
    for smaller, larger in pairwise(radii):
        rise = paired_difference(evidence.by_eps[larger], evidence.by_eps[smaller])
        if _is_masking(rise):
            yield _finding(
                "accuracy-rises-with-eps",
                "masking",
                f"PGD leaves {_percent(evidence.by_eps[smaller])} at eps {smaller:g} and "
                f"{_percent(evidence.by_eps[larger])} at {larger:g}: with more room it must break more",
                rise,
            )
    if radii and radii[-1] >= GREY:
        enough = min(radius for radius in radii if radius >= GREY)
        yield from _half_the_range(enough, evidence.by_eps[enough], evidence.most_of_a_class)


def _half_the_range(eps: float, left: Outcome, most_of_a_class: int) -> Iterator[Finding]:
    """The grey image is in every ball and has one class, so no more images than one class has can survive."""
    possible, excess = most_of_a_class / len(left), (sum(left) - most_of_a_class) / len(left)
    if excess >= DROP and wilson_interval(sum(left), len(left))[0] - possible >= LEAST:
        message = (
            f"at eps {eps:g} every image can be made the same grey, so {100 * possible:.1f} % (one class) could "
            f"survive, and PGD leaves {_percent(left)}: it does not attack"
        )
        figures: dict[str, Any] = {"accuracy": sum(left) / len(left), "possible": possible}
        yield _plain_finding("survives-half-the-range", "masking", message, **figures)


def setup(evidence: Evidence) -> Iterator[Finding]:
    """What about the model or the images makes the numbers mean something else."""
    yield from of_model(evidence.inspection, evidence.randomness, evidence.eot, evidence.votes)
    low, high = evidence.span
    clean = sum(evidence.clean) / len(evidence.clean)
    yield from _those_that_hold(
        {
            "narrow-images": (
                high - low < 0.5,
                f"the images use [{low:.3g}, {high:.3g}] of the clip range [0, 1]: were they scaled twice?",
            ),
            "low-clean-accuracy": (
                clean < min(2 / evidence.classes, 1 / evidence.classes + 0.1),
                f"only {100 * clean:.1f} % are right without an attack: do labels and preprocessing fit this model?",
            ),
        }
    )


def of_model(facts: Inspection, randomness: Randomness, eot: int, votes: int) -> Iterator[Finding]:
    """What is known of a model before it is attacked."""
    random = randomness is not Randomness.none
    averaged = draws(eot, votes)
    yield from _those_that_hold(
        {
            "random-model": (random, f"the model is random, two identical calls differ: averaged over {averaged}"),
            "too-few-draws": (
                random and min(eot, votes) == 1,
                f"a random model was asked with {averaged}: a single draw counts luck; leave out --eot and --votes",
            ),
            "noise-once-a-call": (
                randomness is Randomness.each_call,
                "the model draws its noise once a call, the same for all images of a batch: each draw takes a call",
            ),
            "batch-dependent": (
                facts.batch_dependent,
                "the answer for an image varies with its place in the batch or with the other images",
            ),
            "probabilities": (
                facts.probabilities,
                "the outputs look like probabilities, not logits: a softmax in the model flattens losses; remove it",
            ),
            "gradient-in-forward": (
                facts.differentiates,
                "the model computes gradients in its forward pass: attacks see a moving target; add an adaptive attack",
            ),
            "no-gradient": (
                facts.no_gradient,
                "autograd finds no way from the outputs to the input (no_grad, detach, arg max or NumPy inside?): only "
                "attacks without gradients count here",
            ),
            "ends-ignored": (
                facts.ends_ignored,
                "pixels near the ends of the clip range have no gradient (is the input clamped?): gradient attacks "
                "cannot move them; trust attacks without gradients and pgd-straight",
            ),
            "train-mode": (facts.train_mode, "the model was in train mode; it was evaluated in eval mode"),
        }
    )


def draws(eot: int, votes: int) -> str:
    """``20 EOT draws a gradient, 1 vote a prediction``."""
    return f"{eot} EOT draw{'s' * (eot > 1)} a gradient, {votes} vote{'s' * (votes > 1)} a prediction"


def _those_that_hold(statements: Mapping[Code, tuple[bool, str]]) -> Iterator[Finding]:
    return (_plain_finding(code, "setup", message) for code, (holds, message) in statements.items() if holds)


RULES: tuple[Callable[[Evidence], Iterator[Finding]], ...] = (
    contests,
    far_below,
    over_eps,
    label_leaking,
    noise,
    setup,
)


def _is_masking(drop: PairedDifference) -> bool:
    return drop.difference >= DROP and drop.interval[0] >= LEAST


def _finding(
    code: Code,
    kind: Kind,
    message: str,
    drop: PairedDifference,
    **figures: Any,
) -> Finding:
    figures |= {
        "drop": round(drop.difference, 4),
        "interval": [round(end, 4) for end in drop.interval],
        "images": drop.n,
    }
    return _plain_finding(code, kind, message, **figures)


def _plain_finding(code: Code, kind: Kind, message: str, **figures: Any) -> Finding:
    return Finding(code=code, kind=kind, message=message, **figures)


def _percent(outcome: Outcome) -> str:
    return f"{100 * sum(outcome) / len(outcome):.1f} %"
