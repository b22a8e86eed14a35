"""The outcome of each image as a line of JSON, for ``--format jsonl`` and the file ``images.jsonl``."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from torch import Tensor

from advtool.evaluation.shard import finite_or_none
from advtool.results import CERTIFIED, CLEAN, NO_ATTACKS, PLANTED, Outcome, Outcomes


def lines(
    outcomes: Outcomes, labels: Tensor, indices: Sequence[int], *, classes: Sequence[str] | None = None
) -> Iterator[dict[str, Any]]:
    """One dictionary for each image, in the order of the run.

    It leaves out the attacks, proofs and planted examples that did not see the image. Probes stand apart from attacks,
    because their eps is not the run's: their adversarial examples say nothing about the answer.

    Args:
        outcomes: of the N images.
        labels: int64 (N,).
        indices: N numbers, the index of each image in its data set.
        classes: the name of each class, by label; None if the classes have no names.
    """
    columns = {stage: _columns(outcomes, stage) for stage in outcomes.stages if stage not in NO_ATTACKS}
    attacks = [stage for stage in columns if stage not in {CLEAN} | outcomes.probes]
    probes = [stage for stage in outcomes.stages if stage in outcomes.probes]
    proofs = _proofs(outcomes) if CERTIFIED in outcomes.stages else None
    planted = outcomes.of(PLANTED).tolist() if PLANTED in outcomes.stages else [Outcome.not_asked] * len(outcomes)
    for place, (index, label) in enumerate(zip(indices, labels.tolist(), strict=True)):
        clean = columns[CLEAN][place]
        yield {
            "index": index,
            "place": place,
            "label": label,
            **({} if classes is None else {"class": classes[label]}),
            "clean": {"prediction": clean["prediction"], "margin": clean["margin"]},
            **({} if proofs is None else proofs[place]),
            **({} if planted[place] == Outcome.not_asked else {PLANTED: {"found": planted[place] == Outcome.found}}),
            "attacks": _asked(columns, attacks, place),
            "probes": _asked(columns, probes, place),
        }


def _proofs(outcomes: Outcomes) -> list[dict[str, Any]]:
    """What is proved of each image; nothing of one that the bounds were not asked for."""
    values = zip(outcomes.of(CERTIFIED).tolist(), finite_or_none(outcomes.lower), strict=True)
    return [
        {} if what == Outcome.not_asked else {CERTIFIED: {"proved": what == Outcome.proved, "lower": lower}}
        for what, lower in values
    ]


def _asked(columns: dict[str, list[dict[str, Any]]], stages: Iterable[str], place: int) -> dict[str, dict[str, Any]]:
    here = {stage: columns[stage][place] for stage in stages}
    return {stage: what for stage, what in here.items() if what["robust"] is not None}


def _columns(outcomes: Outcomes, stage: str) -> list[dict[str, Any]]:
    """What one stage says of each image; ``robust`` is None if the stage did not see the image."""
    row = outcomes.stages.index(stage)
    robust = {Outcome.not_asked: None, Outcome.robust: True, Outcome.fallen: False}
    values = zip(
        outcomes.outcome[row].tolist(),
        outcomes.prediction[row].tolist(),
        outcomes.step[row].tolist(),
        outcomes.queries[row].tolist(),
        finite_or_none(outcomes.margin[row]),
        finite_or_none(outcomes.distance[row]),
        strict=True,
    )
    return [
        {
            "robust": robust[Outcome(what)],
            "prediction": prediction,
            "step": step,
            "queries": queries,
            "margin": margin,
            "distance": distance,
        }
        for what, prediction, step, queries, margin, distance in values
    ]
