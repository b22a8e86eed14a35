"""Findings about the model and the images that give the numbers another meaning."""

from collections.abc import Iterator, Mapping

from advtool.evaluation.diagnostics.evidence import Code, Evidence, finding
from advtool.results import Finding, notation
from advtool.results.evaluation import FindingKind
from advtool.target.facts import Autograd, Facts, Randomness

MASKING_MIN_BLIND = 0.9
"""The smallest share of images without a gradient that earns a masking code."""
MASKING_MIN_UNDEFINED = 0.5
"""The smallest share of NaN in the gradient that earns a masking code."""
REPORTED_MIN_UNDEFINED = 0.01
"""The smallest share of NaN in the gradient that is reported at all."""


def setup(evidence: Evidence) -> Iterator[Finding]:
    """Tell what gives the numbers another meaning: the kind of model, or images that do not fit it."""
    yield from model_findings(evidence.facts, evidence.eot, evidence.votes)
    low, high = evidence.pixel_range
    clean = sum(evidence.clean) / len(evidence.clean)
    chance = 1 / evidence.facts.classes
    if evidence.not_certifiable is not None:
        yield finding("not-certifiable", "setup", f"not certified: {evidence.not_certifiable}")
    if evidence.unanswered:
        yield finding(
            "no-answer",
            "setup",
            f"the outputs are NaN or infinite for {notation.counted(evidence.unanswered, 'image')} without an attack: "
            "these count as misclassified",
            unanswered=evidence.unanswered,
        )
    for reason in evidence.unplantable:
        yield finding("not-plantable", "setup", f"not planted: {reason}")
    yield from _where_true(
        {
            "ends-ignored": (
                evidence.inspection.ends_ignored,
                "pixels near the ends of the clip range have no gradient (does the model clamp its input?): gradient "
                "attacks cannot move these pixels; trust attacks without gradients and pgd-straight",
            ),
            "narrow-images": (
                high - low < 0.5,
                f"the pixels use only [{low:.3g}, {high:.3g}] of the clip range [0, 1]: were the images scaled twice?",
            ),
            "low-clean-accuracy": (
                clean < min(2 * chance, chance + 0.1),
                f"only {notation.percent(clean)} of the images are right without an attack: do the labels and the "
                "preprocessing fit this model?",
            ),
        }
    )


def lost_gradient(evidence: Evidence) -> Iterator[Finding]:
    """Tell gradients that are NaN, or exactly zero without a softmax that flattens them: they blind an attack."""
    blind, undefined = evidence.inspection.blind, evidence.inspection.undefined
    if evidence.facts.autograd is Autograd.none:
        return
    if undefined >= REPORTED_MIN_UNDEFINED:
        kind: FindingKind = "masking" if undefined >= MASKING_MIN_UNDEFINED else "strength"
        yield finding(
            "undefined-gradient",
            kind,
            f"{notation.percent(undefined)} of the gradient is NaN and counts as zero: attacks that follow it see "
            f"{'nothing' if blind >= MASKING_MIN_BLIND else 'only part of the image'}; trust square and spsa",
            undefined=undefined,
        )
    elif blind >= MASKING_MIN_BLIND:
        yield finding(
            "zero-gradient",
            "masking",
            f"the gradient is exactly zero for {notation.percent(blind)} of the images, and no softmax is to blame: "
            "attacks that follow it see nothing; trust square, spsa and pgd-straight",
            blind=blind,
        )


def model_findings(facts: Facts, eot: int, votes: int) -> Iterator[Finding]:
    """Tell what is known of a model before it is attacked.

    Args:
        facts: what the preflight found out.
        eot: draws of a gradient.
        votes: draws of a prediction.
    """
    random = facts.randomness is not Randomness.none
    drawn = draws(eot, votes)
    if facts.autograd is Autograd.none:
        yield finding(
            "no-gradient",
            "masking",
            f"autograd finds no gradient ({facts.no_gradient_because}): only attacks without gradients count",
        )
    yield from _where_true(
        {
            "random-model": (random, f"the model is random, two identical calls differ: the answer averages {drawn}"),
            "too-few-draws": (
                random and min(eot, votes) == 1,
                f"the model is random, but was asked with {drawn}: a single draw counts bad luck as an attack; "
                "leave out --eot and --votes",
            ),
            "noise-once-a-call": (
                facts.randomness is Randomness.each_call,
                "all images of a batch get the same noise: each draw takes a call of its own",
            ),
            "keeps-state": (
                bool(facts.moving),
                f"the model's own calls change its state ({notation.first_three(facts.moving)}); "
                + ("answers depend on it, so each call begins from the same state; " if facts.needs.rewinding else "")
                + "afterwards the state is as it was",
            ),
            "batch-dependent": (
                facts.batch_dependent,
                "the answer for an image changes with its place in the batch or with the other images",
            ),
            "probabilities": (
                facts.probabilities,
                "the outputs look like probabilities, not logits: a softmax or sigmoid flattens the losses; "
                "take it out",
            ),
            "gradient-in-forward": (
                facts.differentiates,
                "the model computes gradients in its forward pass, which can mislead our attacks: add one made for it",
            ),
            "train-mode": (facts.train_mode, "the model was in train mode; it was evaluated in eval mode"),
        }
    )


def draws(eot: int, votes: int) -> str:
    """``20 EOT samples a gradient, 1 vote a prediction``."""
    return f"{notation.counted(eot, 'EOT sample')} a gradient, {notation.counted(votes, 'vote')} a prediction"


def _where_true(statements: Mapping[Code, tuple[bool, str]]) -> Iterator[Finding]:
    return (finding(code, "setup", message) for code, (holds, message) in statements.items() if holds)
