"""What happened to each image, as lines of JSON: nothing is lost in the averages."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor

from advtool.evaluation.run import CLEAN, Records


def lines(
    records: Mapping[str, Records],
    labels: Tensor,
    indices: Sequence[int],
    *,
    probes: Collection[str],
    classes: Sequence[str] | None = None,
) -> Iterator[dict[str, Any]]:
    """One dictionary an image, in the order of the run.

    An attack that had nothing to do for an image (misclassified, or lost before in a cascade) is left out.

    Args:
        records: those of every stage by its label, the clean one among them.
        labels: int64 (N,).
        indices: of each image in its data set.
        classes: their names, by label, where they have some.
        probes: the stages at another eps than the run's, told apart: what falls there says nothing of the answer.
    """
    clean = _columns(records[CLEAN])
    stages = {label: _columns(stage) for label, stage in records.items() if label != CLEAN}
    attacks = {label: stage for label, stage in stages.items() if label not in probes}
    probed = {label: stage for label, stage in stages.items() if label in probes}
    for place, (index, label) in enumerate(zip(indices, labels.tolist(), strict=True)):
        yield {
            "index": index,
            "place": place,
            "label": label,
            **({} if classes is None else {"class": classes[label]}),
            "clean": {"prediction": clean["prediction"][place], "margin": clean["margin"][place]},
            "attacks": _outcomes(attacks, place) if clean["survives"][place] else {},
            "probes": _outcomes(probed, place) if clean["survives"][place] else {},
        }


def _outcomes(stages: Mapping[str, Mapping[str, Sequence[Any]]], place: int) -> dict[str, dict[str, Any]]:
    return {
        label: {
            "robust": stage["survives"][place],
            "prediction": stage["prediction"][place],
            "step": stage["step"][place],
            "queries": stage["queries"][place],
            "margin": stage["margin"][place],
        }
        for label, stage in stages.items()
        if stage["step"][place] is not None
    }


def _columns(records: Records) -> dict[str, Sequence[Any]]:
    names = ("survives", "prediction", "step", "queries", "margin")
    return {name: [value for record in records for value in getattr(record, name)] for name in names}
