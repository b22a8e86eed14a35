"""Images for the page: an image, its adversarial example, and what differs between them."""

import base64
import io
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from advtool.results import ShownExample


@dataclass(frozen=True)
class Picture:
    """An image as the page shows it."""

    source: str
    """a ``data:`` address"""
    name: str
    caption: str
    alternative: str
    """for those who do not see it"""


@dataclass(frozen=True)
class Pictures:
    """An image, its adversarial example and the difference."""

    title: str
    attack: str
    pictures: tuple[Picture, Picture, Picture]


def pictures(example: ShownExample, names: dict[int, str]) -> Pictures:
    """The three pictures of an example.

    Args:
        example: the image and its adversarial example.
        names: of the classes, by label.
    """
    title, change = f"image {example.index}", example.image - example.original
    before, after = names[example.clean_prediction], names[example.prediction]
    largest = float(change.abs().max())
    shown = 0.5 + change / (2 * largest) if largest else change + 0.5
    return Pictures(
        title=f"{title}, {names[example.label]}",
        attack=example.attack,
        pictures=(
            Picture(_data_address(example.original), "as it is", before, f"{title} as it is, classified as {before}"),
            Picture(
                _data_address(example.image),
                "attacked",
                after,
                f"{title} changed by {example.attack}, classified as {after}",
            ),
            Picture(
                _data_address(shown),
                "difference",
                f"up to {largest:.3g}",
                f"the change of {title} by {example.attack}, at most {largest:.3g} a pixel",
            ),
        ),
    )


def _data_address(image: Tensor) -> str:
    """A PNG of an image (C, H, W) in [0, 1]; of other than one or three channels their mean."""
    channels = image if len(image) in (1, 3) else image.mean(0, keepdim=True)
    levels = (channels.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).squeeze(2).numpy()
    content = io.BytesIO()
    Image.fromarray(levels).save(content, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"
