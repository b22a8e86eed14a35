"""The handwritten digits that come with scikit-learn: 1797 images, no download."""

import numpy as np
import torch
from numpy.typing import NDArray

from advtool.data.split import Split, SplitName

_FULL = 16  # the brightest value of the 8x8 images
_STREAM = 0  # fixes the split: changing it changes every figure measured on digits


def load(split: SplitName, name: str, classes: tuple[str, ...]) -> Split:
    """The digits, enlarged to 28x28 so that models for MNIST take them; train 1437 images, test 360."""
    from sklearn.datasets import load_digits  # noqa: PLC0415 - a second, for this data set alone

    bunch = load_digits()
    labels: NDArray[np.int64] = bunch.target.astype(np.int64)
    chosen = _split(labels)[split]
    images = _enlarge(bunch.images[chosen].astype(np.int64))
    return Split(name, classes, torch.from_numpy(images).unsqueeze(1), torch.from_numpy(labels[chosen]))


def _split(labels: NDArray[np.int64]) -> dict[SplitName, NDArray[np.int64]]:
    """Every fifth image to the test split, counted class by class through a fixed shuffle."""
    shuffled = np.random.RandomState(_STREAM).permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    is_test = np.arange(len(labels)) % 5 == 0
    return {"train": np.sort(by_class[~is_test]), "test": np.sort(by_class[is_test])}


def _enlarge(images: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Bilinear (N, 8, 8) in 0..16 -> (N, 28, 28) in 0..255.

    In integers, as 8/16 lands on 127.5: floating point would round it up on one machine and down on another.
    """
    weights = _bilinear_weights()
    scaled = weights @ images @ weights.T * 255
    unit = _FULL * 14 * 14
    return ((scaled + unit // 2) // unit).astype(np.uint8)


def _bilinear_weights() -> NDArray[np.int64]:
    """The (28, 8) matrix of bilinear interpolation, times 14 to be whole."""
    rows = np.arange(28)
    # Pixel centres: (row + 1/2) * 8/28 - 1/2, in fourteenths of a source pixel, held at the edges.
    position = np.clip(4 * rows - 5, 0, 7 * 14)
    lower, rest = np.divmod(position, 14)
    weights = np.zeros((28, 8), dtype=np.int64)
    weights[rows, lower] = 14 - rest
    weights[rows, np.minimum(lower + 1, 7)] += rest
    return weights
