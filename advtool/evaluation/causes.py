"""Likely reasons why a model is no better than guessing. Each mistake is mended and tried on a few images."""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import torch
from scipy.stats import binomtest
from torch import Tensor, nn

from advtool.target.opening.normalise import Normalise, normalisation_of
from advtool.target.scores import predictions
from advtool.target.target import Target

NORMALISATIONS = {
    "pixels from 0 to 1": ((0.0,), (1.0,)),
    "ImageNet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "CIFAR-10": ((0.4914, 0.4822, 0.4465), (0.2471, 0.2435, 0.2616)),
    "CIFAR-100": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
    "CLIP": ((0.4815, 0.4578, 0.4082), (0.2686, 0.2613, 0.2758)),
    "MNIST": ((0.1307,), (0.3081,)),
    "Fashion-MNIST": ((0.2860,), (0.3530,)),
    "pixels from -1 to 1": ((0.5,), (0.5,)),
    "pixels from 0 to 255": ((0.0,), (1 / 255,)),
}
"""Usual normalisations: mean and standard deviation of each channel, or one for all channels.

Of several that explain as much the first is named. So none at all comes first.
"""
CAUSE_MAX_P_VALUE = 1e-3
"""The p-value against guessing below which a cause is named, divided by the number of causes tried (Bonferroni)."""


class Cause(NamedTuple):
    """A likely mistake, and how many images are classified right once it is mended."""

    words: str
    """text for people; ``{right}`` stands for how many images are right"""
    right: int


def find_cause(target: Target, x: Tensor, y: Tensor) -> Cause | None:
    """The mistake whose correction brings most images right; None if no correction beats guessing.

    Args:
        target: the model.
        x: images, float32 (N, C, H, W) in [0, 1], on the device of the model.
        y: labels, int64 (N,), on the same device.
    """
    causes = list(_causes(target, x, y))
    best = max(causes, key=lambda cause: cause.right, default=None)
    if best is None:
        return None
    p_value = binomtest(best.right, len(x), _best_guess(y, target.classes), alternative="greater").pvalue
    return best if p_value < CAUSE_MAX_P_VALUE / len(causes) else None


def _best_guess(y: Tensor, classes: int) -> float:
    """The accuracy of the best answer that ignores the images: always the most frequent class."""
    return max(1 / classes, float(y.bincount().max()) / len(y))


def _causes(target: Target, x: Tensor, y: Tensor) -> Iterator[Cause]:
    plain = _predictions(target, x)
    for offset in (1, -1):
        moved = "lowered" if offset > 0 else "raised"
        yield Cause(f"{{right}} if each label is {moved} by one", _count(plain + offset == y))
    yield from _other_order(plain, y, target.classes)
    if x.shape[1] == 3:
        right = _count(_predictions(target, x.flip(1)) == y)
        yield Cause("{right} with blue, green, red as the order of the channels", right)
    yield from _other_normalisations(target, x, y)


def _other_normalisations(target: Target, x: Tensor, y: Tensor) -> Iterator[Cause]:
    """The usual normalisations, each instead of the one that the model has now, as ``--mean`` and ``--std`` put it."""
    now = _normalisation(target.model, x.device)
    undo = Normalise(-now.mean / now.std, 1 / now.std).to(x.device)
    for name, (mean, std) in NORMALISATIONS.items():
        wanted = Normalise(mean, std).to(x.device)
        if len(mean) not in (1, x.shape[1]) or (wanted.mean.equal(now.mean) and wanted.std.equal(now.std)):
            continue
        options = f"--mean {','.join(f'{m:g}' for m in mean)} --std {','.join(f'{s:.4g}' for s in std)}"
        right = _count(_predictions(target, undo(wanted(x))) == y)
        yield Cause(f"{{right}} with the normalisation of {name} ({options})", right)


def _normalisation(model: nn.Module, device: torch.device) -> Normalise:
    """The normalisation that the model has, or one on ``device`` that changes nothing."""
    return normalisation_of(model) or Normalise([0.0], [1.0]).to(device)


def _other_order(plain: Tensor, y: Tensor, classes: int) -> Iterator[Cause]:
    """Another order of the outputs: which class each output means is learnt on one half, and counted on the other."""
    right, halves = 0, (slice(0, None, 2), slice(1, None, 2))
    for learn, count in (halves, halves[::-1]):
        seen = Counter(zip(plain[learn].tolist(), y[learn].tolist(), strict=True))
        meaning: dict[int, int] = {}
        for (output, label), _ in seen.most_common():
            if output not in meaning and label not in meaning.values():
                meaning[output] = label
        right += sum(
            meaning.get(output) == label for output, label in zip(plain[count].tolist(), y[count].tolist(), strict=True)
        )
    if classes > 1:
        yield Cause("{right} with the outputs in another order (--classes FILE names the class of each output)", right)


def _predictions(target: Target, x: Tensor) -> Tensor:
    with target.streams(0, "causes"):
        return predictions(target.scores(x))


def _count(right: Tensor) -> int:
    return int(right.sum())
