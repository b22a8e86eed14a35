"""A split of a data set, and ways to cut it that are the same for every seed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from advtool.errors import InputError, near_match

SplitName = Literal["train", "test"]

_VALIDATION_SHARE = 0.1
_MOST_VALIDATION_IMAGES = 5000

# Other seeds would choose other images than all published figures were measured on.
_VALIDATION_SEED = 1
_SUBSET_SEED = 2


@dataclass(frozen=True, eq=False)
class Split:
    """The training or the test images of a data set.

    Attributes:
        name: of the data set, fit for a file name. For a path: its last part without ``.npz``.
        classes: the names of the classes, in the order of the labels.
        images: uint8 (N, C, H, W), with C = 1 (grey) or 3 (RGB).
        labels: int64 (N,), from 0 to ``len(classes) - 1``.
    """

    name: str
    classes: tuple[str, ...]
    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: slice | Tensor) -> "Split":
        """The images at ``index``: a slice (a view), or an int64 or bool tensor (a copy)."""
        return replace(self, images=self.images[index], labels=self.labels[index])

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    def to(self, device: torch.device | str) -> "Split":
        """The same split on ``device``."""
        return replace(self, images=self.images.to(device), labels=self.labels.to(device))

    def relabelled(self, outputs: Mapping[str, int]) -> "Split":
        """The same images, labelled by the outputs of a model with other classes or another order of them.

        Args:
            outputs: the output of each class name, as :func:`read_classes` gives them. It may have more names.

        Returns:
            A split whose ``classes`` are in the order of the outputs, up to the last one in ``outputs``. An output
            without a name gets its number as a name.

        Raises:
            InputError: ``outputs`` has not all of ``classes``.
        """
        if unknown := [name for name in self.classes if name not in outputs]:
            raise InputError(
                f"'{self.name}' has the class '{unknown[0]}', which --classes does not name"
                f"{near_match(unknown[0], outputs)}"
            )
        names = {output: name for name, output in outputs.items()}
        classes = tuple(names.get(output, str(output)) for output in range(max(names) + 1))
        of_label = torch.from_numpy(np.array([outputs[name] for name in self.classes], dtype=np.int64))
        return replace(self, classes=classes, labels=of_label.to(self.labels.device)[self.labels])


def check_split(split: Split) -> None:
    """Check that the tensors of a split are as :class:`Split` says.

    Raises:
        InputError: they are not; the message says what would be right.
    """
    images, labels = split.images, split.labels
    if not isinstance(images, Tensor) or images.dtype is not torch.uint8 or images.ndim != 4 or not images.numel():
        raise InputError(f"'{split.name}': the images of a Split must be a non-empty uint8 tensor (N, C, H, W)")
    if not isinstance(labels, Tensor) or labels.dtype is not torch.int64 or labels.shape != images.shape[:1]:
        raise InputError(f"'{split.name}': the labels of a Split must be an int64 tensor, one an image")
    if len(split.classes) < 2 or int(labels.min()) < 0 or int(labels.max()) >= len(split.classes):
        raise InputError(
            f"'{split.name}': a Split needs two or more classes, and labels from 0 to their number minus 1"
        )


def to_float(images: Tensor) -> Tensor:
    """uint8 images of any shape as float32 in [0, 1]; ``(255 * result).round()`` gives the bytes back."""
    return images.to(torch.float32) / 255


def first_images(split: Split, count: int | None) -> Split:
    """The first ``count`` images of a fixed permutation: a larger count includes the images of a smaller one.

    Args:
        split: N images.
        count: how many; None, or more than N: all N, in the permuted order.

    Raises:
        InputError: ``count`` is below 1.
    """
    return split[first_of(len(split), count)]


def first_of(total: int, count: int | None) -> Tensor:
    """The places of the images of :func:`first_images` in a split of ``total`` images, int64 (``count``,).

    Raises:
        InputError: ``count`` is below 1.
    """
    if count is not None and count < 1:
        raise InputError(f"the number of images must be at least 1, not {count}")
    return _permutation(total, _SUBSET_SEED)[:count]


def train_validation(train: Split) -> tuple[Split, Split]:
    """Divide a training split into training and validation images. The validation part is fixed.

    It has a tenth of the images, at most 5000. Both parts keep the order of ``train``.

    Raises:
        InputError: there are fewer than two images.
    """
    if len(train) < 2:
        raise InputError(f"the training split of '{train.name}' has {len(train)} image(s): it needs at least 2")
    count = max(1, min(int(len(train) * _VALIDATION_SHARE), _MOST_VALIDATION_IMAGES))
    order = _permutation(len(train), _VALIDATION_SEED)
    return train[order[count:].sort().values], train[order[:count].sort().values]


def _permutation(count: int, stream: int) -> Tensor:
    # NumPy promises never to change RandomState's streams; torch.randperm's may change with its version.
    return torch.from_numpy(np.random.RandomState(stream).permutation(count).astype(np.int64))
