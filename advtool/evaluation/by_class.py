"""The accuracies of a run class by class."""

from collections.abc import Sequence

import torch

from advtool.evaluation import summary
from advtool.results import ClassAccuracy, Outcomes


def by_class(outcomes: Outcomes, labels: Sequence[int]) -> list[ClassAccuracy]:
    """The clean accuracy and the worst case on the images of each class that has any, by label.

    Args:
        outcomes: of N images.
        labels: the N true classes.
    """
    truth = torch.tensor(labels)
    return [
        ClassAccuracy(
            label=label,
            clean=summary.clean_accuracy(outcomes.clean[truth == label]),
            worst_case=summary.worst_case(outcomes.worst_case[truth == label]),
        )
        for label in sorted(set(labels))
    ]
