"""The losses that attacks climb: logits (N, classes) and labels (N,), or other rows (N, ...), to (N,)."""

from torch import Tensor

from advtool.target.scores import margin, per_image_cross_entropy


def tempered_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy of ``logits / T``, (N,): T is the size of each image's margin, at least 1, and held constant.

    So the softmax is never saturated: the true class leads by a scaled margin of 1 at most.
    """
    temperature = margin(logits, labels).detach().abs().clamp_min(1)
    return per_image_cross_entropy(logits / temperature[:, None], labels)


def negative_probability_margin(logits: Tensor, labels: Tensor) -> Tensor:
    """``-(p_y - max_{i != y} p_i)``, (N,), in [-1, 1], p the softmax: the loss of PMA (Xie et al. 2024, 2411.15210)."""
    return -margin(logits.softmax(1), labels)


def difference_of_logits_ratio(logits: Tensor, labels: Tensor) -> Tensor:
    """``-(z_y - max_{i != y} z_i) / (z_1 - z_3)``, (N,), z_1 >= z_2 >= ... (Croce and Hein 2020, equation 6).

    Free of the scale and the offset of the logits. With fewer than three classes it is the negative margin.
    """
    lead = margin(logits, labels)
    if logits.shape[1] < 3:
        return -lead
    top = logits.topk(3, dim=1).values
    return -lead / (top[:, 0] - top[:, 2] + 1e-12)


def targeted_gap(logits: Tensor, goal: Tensor) -> Tensor:
    """``z_y - z_t``, (N,): by how much the labels y lead the targets t; ``goal`` is int64 (N, 2), y and t."""
    true, target = logits.gather(1, goal).unbind(1)
    return true - target


def targeted_difference_of_logits_ratio(logits: Tensor, goal: Tensor) -> Tensor:
    """``-(z_y - z_t) / (z_1 - (z_3 + z_4) / 2)``, (N,) (Croce and Hein 2020, equation 7).

    ``goal`` is int64 (N, 2): the labels y and the targets t. With fewer than four classes there is no denominator.
    """
    lead = targeted_gap(logits, goal)
    if logits.shape[1] < 4:
        return -lead
    top = logits.topk(4, dim=1).values
    return -lead / (top[:, 0] - (top[:, 2] + top[:, 3]) / 2 + 1e-12)
