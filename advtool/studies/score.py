"""Classifies the saved adversarial examples of a run again, by the same model or by another."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from advtool import arguments
from advtool.arguments import shown
from advtool.errors import InputError
from advtool.evaluation.examples import EXAMPLES, Examples
from advtool.evaluation.finished import FinishedRun, read_finished
from advtool.evaluation.manifest import IDENTITY
from advtool.evaluation.recognition import Begun, opened
from advtool.evaluation.uncertainty import wilson_interval
from advtool.evaluation.verification import verify
from advtool.results import RescoredAttack, Score
from advtool.target.arithmetic import plain_defaults
from advtool.target.handling import home_of
from advtool.target.identity import Identity, tensors_by_hash
from advtool.target.scores import predictions, refuse_missing_classes
from advtool.target.target import Target
from advtool.threat import ThreatModel


@plain_defaults()
@torch.inference_mode(False)
@torch.enable_grad()
def score(
    run: Path | str,
    model: nn.Module,
    *,
    seed: int = 1,
    votes: int | None = None,
    device: torch.device | str | None = None,
    checkpoint: dict[str, Any] | None = None,
    origin: dict[str, Any] | None = None,
) -> Score:
    """How many verified examples of a run fool ``model``, in float32 and with fresh noise?

    An example fools the model if the model is right about the original and wrong about the example. An original that
    the model gets wrong needs no attack.

    Args:
        run: the folder of a finished run that kept its examples (``save_adversarial``).
        model: float32 (N, C, H, W) in [0, 1] -> logits (N, classes); the run's own model, or any for the same images.
        seed: seeds the noise of a random model; it should not be the run's, so that the draws are fresh.
        votes: draws of a prediction; None takes the run's votes for the run's own model, and for another model 1, or
            20 if it is random.
        device: where to compute; None computes where the model is.
        checkpoint: the card of the checkpoint that the model comes from, for the result.
        origin: where the model comes from if it is no checkpoint of ours, for the result's ``model``.

    Raises:
        InputError: the run is not finished, it kept no examples, or the model does not fit them.
    """
    seed = arguments.seed(f"seed={shown(seed)}", seed)
    votes = None if votes is None else arguments.count(f"votes={shown(votes)}", votes)
    finished = read_finished(run)
    saved = _read_examples(finished)
    place = home_of(model) if device is None else arguments.device(device)
    first = next((part for parts in saved.values() for part in parts if len(part.places)), None)
    kept = Identity.read(finished.folder / IDENTITY)
    if first is None:
        attacks, drawn, random = [_counted(name, 0, 0, 0) for name in saved], 1 if votes is None else votes, False
        same = kept is not None and kept.clash(tensors_by_hash(model)) is None
    else:
        with opened(model, first.originals, place, Begun(), eot=1, votes=votes, seed=seed) as ours:
            target, threat_model = ours.target, finished.result.threat_model
            labels = torch.cat([part.labels for parts in saved.values() for part in parts])
            refuse_missing_classes(labels, target.classes)
            same = kept is not None and kept.difference(ours.identity.model_copy(update={"of_run": None})) is None
            if votes is None and same:
                target.votes = finished.result.votes
            attacks = [_rescore(target, name, parts, threat_model, seed) for name, parts in saved.items()]
            drawn, random = target.votes, target.randomised
    return Score(
        run=str(run),
        checkpoint=checkpoint,
        model=origin or {"spec": None},
        same_model=same,
        agrees=all(each.fooling == each.examples for each in attacks) if same and not random else None,
        threat_model=finished.result.threat_model,
        seed=seed,
        votes=drawn,
        attacks=attacks,
    )


def _read_examples(finished: FinishedRun) -> dict[str, list[Examples]]:
    """The examples of each shard, by attack."""
    folder = finished.folder / EXAMPLES
    if not folder.is_dir():
        raise InputError(
            f"run '{finished.folder}' kept no adversarial examples: 'advtool eval --save-adversarial' keeps them"
        )
    return finished.examples(EXAMPLES)


def _rescore(
    target: Target, name: str, parts: Sequence[Examples], threat_model: ThreatModel, seed: int
) -> RescoredAttack:
    originals_correct = fooling = 0
    for number, part in enumerate(parts):
        if len(part.places):
            x_adv, x, y = (tensor.to(target.device) for tensor in (part.images, part.originals, part.labels))
            with target.streams(seed, "score", name, number):
                right = predictions(target.scores(x)) == y
                originals_correct += int(right.sum())
                fooling += int((right & verify(target.scores, x_adv, x, y, threat_model).adversarial).sum())
    return _counted(name, sum(len(part.places) for part in parts), originals_correct, fooling)


def _counted(name: str, count: int, originals_correct: int, fooling: int) -> RescoredAttack:
    return RescoredAttack(
        name=name,
        examples=count,
        originals_correct=originals_correct,
        fooling=fooling,
        share=fooling / originals_correct if originals_correct else None,
        interval=wilson_interval(fooling, originals_correct) if originals_correct else None,
    )
