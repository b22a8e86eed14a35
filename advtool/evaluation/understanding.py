"""What is understood of a model and its data before the attacks, and whether it makes sense to go on."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from advtool.errors import InputError
from advtool.evaluation.causes import find_cause
from advtool.evaluation.recognition import Opened
from advtool.evaluation.stages import Stage
from advtool.evaluation.uncertainty import wilson_interval
from advtool.evaluation.worker import Preview
from advtool.results import Check, CleanAccuracy, DatasetInfo
from advtool.target.holding import parameters_of
from advtool.threat import ThreatModel

PASSES_OF_A_GRADIENT = 3
"""A gradient takes about as long as so many forward passes."""


def understand(
    ours: Opened,
    x: Tensor,
    y: Tensor,
    preview: Preview,
    stages: Sequence[Stage],
    *,
    threat_model: ThreatModel,
    dataset: DatasetInfo,
    checkpoint: dict[str, Any] | None,
    origin: dict[str, Any],
    environment: dict[str, Any],
) -> Check:
    """The facts about a model on its data.

    Args:
        ours: the model.
        x: all images of the run, float32 (N, C, H, W) in [0, 1] on the CPU.
        y: their labels (N,).
        preview: the first of them, classified.
        stages: the attacks.
        threat_model: of the run.
        dataset: what the images are.
        checkpoint: where the model comes from, if it is one of ours.
        origin: where it comes from.
        environment: where this is computed.
    """
    target, count = ours.target, len(preview.right)
    clean = _clean(preview.right)
    good = clean.interval[0] > 1 / target.classes
    cause = None if good else find_cause(target, x[:count].to(target.device), y[:count].to(target.device))
    low, high = x.aminmax()
    return Check(
        checkpoint=checkpoint,
        model=origin,
        dataset=dataset,
        threat_model=threat_model,
        eot=target.eot,
        votes=target.votes,
        classes=target.classes,
        input_shape=target.input_shape,
        pixel_range=(float(low), float(high)),
        parameters=sum(parameter.numel() for parameter in parameters_of(ours.handled.model).values()),
        randomness=target.randomness.value,
        state=ours.facts.moving,
        no_gradient=ours.facts.no_gradient_because,
        images_a_pass=target.batch_size,
        seconds=round(min(ours.seconds, preview.seconds / (count * target.votes)) * _passes(stages, len(x)), 1),
        clean=clean,
        chance=1 / target.classes,
        better_than_chance=good,
        cause=None if cause is None else cause.words.format(right=f"{cause.right} of {count} images are right"),
        environment=environment,
    )


def refuse_guessing(check: Check) -> None:
    """Stop before the attacks if the model is no better than guessing.

    Raises:
        InputError: the 95 % interval of its clean accuracy contains that of guessing, or lies below.
    """
    if check.better_than_chance:
        return
    likely = (f"{check.cause}; or its weights are not trained." if check.cause else "") or (
        "are the weights loaded (--weights), the images normalised as in training (--mean, --std), and the classes in "
        "the order of the outputs (--classes)?"
    )
    raise InputError(
        f"the model is no better than guessing: {check.clean.correct} of {check.clean.total} images are right, and "
        f"guessing among {check.classes} classes gets {100 * check.chance:.3g} %; {likely} --force goes on all the same"
    )


def _clean(right: Sequence[bool]) -> CleanAccuracy:
    correct, total = sum(right), len(right)
    return CleanAccuracy(
        correct=correct, total=total, accuracy=correct / total, interval=wilson_interval(correct, total)
    )


def _passes(stages: Sequence[Stage], images: int) -> float:
    """Forward passes, or as much time, that the attacks take at most for that many images."""
    costs = (
        stage.attack.most_queries * (PASSES_OF_A_GRADIENT if stage.attack.follows_gradient else 1) for stage in stages
    )
    return float(sum(costs) * images)
