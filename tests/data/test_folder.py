"""Folders of images: layouts, formats, what is read and what is not, and what is said of damaged files."""

import os
import re
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import ImageFolder
from torchvision.datasets.folder import IMG_EXTENSIONS

from advtool.data import first_images, load, load_first
from advtool.data.image_file import SUFFIXES
from advtool.errors import InputError


def pixels(seed: int, height: int = 9, width: int = 12) -> np.ndarray:
    """uint8 (H, W, 3), a smooth picture that survives JPEG."""
    y, x = np.mgrid[0:height, 0:width]
    channels = [128 + 100 * np.sin((x * (seed + 1 + c) + y * 3) / 19) for c in range(3)]
    return np.stack(channels, axis=-1).astype(np.uint8)


def fill(folder: Path, count: int = 3, seed: int = 0, suffix: str = ".png", **options: Any) -> Path:
    """``count`` pictures in ``folder``, numbered."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        Image.fromarray(pixels(seed + index)).save(folder / f"{index}{suffix}", **options)
    return folder


def refusal(action: Callable[[], object]) -> str:
    with pytest.raises(InputError) as caught:
        action()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_suffixes_are_those_of_torchvisions_image_folder() -> None:
    assert sorted(SUFFIXES) == sorted(IMG_EXTENSIONS)


@pytest.mark.parametrize("layout", ["", "test", "val", "valid", "Test"])
def test_the_test_split_is_what_torchvisions_image_folder_reads(tmp_path: Path, layout: str) -> None:
    root = tmp_path / "pets"
    for seed, name in enumerate(("dog", "cat", "Bird", "10", "9")):
        fill(root / layout / name, count=2 + seed, seed=7 * seed)
    theirs = ImageFolder(str(root / layout))
    ours = load(root, "test")
    assert (ours.name, list(ours.classes)) == ("pets", theirs.classes)
    assert ours.labels.tolist() == theirs.targets
    for image, (expected, _) in zip(ours.images, theirs, strict=True):
        assert image.permute(1, 2, 0).numpy().tobytes() == expected.tobytes()


@pytest.mark.parametrize("layout", ["", "test", "val"])
def test_a_folder_without_training_images_is_the_test_split_alone(tmp_path: Path, layout: str) -> None:
    for name in ("cat", "dog"):
        fill(tmp_path / layout / name)
    assert "has no folder 'train', so it is no training data" in refusal(lambda: load(tmp_path, "train"))
    assert len(load(tmp_path, "test")) == 6


def test_test_wins_over_val_unless_it_has_no_classes(tmp_path: Path) -> None:
    for split, count in (("train", 1), ("test", 2), ("val", 3)):
        for name in ("cat", "dog"):
            fill(tmp_path / split / name, count)
    assert len(load(tmp_path, "test")) == 4
    flat = fill(tmp_path / "flat" / "test")  # as ImageNet's, without labels
    for split in ("train", "val"):
        for name in ("cat", "dog"):
            fill(flat.parent / split / name)
    assert len(load(flat.parent, "test")) == 6
    for name in ("cat", "dog"):
        for file in (flat.parent / "val" / name).iterdir():
            file.unlink()
        (flat.parent / "val" / name).rmdir()
    (flat.parent / "val").rmdir()
    assert "holds images, but no folders: it needs a folder of images for each class" in refusal(
        lambda: load(flat.parent, "test")
    )


def test_classes_may_be_called_train_and_test(tmp_path: Path) -> None:
    for name in ("bus", "train", "test"):
        fill(tmp_path / name)
    assert load(tmp_path, "test").classes == ("bus", "test", "train")


def test_the_images_of_a_class_may_lie_one_folder_deeper(tmp_path: Path) -> None:
    # as in Tiny ImageNet
    for seed, name in enumerate(("n01", "n02")):
        fill(tmp_path / "train" / name / "images", seed=seed)
        (tmp_path / "train" / name / f"{name}_boxes.txt").write_text("0 0 1 1")
    split = load(tmp_path, "train")
    assert (split.classes, split.labels.tolist()) == (("n01", "n02"), [0, 0, 0, 1, 1, 1])
    assert split.labels.tolist() == ImageFolder(str(tmp_path / "train")).targets


def test_splits_of_other_names_are_no_classes(tmp_path: Path) -> None:
    for split in ("Training", "Testing"):
        for name in ("cat", "dog"):
            fill(tmp_path / split / name)
    message = refusal(lambda: load(tmp_path, "test"))
    assert f"'{tmp_path / 'Testing'}' holds images in more than one folder" in message
    assert "splits are called train/, test/ or val/" in message


def test_hidden_files_and_folders_do_not_count(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        fill(tmp_path / name)
        (tmp_path / name / "._0.png").write_bytes(b"\0\5\x16\7")
        fill(tmp_path / name / ".ipynb_checkpoints")
    fill(tmp_path / ".thumbnails" / "cat")
    assert len(load(tmp_path, "test")) == 6


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        (".png", {}),
        (".PNG", {}),
        (".bmp", {}),
        (".BMP", {}),
        (".tif", {}),
        (".TIFF", {"compression": "tiff_lzw"}),
        (".webp", {"lossless": True}),
        (".WebP", {"lossless": True}),
        (".ppm", {}),
    ],
)
def test_formats_without_loss_give_the_pixels_back(tmp_path: Path, suffix: str, options: dict[str, Any]) -> None:
    for seed, name in enumerate(("cat", "dog")):
        fill(tmp_path / name, seed=3 * seed, suffix=suffix, **options)
    expected = np.stack([pixels(seed) for seed in range(6)])
    assert load(tmp_path, "test").images.permute(0, 2, 3, 1).numpy().tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    ("suffix", "options"),
    [(".jpg", {"quality": 95}), (".JPEG", {"quality": 95}), (".jpeg", {"progressive": True}), (".webp", {})],
)
def test_formats_with_loss_give_nearly_the_pixels_back(tmp_path: Path, suffix: str, options: dict[str, Any]) -> None:
    for seed, name in enumerate(("cat", "dog")):
        fill(tmp_path / name, seed=3 * seed, suffix=suffix, **options)
    expected = np.stack([pixels(seed) for seed in range(6)]).astype(int)
    difference = load(tmp_path, "test").images.permute(0, 2, 3, 1).numpy() - expected
    assert np.abs(difference).mean() < 12


def test_the_content_counts_and_not_the_suffix(tmp_path: Path) -> None:
    # ImageNet has PNG files that are called .JPEG; other collections have GIF files.
    for name in ("cat", "dog"):
        fill(tmp_path / name, count=1)
        Image.fromarray(pixels(0)).save(tmp_path / name / "1.jpg", format="PNG")
        Image.fromarray(pixels(0)).save(tmp_path / name / "2.jpg", format="GIF")
    images = load(tmp_path, "test").images
    assert images[1].equal(images[0])
    assert images.shape == (6, 3, 9, 12)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_stand_upright(tmp_path: Path, orientation: int) -> None:
    stored = pixels(3, 4, 6)
    # What a viewer has to do, from the EXIF standard.
    upright = {
        1: stored,
        2: stored[:, ::-1],
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: stored.transpose(1, 0, 2),
        6: np.rot90(stored, -1),
        7: stored[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(stored),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        Image.fromarray(stored).save(tmp_path / name / "0.png", exif=exif)
    image = load(tmp_path, "test").images[0]
    assert image.permute(1, 2, 0).numpy().tobytes() == np.ascontiguousarray(upright).tobytes()


def png_of_16_bits(path: Path, image: np.ndarray) -> None:
    """uint16 (H, W, 3) as a PNG: Pillow cannot write these."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    height, width = image.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in image)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + parts)


def test_colours_of_16_bits_lose_their_lower_half(tmp_path: Path) -> None:
    image = pixels(1).astype(np.uint16) * 257
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        png_of_16_bits(tmp_path / name / "0.png", image)
    assert load(tmp_path, "test").images[0].permute(1, 2, 0).numpy().tobytes() == pixels(1).tobytes()


@pytest.mark.parametrize(
    ("suffix", "kind"), [(".png", np.uint16), (".tif", np.uint16), (".tif", np.int32), (".tif", np.float32)]
)
def test_grey_of_more_than_8_bits_is_refused(tmp_path: Path, suffix: str, kind: type) -> None:
    # 12-bit X-rays lie in files of 16 bits: no rule would scale all of them right.
    fill(tmp_path / "cat")
    (tmp_path / "dog").mkdir()
    file = tmp_path / "dog" / f"0{suffix}"
    Image.fromarray(np.zeros((9, 12), kind)).save(file)
    message = refusal(lambda: load(tmp_path, "test"))
    assert f"'{file}' has pixels of the kind" in message
    assert "save it as 8-bit grey or RGB" in message


def test_palette_alpha_and_cmyk_are_read_as_torchvision_reads_them(tmp_path: Path) -> None:
    colour = Image.fromarray(pixels(4))
    transparent = colour.copy()
    transparent.putalpha(Image.fromarray(pixels(5)[..., 0]))
    few = colour.quantize(16)
    fill(tmp_path / "cat")
    (tmp_path / "dog").mkdir()
    transparent.save(tmp_path / "dog" / "alpha.png")
    transparent.save(tmp_path / "dog" / "alpha.webp", lossless=True)
    few.save(tmp_path / "dog" / "palette.png")
    few.save(tmp_path / "dog" / "palette_transparent.png", transparency=bytes(range(0, 160, 10)))
    colour.convert("CMYK").save(tmp_path / "dog" / "cmyk.jpg")
    colour.convert("CMYK").save(tmp_path / "dog" / "cmyk.tif")
    colour.convert("YCbCr").save(tmp_path / "dog" / "ycbcr.tif")
    colour.convert("L").save(tmp_path / "dog" / "grey.png")
    colour.convert("LA").save(tmp_path / "dog" / "grey_alpha.png")
    colour.convert("1").save(tmp_path / "dog" / "bits.png")
    ours = load(tmp_path, "test")
    files = sorted((tmp_path / "dog").iterdir())
    assert ours.shape == (3, 9, 12)
    for image, file in zip(ours.images[3:], files, strict=True):
        expected = Image.open(file).convert("RGBA" if "transparent" in file.name else "RGB").convert("RGB")
        assert image.permute(1, 2, 0).numpy().tobytes() == expected.tobytes(), file


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif", ".jpg"])
def test_of_several_images_in_a_file_the_first_counts(tmp_path: Path, suffix: str) -> None:
    fill(tmp_path / "cat")
    (tmp_path / "dog").mkdir()
    first, second = (Image.fromarray(pixels(seed)) for seed in (0, 40))
    # A camera's .jpg with a preview is of the format MPO.
    options = {".webp": {"lossless": True}, ".jpg": {"format": "MPO", "quality": 95}}.get(suffix, {})
    first.save(tmp_path / "dog" / f"0{suffix}", save_all=True, append_images=[second], **options)
    images = load(tmp_path, "test").images.to(torch.int64)
    assert (images[3] - images[0]).abs().float().mean() < (12 if suffix == ".jpg" else 1e-9)


def test_a_folder_is_in_colour_if_one_of_64_fixed_files_is(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        fill(tmp_path / name, count=5)
    for index in range(4):
        Image.fromarray(pixels(index)).convert("L").save(tmp_path / "cat" / f"{index}.png")
    every = load(tmp_path, "test")
    assert every.shape[0] == 3
    assert every.images[0, 0].equal(every.images[0, 2])
    for count in range(1, 11):  # the pixels of an image do not depend on how many others are read
        part, _ = load_first(tmp_path, "test", count)
        assert part.images.equal(first_images(every, count).images)


def test_colour_where_all_that_was_looked_at_is_grey_is_refused(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for index in range(70):
            Image.new("L", (4, 5), index).save(tmp_path / name / f"{index:03}.png")
    last = int(torch.from_numpy(np.random.RandomState(2).permutation(140))[-1])
    file = tmp_path / ("cat", "dog")[last // 70] / f"{last % 70:03}.png"
    Image.new("RGB", (4, 5)).save(file)
    few, indices = load_first(tmp_path, "test", 100)
    assert few.shape == (1, 5, 4)
    assert last not in indices
    assert f"'{file}' is in colour, but the images that decide for the whole split are grey" in refusal(
        lambda: load(tmp_path, "test")
    )


@pytest.mark.parametrize("count", [1, 4, 12, 99, None])
def test_the_first_images_are_those_of_the_whole_split(tmp_path: Path, count: int | None) -> None:
    for split, number in (("train", 2), ("test", 6)):
        for seed, name in enumerate(("cat", "dog")):
            fill(tmp_path / split / name, number, seed=20 * seed)
    part, indices = load_first(tmp_path, "test", count)
    whole = load(tmp_path, "test")
    expected = first_images(whole, count)
    assert part.images.equal(expected.images)
    assert part.labels.equal(expected.labels)
    assert (part.name, part.classes) == (expected.name, expected.classes)
    assert whole.images[indices].equal(part.images)
    assert (part.images.dtype, part.labels.dtype, indices.dtype) == (torch.uint8, torch.int64, torch.int64)


def test_files_that_are_not_asked_for_are_not_read(tmp_path: Path) -> None:
    for seed, name in enumerate(("cat", "dog")):
        fill(tmp_path / name, 10, seed=20 * seed)
    expected, indices = load_first(tmp_path, "test", 3)
    kept = set(indices.tolist())
    for number, file in enumerate(f for name in ("cat", "dog") for f in sorted((tmp_path / name).iterdir())):
        if number not in kept:
            file.write_bytes(b"damaged")
    part, again = load_first(tmp_path, "test", 3)
    assert part.images.equal(expected.images)
    assert again.equal(indices)
    assert "cannot read the image" in refusal(lambda: load_first(tmp_path, "test", 4))


def test_first_images_of_other_kinds_of_data_set(tmp_path: Path) -> None:
    part, indices = load_first("digits", "test", 7)
    whole = load("digits", "test")
    assert part.images.equal(first_images(whole, 7).images)
    assert whole.labels[indices].equal(part.labels)
    assert "at least 1, not 0" in refusal(lambda: load_first("digits", "test", 0))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".bmp", ".ppm", ".gif"])
def test_damaged_files_are_read_or_refused_by_name(tmp_path: Path, suffix: str) -> None:
    # Half a file, and 60 files with a few bytes changed: nothing but a refusal may come of it.
    fill(tmp_path / "cat", count=1)
    (tmp_path / "dog").mkdir()
    sound = tmp_path / f"sound{suffix}"
    Image.fromarray(pixels(0, 40, 50)).save(sound)
    content = sound.read_bytes()
    stream = np.random.RandomState(0)
    file = tmp_path / "dog" / ("0.png" if suffix == ".gif" else f"0{suffix}")

    def read() -> object:
        return load(tmp_path, "test", input_size=(8, 8))

    file.write_bytes(content[: len(content) // 2])
    assert re.search(rf"cannot read the image '{re.escape(str(file))}' \(.+\): replace or remove it", refusal(read))
    messages: list[str] = []
    for _ in range(60):
        changed = bytearray(content)
        for position in stream.randint(0, min(len(content), 400), 4):
            changed[position] = stream.randint(256)
        file.write_bytes(changed)
        try:
            read()
        except InputError as error:
            messages.append(str(error))
    assert all(f"'{file}'" in message and "\n" not in message for message in messages)


def test_an_empty_file_a_broken_link_and_a_folder_that_cannot_be_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("cat", "dog"):
        fill(tmp_path / name)
    (tmp_path / "dog" / "3.png").touch()
    assert f"cannot read the image '{tmp_path / 'dog' / '3.png'}'" in refusal(lambda: load(tmp_path, "test"))
    (tmp_path / "dog" / "3.png").unlink()
    (tmp_path / "dog" / "3.png").symlink_to(tmp_path / "nowhere.png")
    assert f"cannot read the image '{tmp_path / 'dog' / '3.png'}'" in refusal(lambda: load(tmp_path, "test"))

    def forbidden(folder: object) -> object:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr("os.scandir", forbidden)
    assert f"cannot list the folder '{tmp_path}' (Permission denied)" in refusal(lambda: load(tmp_path, "test"))


def test_postscript_is_not_run(tmp_path: Path) -> None:
    fill(tmp_path / "cat")
    (tmp_path / "dog").mkdir()
    Image.fromarray(pixels(0)).save(tmp_path / "dog" / "0.png", format="EPS")
    assert "cannot read the image" in refusal(lambda: load(tmp_path, "test"))


def test_images_of_different_sizes_need_a_size(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        fill(tmp_path / name)
    Image.fromarray(pixels(0, 300, 400)).save(tmp_path / "dog" / "1.png")
    message = refusal(lambda: load(tmp_path, "test"))
    assert "'" + str(tmp_path / "dog" / "1.png") + "' is 300x400 (height x width)" in message
    assert "is 9x12: give the size that the model takes, e.g. --input-size 9" in message
    assert load(tmp_path, "test", input_size=(32, 24)).shape == (3, 32, 24)


def test_large_images_are_asked_for_at_the_usual_size(tmp_path: Path) -> None:
    for height, name in ((300, "cat"), (400, "dog")):
        (tmp_path / name).mkdir()
        Image.new("RGB", (500, height)).save(tmp_path / name / "0.jpg")
    assert "e.g. --input-size 224" in refusal(lambda: load(tmp_path, "test"))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux takes any bytes as a name")
def test_names_that_no_result_could_hold_are_refused(tmp_path: Path) -> None:
    """Latin-1 from an old archive. The files of the images are named nowhere, so their names may be so."""
    strange = os.fsdecode(b"m\xfcll")
    for name in ("a", strange):
        fill(tmp_path / "set" / name)
    assert "is no UTF-8, so no answer could name it: give it another name" in refusal(
        lambda: load(tmp_path / "set", "test")
    )
    (tmp_path / "set" / strange).rename(tmp_path / "set" / "b")
    (tmp_path / "set" / "b" / "0.png").rename(tmp_path / "set" / "b" / f"{strange}.png")
    assert len(load(tmp_path / "set", "test")) == 6
    (tmp_path / "set").rename(tmp_path / strange)
    assert "data set" in refusal(lambda: load(tmp_path / strange, "test"))
