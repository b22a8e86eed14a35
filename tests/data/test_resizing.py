"""Resizing and cutting, held against torchvision's transforms on Pillow's images."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import v2

from advtool.data import load, load_first, read_size
from advtool.data.resizing import check_size, fit, fit_all
from advtool.errors import InputError


def noise(height: int, width: int, mode: str = "RGB") -> Image.Image:
    shape = (height, width) if mode == "L" else (height, width, 3)
    return Image.fromarray(np.random.RandomState(height * 1000 + width).randint(0, 256, shape).astype(np.uint8))


@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 60), st.sampled_from(["L", "RGB"]))
def test_a_square_is_what_torchvision_makes(height: int, width: int, size: int, mode: str) -> None:
    image = noise(height, width, mode)
    expected = v2.Compose([v2.Resize(size), v2.CenterCrop(size)])(image)
    ours = fit(image, (size, size))
    assert (ours.mode, ours.size) == (mode, (size, size))
    assert ours.tobytes() == expected.tobytes()


@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 60), st.integers(1, 60))
def test_a_rectangle_is_cut_from_the_smallest_image_that_holds_it(
    height: int, width: int, high: int, wide: int
) -> None:
    image = noise(height, width)
    scale = max(high / height, wide / width)
    # One side fits exactly, the other one is rounded down, but never below what is cut out.
    resized = (max(high, int(height * scale + 1e-9)), max(wide, int(width * scale + 1e-9)))
    expected = v2.CenterCrop((high, wide))(v2.Resize(resized)(image))
    assert fit(image, (high, wide)).tobytes() == expected.tobytes()


def test_what_is_cut_off_is_the_rim() -> None:
    image = Image.new("L", (100, 50), 255)
    image.paste(0, (25, 0, 75, 50))
    assert set(fit(image, (50, 50)).tobytes()) == {0}
    assert set(fit(image.transpose(Image.Transpose.ROTATE_90), (50, 50)).tobytes()) == {0}


@pytest.mark.parametrize("channels", [1, 3])
def test_tensors_are_resized_like_files(channels: int) -> None:
    images = torch.randint(0, 256, (3, channels, 20, 31), dtype=torch.uint8)
    fitted = fit_all(images, (12, 16))
    assert (fitted.shape, fitted.dtype) == ((3, channels, 12, 16), torch.uint8)
    for image, expected in zip(images, fitted, strict=True):
        pillow = v2.functional.to_pil_image(image)
        assert v2.functional.pil_to_tensor(fit(pillow, (12, 16))).equal(expected)


def test_an_image_of_the_right_size_is_left_as_it_is(tmp_path: Path) -> None:
    whole = load("digits", "test")
    assert load("digits", "test", input_size=(28, 28)).images.equal(whole.images)
    assert fit(noise(7, 5), (7, 5)).tobytes() == noise(7, 5).tobytes()


@pytest.mark.parametrize("kind", ["npz", "folder", "digits"])
def test_every_kind_of_data_set_is_resized_alike(tmp_path: Path, kind: str) -> None:
    images = load("digits", "test").images[:6]
    if kind == "npz":
        source: Any = tmp_path / "own.npz"
        np.savez(source, x_test=images.numpy(), y_test=np.arange(6) % 2)
    elif kind == "folder":
        source = tmp_path / "own"
        for index, image in enumerate(images):
            (source / str(index)).mkdir(parents=True)
            Image.fromarray(image[0].numpy()).save(source / str(index) / "0.png")
    else:
        source = "digits"
    assert load(source, "test", input_size=(14, 20)).images[:6].equal(fit_all(images, (14, 20)))
    part, indices = load_first(source, "test", 4, input_size=(14, 20))
    assert part.images.equal(load(source, "test", input_size=(14, 20)).images[indices])


@pytest.mark.parametrize(
    ("text", "size"), [("224", (224, 224)), ("224x320", (224, 320)), (" 8X9 ", (8, 9)), ("1", (1, 1))]
)
def test_sizes_as_the_command_line_takes_them(text: str, size: tuple[int, int]) -> None:
    assert read_size(text) == size


@pytest.mark.parametrize("text", ["", "x", "224x", "224,224", "-3", "2.5", "0", "3x0", "999999", "\u0663", "1x2x3"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(InputError, match=r"--input-size .* e\.g\. 224 or 224x320 .*whole numbers from 1 to 8192"):
        read_size(text)


@pytest.mark.parametrize("size", [0, 4.0, True, (224,), (1, 2, 3), (0, 4), (4.0, 4), (True, 4), "44x", ("4", "4")])
def test_what_is_no_size_in_python(size: Any) -> None:
    with pytest.raises(InputError, match=r"^input_size=.* is no size: give pixels, \(height, width\) or text"):
        load("digits", "test", input_size=size)


@pytest.mark.parametrize("size", [(4, 5), [np.int64(4), 5], "4x5"])
def test_sizes_as_python_takes_them(size: Any) -> None:
    assert load("digits", "test", input_size=size).shape == (1, 4, 5)
    assert check_size(4) == check_size("4") == check_size(np.int64(4)) == (4, 4)
