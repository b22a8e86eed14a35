"""Runs of the models of a cross-validation, taken together."""

from collections.abc import Sequence

from advtool.evaluation.finished import FinishedRun
from advtool.evaluation.statistics import PairedDifference, paired_difference
from advtool.reproduce import measurement
from advtool.reproduction import Figure


def accuracy(runs: Sequence[FinishedRun], attack: str) -> Figure:
    """Mean and standard deviation, over the models, of the robust accuracy under one attack."""
    return measurement.repeated([sum(run.survives[attack]) / len(run.survives[attack]) for run in runs])


def gain(ours: Sequence[FinishedRun], theirs: Sequence[FinishedRun], attack: str) -> PairedDifference:
    """Of all images of all models, image by image; run by run both saw the same images.

    The interval speaks of other test images for these models, not of other trainings.
    """
    return paired_difference(
        [survived for run in ours for survived in run.survives[attack]],
        [survived for run in theirs for survived in run.survives[attack]],
    )
