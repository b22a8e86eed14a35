"""What the votes of a randomised model tell about votes that are still to come."""

import math

from torch import Tensor

from advtool.target.scores import predictions

MIN_VOTES_TO_JUDGE = 20
"""Fewer votes cannot tell a misclassified image from bad luck."""
LEAD_STANDARD_ERRORS = 3.0
"""The strongest other class must lead by so many standard errors."""
UNSEEN_VOTES = 3.0
"""So many votes are added for the true class: what none of n draws shows may happen in 3 of n (the rule of three)."""


def will_misclassify(votes: Tensor, y: Tensor) -> Tensor:
    """Whether as many new votes will misclassify the images too, bool (N,).

    Each vote gives a lead: the true class's probability minus the probability of the strongest other class; a draw
    without an answer gives a lead of -1. The mean lead, with ``UNSEEN_VOTES`` added for the true class, must lie
    ``LEAD_STANDARD_ERRORS`` below 0. This standard error belongs to the difference between the mean leads of two sets
    of votes.

    Args:
        votes: log softmax outputs (V, N, classes) of V draws, at least 2.
        y: labels, int64 (N,).
    """
    probabilities = votes.exp()
    strongest_other = probabilities.nanmean(0).scatter(1, y[:, None], -1.0).argmax(1)
    lead = _of_class(probabilities, y) - _of_class(probabilities, strongest_other)
    lead = lead.nan_to_num(nan=-1.0)
    certain = LEAD_STANDARD_ERRORS * math.sqrt(2 / len(votes)) * lead.std(0)
    return lead.mean(0) + UNSEEN_VOTES / len(votes) < -certain


def count_right(votes: Tensor, y: Tensor) -> Tensor:
    """How many of the votes classify each image right, int64 (N,).

    Args:
        votes: log softmax outputs (V, N, classes) of V draws.
        y: labels, int64 (N,).
    """
    return (predictions(votes.flatten(0, 1)).view(len(votes), -1) == y).sum(0)


def _of_class(probabilities: Tensor, classes: Tensor) -> Tensor:
    """The probabilities (V, N) of one class for each image, from (V, N, classes)."""
    return probabilities.gather(2, classes.expand(len(probabilities), -1)[..., None]).squeeze(2)
