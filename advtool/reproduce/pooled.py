"""Runs of several models of one kind, those of a cross-validation or of several seeds, taken together."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from scipy.stats import t

from advtool.evaluation.finished import FinishedRun
from advtool.evaluation.uncertainty import PairedDifference, corrected_resampled_t_test, paired_difference
from advtool.reproduce import measurement
from advtool.reproduce.verdict import masking_codes
from advtool.results import Figure, Interval


@dataclass(frozen=True)
class MeanGain:
    """A mean over trainings, and its interval by the t-test: it leaves 0 out exactly if the test is significant."""

    difference: float
    interval: Interval


def accuracy(runs: Sequence[FinishedRun], attack: str) -> Figure:
    """Mean and standard deviation, over the models, of the robust accuracy under one attack."""
    return measurement.repeated([share(run.survives[attack]) for run in runs])


def gain(ours: Sequence[FinishedRun], theirs: Sequence[FinishedRun], attack: str) -> PairedDifference:
    """Of the accuracy under one attack, image by image."""
    return image_gain([run.survives[attack] for run in ours], [run.survives[attack] for run in theirs])


def image_gain(ours: Sequence[Sequence[bool]], theirs: Sequence[Sequence[bool]]) -> PairedDifference:
    """Of all images of all models, image by image; model by model both saw the same images.

    The interval speaks of other test images for these models, not of other trainings.
    """
    return paired_difference([each for run in ours for each in run], [each for run in theirs for each in run])


def tested_gain(differences: Sequence[float], *, test_to_train: float, alpha: float) -> MeanGain:
    """The mean of differences with the 1 - ``alpha`` interval of the corrected resampled t-test.

    Args:
        differences: one for each training, at least two.
        test_to_train: see :func:`advtool.evaluation.uncertainty.corrected_resampled_t_test`.
        alpha: level of the two-sided test.
    """
    mean = fmean(differences)
    test = corrected_resampled_t_test(differences, test_to_train)
    error = abs(mean / test.t) if test.t else 0.0
    reach = error * float(t.ppf(1 - alpha / 2, test.degrees_of_freedom))
    return MeanGain(mean, (mean - reach, mean + reach))


def frequent_codes(runs: Sequence[FinishedRun]) -> tuple[str, ...]:
    """Masking codes that were raised for half of the models or more."""
    found = [masking_codes(run) for run in runs]
    return tuple(code for code in all_codes(runs) if 2 * sum(code in codes for codes in found) >= len(runs))


def all_codes(runs: Sequence[FinishedRun]) -> list[str]:
    """Masking codes that were raised for any of the models, each once."""
    return list(dict.fromkeys(code for run in runs for code in masking_codes(run)))


def share(right: Sequence[bool]) -> float:
    """The share of ``right``, of at least one image."""
    return sum(right) / len(right)
