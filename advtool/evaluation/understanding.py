"""The preflight: what is known of a model and its images before the attacks, and whether it makes sense to go on."""

from typing import Any

from advtool.attacks.doubling import Doubling
from advtool.errors import InputError
from advtool.evaluation.attack_stage import PASSES_OF_A_GRADIENT
from advtool.evaluation.causes import find_cause
from advtool.evaluation.planting.planting import PLANTED_IMAGES
from advtool.evaluation.preparation import Prepared
from advtool.evaluation.question import Question
from advtool.evaluation.summary import clean_accuracy
from advtool.evaluation.worker import Preview
from advtool.results import Certification, Check, notation
from advtool.target.holding import parameters_of

NOT_ASKED_FOR: dict[bool | None, str] = {
    None: "it takes --certify, or --attack audit where it is cheap",
    False: "--no-certify",
}
"""By the setting ``certify``, why a run proves nothing although nothing stands in the way."""


def understand(
    ready: Prepared,
    preview: Preview,
    *,
    checkpoint: dict[str, Any] | None,
    origin: dict[str, Any],
    environment: dict[str, Any],
) -> Check:
    """The facts about the model and the images of a run.

    Args:
        ready: the run, as it was prepared.
        preview: the first images of the run, classified.
        checkpoint: the card of the checkpoint that the model comes from, if it is one of ours.
        origin: where the model comes from, for the result's ``model``.
        environment: the machine, the versions and the batch plan.
    """
    ours, question = ready.ours, ready.question
    target, count = ours.target, len(preview.right)
    clean = clean_accuracy(preview.right)
    chance = 1 / min(target.classes, max(2, _classes_of(question)))
    good = clean.interval[0] > chance
    cause = None if good else find_cause(target, *question.first(count, target.device))
    low, high = question.x.aminmax()
    an_image = min(ours.seconds, preview.seconds / (count * target.votes))
    return Check(
        checkpoint=checkpoint,
        model=origin,
        dataset=question.dataset,
        threat_model=question.threat_model,
        eot=target.eot,
        votes=target.votes,
        classes=target.classes,
        logits_from=ours.facts.logits_from,
        input_shape=target.input_shape,
        pixel_range=(float(low), float(high)),
        parameters=sum(parameter.numel() for parameter in parameters_of(ours.handled.model).values()),
        randomness=target.randomness.value,
        state=ours.facts.moving,
        no_gradient=ours.facts.no_gradient_because,
        images_a_pass=target.batch_size,
        seconds=round(_seconds(ready, an_image), 1),
        clean=clean,
        unanswered=int(preview.unanswered.sum()),
        chance=chance,
        better_than_chance=good,
        cause=None if cause is None else cause.words.format(right=f"{cause.right} of {count} images are right"),
        certification=_certification(ready),
        environment=environment,
    )


def _classes_of(question: Question) -> int:
    """How many classes the images have, whatever the model's outputs: those with a name, or up to the largest label."""
    names = question.dataset.classes
    return int(question.y.max()) + 1 if names is None else len(names)


def refuse_guessing(check: Check) -> None:
    """Stop before the attacks if the model is no better than guessing.

    Raises:
        InputError: the 95 % interval of its clean accuracy contains the accuracy of guessing, or lies below it.
    """
    if check.better_than_chance:
        return
    too_many, likely = _too_many_outputs(check), ""
    taken = f"the logits are {check.logits_from}; " if check.logits_from else ""
    if check.cause:
        likely = f"{check.cause}; or the weights are not trained. "
    elif not too_many:
        likely = (
            "are the weights loaded (--weights), the images normalised as in training (--mean, --std), and the "
            "classes in the order of the outputs (--classes)? "
        )
    raise InputError(
        f"{too_many}{taken}the model is no better than guessing: "
        f"{check.clean.correct} of {check.clean.total} images are right, and guessing among {1 / check.chance:.0f} "
        f"classes gets {notation.percent(check.chance)}; {likely}--force evaluates it anyway"
    )


def _too_many_outputs(check: Check) -> str:
    """What to do if the model has more outputs than the data set has classes; "" if it has not."""
    names = check.dataset.classes
    if names is None or len(names) >= check.classes:
        return ""
    return (
        f"the model has {check.classes} outputs, and '{check.dataset.name}' has {len(names)} classes: "
        f"--model-args '{{\"num_classes\": {len(names)}}}' if that is what its factory takes, or --classes FILE; "
    )


def _seconds(ready: Prepared, an_image: float) -> float:
    """About how long the stages take at most, if a forward pass of an image takes ``an_image`` seconds."""
    doubles = any(isinstance(stage.attack, Doubling) for stage in ready.attacks)
    seconds = an_image * sum(stage.passes for stage in ready.attacks)
    seconds *= ready.question.settings.budget if doubles else 1
    if ready.known_noise is not None:
        seconds += an_image * ready.known_noise.gradients * PASSES_OF_A_GRADIENT
    certification = _certification(ready)
    if certification.runs:
        seconds += an_image * (certification.passes or 0.0) + ready.question.settings.certify_seconds
    images = len(ready.question.x)
    planted = 0.0 if ready.planting is None else ready.planting.passes * min(images, PLANTED_IMAGES)
    return seconds * images + an_image * planted


def _certification(ready: Prepared) -> Certification:
    decision = ready.certification
    if decision is None:
        return Certification(runs=False, passes=None, reason=NOT_ASKED_FOR[ready.question.settings.certify])
    return Certification(runs=decision.reason is None, passes=decision.passes, reason=decision.reason)
