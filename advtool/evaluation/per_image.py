"""What happened to each image, as lines of JSON: nothing is lost in the averages."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor

from advtool.evaluation.summary import Records
from advtool.evaluation.worker import CLEAN


def lines(records: Mapping[str, Records], labels: Tensor) -> Iterator[dict[str, Any]]:
    """One dictionary an image, in the order of the run.

    ``records`` are those of every stage by its label, the clean one among them; ``labels`` is int64 (N,). An
    attack that had nothing to do for an image (misclassified, or lost before in a cascade) is left out.
    """
    clean = _columns(records[CLEAN])
    attacks = {label: _columns(stage) for label, stage in records.items() if label != CLEAN}
    for index, label in enumerate(labels.tolist()):
        yield {
            "index": index,
            "label": label,
            "clean": {"prediction": clean["prediction"][index], "margin": clean["margin"][index]},
            "attacks": {
                name: {
                    "robust": stage["survives"][index],
                    "prediction": stage["prediction"][index],
                    "step": stage["step"][index],
                    "queries": stage["queries"][index],
                    "margin": stage["margin"][index],
                }
                for name, stage in attacks.items()
                if stage["step"][index] is not None and clean["survives"][index]
            },
        }


def _columns(records: Records) -> dict[str, Sequence[Any]]:
    names = ("survives", "prediction", "step", "queries", "margin")
    return {name: [value for record in records for value in getattr(record, name)] for name in names}
