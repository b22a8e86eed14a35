"""What about the model or the images makes the numbers mean something else."""

from collections.abc import Iterator, Mapping

from advtool.evaluation.diagnostics.evidence import Code, Evidence, Kind, finding
from advtool.results import Finding
from advtool.target.facts import Facts
from advtool.target.target import Autograd, Randomness

MASKING_MIN_BLIND = 0.9
"""Share of images without any gradient from which on attacks that follow it are blind."""
MASKING_MIN_UNDEFINED = 0.5
"""Share of NaN in the gradient from which on the same holds."""
TOLD_MIN_UNDEFINED = 0.01


def setup(evidence: Evidence) -> Iterator[Finding]:
    """What about the model or the images makes the numbers mean something else."""
    yield from of_model(evidence.facts, evidence.eot, evidence.votes)
    low, high = evidence.span
    clean = sum(evidence.clean) / len(evidence.clean)
    chance = 1 / evidence.classes
    yield from _true_ones(
        {
            "ends-ignored": (
                evidence.inspection.ends_ignored,
                "pixels near the ends of the clip range have no gradient (is the input clamped?): gradient attacks "
                "cannot move them; trust attacks without gradients and pgd-straight",
            ),
            "narrow-images": (
                high - low < 0.5,
                f"the images use [{low:.3g}, {high:.3g}] of the clip range [0, 1]: were they scaled twice?",
            ),
            "low-clean-accuracy": (
                clean < min(2 * chance, chance + 0.1),
                f"only {100 * clean:.1f} % are right without an attack: do labels and preprocessing fit this model?",
            ),
        }
    )


def lost_gradient(evidence: Evidence) -> Iterator[Finding]:
    """Gradients that are NaN or exactly zero, though no softmax flattens them: attacks that follow them are blind."""
    blind, undefined = evidence.inspection.blind, evidence.inspection.undefined
    if evidence.facts.autograd is Autograd.none:
        return
    if undefined >= TOLD_MIN_UNDEFINED:
        kind: Kind = "masking" if undefined >= MASKING_MIN_UNDEFINED else "strength"
        yield finding(
            "undefined-gradient",
            kind,
            f"{100 * undefined:.0f} % of the gradient is NaN and counts as zero: attacks that follow it see "
            f"{'nothing' if blind >= MASKING_MIN_BLIND else 'only part of the image'}; trust square and spsa",
            undefined=undefined,
        )
    elif blind >= MASKING_MIN_BLIND:
        yield finding(
            "zero-gradient",
            "masking",
            f"the gradient is exactly zero for {100 * blind:.0f} % of the images, and no softmax is to blame: attacks "
            "that follow it see nothing; trust square, spsa and pgd-straight",
            blind=blind,
        )


def of_model(facts: Facts, eot: int, votes: int) -> Iterator[Finding]:
    """What is known of a model before it is attacked."""
    random = facts.randomness is not Randomness.none
    averaged = draws(eot, votes)
    if facts.autograd is Autograd.none:
        yield finding(
            "no-gradient",
            "masking",
            f"autograd finds no gradient ({facts.no_gradient_because}): only attacks without gradients count here",
        )
    yield from _true_ones(
        {
            "random-model": (random, f"the model is random, two identical calls differ: averaged over {averaged}"),
            "too-few-draws": (
                random and min(eot, votes) == 1,
                f"a random model was asked with {averaged}: a single draw counts luck; leave out --eot and --votes",
            ),
            "noise-once-a-call": (
                facts.randomness is Randomness.each_call,
                "the model draws its noise once a call, the same for all images of a batch: each draw takes a call",
            ),
            "keeps-state": (
                bool(facts.moving),
                f"the model's own calls change what it holds ({_some(facts.moving)})"
                + (
                    ", and its answers with it: it is asked from the same state each time"
                    if facts.needs.rewinding
                    else ""
                )
                + "; afterwards everything is as it was",
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
            "train-mode": (facts.train_mode, "the model was in train mode; it was evaluated in eval mode"),
        }
    )


def draws(eot: int, votes: int) -> str:
    """``20 EOT draws a gradient, 1 vote a prediction``."""
    return f"{eot} EOT draw{'s' * (eot > 1)} a gradient, {votes} vote{'s' * (votes > 1)} a prediction"


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _true_ones(statements: Mapping[Code, tuple[bool, str]]) -> Iterator[Finding]:
    return (finding(code, "setup", message) for code, (holds, message) in statements.items() if holds)
