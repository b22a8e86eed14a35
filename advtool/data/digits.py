"""The handwritten digits that come with scikit-learn: 1797 images, no download."""

import numpy as np
import torch
from numpy.typing import NDArray

from advtool.data.split import Split, SplitName

_BRIGHTEST = 16  # value of a pixel of the 8x8 images
_SPLIT_SEED = 0  # another seed would change every figure that was measured on digits


def load(split: SplitName, name: str, classes: tuple[str, ...]) -> Split:
    """The digits, enlarged to 28x28 so that models for MNIST take them: 1437 training and 360 test images."""
    from sklearn.datasets import load_digits  # noqa: PLC0415 - it takes a second, and only this data set needs it

    bunch = load_digits()
    labels: NDArray[np.int64] = bunch.target.astype(np.int64)
    chosen = _split(labels)[split]
    images = _enlarge(bunch.images[chosen].astype(np.int64))
    return Split(name, classes, torch.from_numpy(images).unsqueeze(1), torch.from_numpy(labels[chosen]))


def _split(labels: NDArray[np.int64]) -> dict[SplitName, NDArray[np.int64]]:
    """Indices of both splits. Within each class, every fifth image of a fixed shuffle is a test image."""
    shuffled = np.random.RandomState(_SPLIT_SEED).permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    is_test = np.arange(len(labels)) % 5 == 0
    return {"train": np.sort(by_class[~is_test]), "test": np.sort(by_class[is_test])}


def _enlarge(images: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Enlarge (N, 8, 8) in 0..16 to (N, 28, 28) in 0..255, bilinearly.

    In integers, because 8/16 becomes 127.5: floats round it up on one machine and down on another.
    """
    weights = _bilinear_weights()
    scaled = weights @ images @ weights.T * 255
    unit = _BRIGHTEST * 14 * 14
    return ((scaled + unit // 2) // unit).astype(np.uint8)


def _bilinear_weights() -> NDArray[np.int64]:
    """The (28, 8) matrix of bilinear interpolation, times 14, which makes it whole."""
    rows = np.arange(28)
    # Centres of pixels: (row + 1/2) * 8/28 - 1/2, in fourteenths of a source pixel, clipped at the edges.
    position = np.clip(4 * rows - 5, 0, 7 * 14)
    lower, rest = np.divmod(position, 14)
    weights = np.zeros((28, 8), dtype=np.int64)
    weights[rows, lower] = 14 - rest
    weights[rows, np.minimum(lower + 1, 7)] += rest
    return weights
