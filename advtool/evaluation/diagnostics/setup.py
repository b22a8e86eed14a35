"""What about the model or the images makes the numbers mean something else."""

from collections.abc import Iterator, Mapping

from advtool.attacks.estimator import Randomness
from advtool.evaluation.diagnostics.evidence import Code, Evidence, finding
from advtool.evaluation.inspection import Inspection
from advtool.results import Finding


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
    return (finding(code, "setup", message) for code, (holds, message) in statements.items() if holds)
