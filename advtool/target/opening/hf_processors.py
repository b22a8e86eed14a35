"""What a transformers folder's image processor does to pixels: it is asked, since each kind has options of its own."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from advtool.errors import InputError
from advtool.target.opening.user_code import one_line, quietly

FILES = ("preprocessor_config.json", "processor_config.json")
SAID_BY_CONFIG = ("timm_wrapper",)
"""The kinds of models whose config.json says what to do to pixels, in place of :data:`FILES`."""
GEOMETRY = ("do_resize", "do_center_crop", "do_pad")
"""What changes the size of an image. It is off while the processor is asked, where it can be: advtool resizes."""
SIDE = 16
"""Pixels of the images that the processor is asked about."""
TOLERANCE = 1e-4
"""Share of the largest answer that rounding may change."""


@dataclass(frozen=True)
class Preprocessing:
    """What the model is given for pixels in [0, 1]: ``(x - mean) / std``, with the channels in another order."""

    mean: tuple[float, ...] | None = None
    """by the channels of the images; None: nothing is normalised"""
    std: tuple[float, ...] | None = None
    order: tuple[int, ...] | None = None
    """the channel of the images that becomes the model's first, second, ... channel; None: as they are"""
    size: tuple[int, int] | None = None
    """(H, W) after resizing and cropping; None: the folder does not say it"""


def read(transformers: Any, folder: Path, channels: int) -> Preprocessing:
    """Ask the folder's image processor what becomes of images in one colour.

    Args:
        transformers: the package.
        folder: that save_pretrained wrote. Without an image processor in it, nothing is done to pixels.
        channels: of the images that the model takes.

    Raises:
        InputError: the processor cannot be opened, or it does more than a mean, a standard deviation and an order of
            the channels.
    """
    if not _has_processor(folder):
        return Preprocessing()
    with quietly(), one_line(f"the image processor of '{folder}' cannot be understood"):
        processor = transformers.AutoImageProcessor.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        asked = _colours(channels)
        answers, size = _answers(processor, asked)
    found = _explained(asked, answers)
    if found is None:
        raise InputError(
            f"the image processor of '{folder}' does more to a pixel than a mean, a standard deviation and an order "
            "of the channels: put all of it into a model of your own, and name its 'FILE.py:FACTORY'"
        )
    return replace(found, size=size)


def _explained(asked: Tensor, answers: Tensor) -> Preprocessing | None:
    """The mean, standard deviation and order of the channels that make ``answers`` of the colours; None: none do."""
    channels = asked.shape[1]
    # For colours v in [0, 1] the answers are slopes @ v + offset; the first colour is black, then each channel is full.
    offset = answers[0]
    slopes = (answers[1 : channels + 1] - offset).T
    order = slopes.abs().argmax(1)
    slope = slopes.gather(1, order[:, None])[:, 0]
    told = slope * asked[:, order] / 255 + offset
    close = torch.allclose(told, answers, rtol=0, atol=TOLERANCE * float(answers.abs().max()))
    if not close or sorted(order.tolist()) != list(range(channels)) or not (slope > 0).all():
        return None
    back = order.argsort()
    mean, std = _rounded(-offset[back] / slope[back]), _rounded(1 / slope[back])
    unchanged = set(mean) == {0.0} and set(std) == {1.0}
    ordered = tuple(order.tolist())
    return Preprocessing(
        mean=None if unchanged else mean,
        std=None if unchanged else std,
        order=None if ordered == tuple(range(channels)) else ordered,
    )


def _has_processor(folder: Path) -> bool:
    config = json.loads((folder / "config.json").read_text())
    return config.get("model_type") in SAID_BY_CONFIG or any((folder / name).is_file() for name in FILES)


def _colours(channels: int) -> Tensor:
    """Black, each channel alone, white and two mixtures: float64 (colours, channels), whole numbers in 0..255."""
    mixed = torch.linspace(30, 220, channels).round()
    rows = torch.cat([torch.zeros(1, channels), 255 * torch.eye(channels), torch.full((1, channels), 255.0)])
    return torch.cat([rows, mixed[None], 250 - mixed.flip(0)[None] / 2]).floor().double()


def _answers(processor: Any, colours: Tensor) -> tuple[Tensor, tuple[int, int] | None]:
    """What becomes of the colours, float64 (colours, channels), and the size (H, W) that their images get or should."""
    images = colours.to(torch.uint8)[:, :, None, None].expand(-1, -1, SIDE, SIDE)
    off = {name: False for name in GEOMETRY if hasattr(processor, name)}
    pixels = processor(images=[image.contiguous() for image in images], return_tensors="pt", **off)["pixel_values"]
    answers: Tensor = pixels.double().mean((2, 3))
    uniform = torch.allclose(pixels.double(), answers[:, :, None, None], atol=TOLERANCE)
    if pixels.shape[:2] != images.shape[:2] or not uniform:
        raise ValueError(f"images {tuple(images.shape)} of one colour each become {tuple(pixels.shape)}")
    height, width = pixels.shape[2:]
    resized = (height, width) != (SIDE, SIDE)
    return answers, (height, width) if resized else _size(processor.to_dict())


def _size(config: dict[str, Any]) -> tuple[int, int] | None:
    """The size (H, W) after resizing and cropping; None if the images stay as they are."""
    size = config.get("crop_size") if config.get("do_center_crop") else None
    size = size or (config.get("size") if config.get("do_resize", True) else None)
    if isinstance(size, int):
        return size, size
    if not isinstance(size, dict):
        return None
    if "shortest_edge" in size:
        return size["shortest_edge"], size["shortest_edge"]
    return (size["height"], size["width"]) if "height" in size else None


def _rounded(values: Tensor) -> tuple[float, ...]:
    """Without the noise of float32: the processor answers with 0.48500001 for 0.485."""
    return tuple(float(f"{value:.6g}") + 0.0 for value in values.tolist())  # no -0.0
