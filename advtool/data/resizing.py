"""Resizes images to one size: first the shorter side, then the centre is cut out.

Pillow resizes (bilinear, with antialias). So the pixels are those of torchvision's ``Resize(N)`` and ``CenterCrop(N)``
on image files. Most published models were measured with these.
"""

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from advtool.arguments import integer, shown
from advtool.data.image_file import MOST_PIXELS
from advtool.errors import InputError

if TYPE_CHECKING:
    from PIL import Image

Size = tuple[int, int]
_LARGEST_SIDE = 8_192  # pixels; a larger one is a typing error
_SIDES = f"whole numbers from 1 to {_LARGEST_SIDE}"


def read_size(text: str) -> Size:
    """(height, width) of the text of ``--input-size``.

    Raises:
        InputError: the text is no such size, or a side is not from 1 to 8192.
    """
    size = _of_text(text)
    if size is None:
        raise InputError(f"--input-size '{text}' is no size: give N or HxW, e.g. 224 or 224x320 ({_SIDES})")
    return size


def check_size(size: Any) -> Size:
    """(height, width) of a number of pixels, of a pair, or of a text as on the command line, ``224`` or ``224x320``.

    Raises:
        InputError: it is no size, or a side is not from 1 to 8192.
    """
    if isinstance(size, str):
        pair = _of_text(size)
    else:
        sides = tuple(size) if isinstance(size, tuple | list) else (size, size)
        pair = (int(sides[0]), int(sides[1])) if len(sides) == 2 and all(map(_is_side, sides)) else None
    if pair is None:
        raise InputError(
            f"input_size={shown(size)} is no size: give pixels, (height, width) or text such as '224x320' ({_SIDES})"
        )
    return pair


def _of_text(text: str) -> Size | None:
    match = re.fullmatch(r"(\d+)(?:x(\d+))?", text.strip().lower(), re.ASCII)
    pair = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    return pair if all(map(_is_side, pair)) else None


def _is_side(side: Any) -> bool:
    return 1 <= (integer(side) or 0) <= _LARGEST_SIDE


def fit(image: "Image.Image", size: Size) -> "Image.Image":
    """The ``image`` resized to cover ``size``, and cut to it around the centre.

    Args:
        image: mode L or RGB.
        size: (height, width).

    Raises:
        InputError: the image is so narrow that the resized one would fill the memory.
    """
    from PIL import Image  # noqa: PLC0415 - only resizing needs it

    (height, width), (wide, high) = size, image.size
    if height * wide >= width * high:  # the scale is the larger one of height/high and width/wide
        wide, high = wide * height // high, height
    else:
        wide, high = width, high * width // wide
    if wide * high > MOST_PIXELS:
        raise InputError(
            f"an image of {image.width}x{image.height} pixels would be {wide}x{high} before it is cut to "
            f"{width}x{height}: its sides differ too much"
        )
    # round() goes to the even number, here as in torchvision's CenterCrop.
    left, top = round((wide - width) / 2), round((high - height) / 2)
    resized = image.resize((wide, high), Image.Resampling.BILINEAR)
    return resized.crop((left, top, left + width, top + height))


def fit_all(images: Tensor, size: Size) -> Tensor:
    """:func:`fit` for uint8 (N, C, H, W) with C = 1 or 3. It gives uint8 (N, C, *size)."""
    from PIL import Image  # noqa: PLC0415 - only resizing needs it

    if images.shape[2:] == size:
        return images
    fitted = np.empty((*images.shape[:2], *size), dtype=np.uint8)
    for index, pixels in enumerate(images.numpy()):
        image = Image.fromarray(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0)))
        fitted[index] = channels_first(fit(image, size))
    return torch.from_numpy(fitted)


def channels_first(image: "Image.Image") -> NDArray[np.uint8]:
    """The pixels, uint8: (1, H, W) of mode L, (3, H, W) of mode RGB."""
    pixels = np.asarray(image)
    return pixels[np.newaxis] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
