"""Data sets as tensors: digits, archives, folders, fixed cuts, and what is said when something is wrong."""

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from advtool.data import (
    KNOWN,
    Split,
    available,
    cache_dir,
    default_eps,
    fetch,
    first_images,
    load,
    to_float,
    train_validation,
)
from advtool.errors import InputError

GREY = np.arange(6 * 5 * 4, dtype=np.uint8).reshape(6, 5, 4)
COLOUR = np.arange(6 * 5 * 4 * 3, dtype=np.int64).reshape(6, 5, 4, 3).astype(np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 2])


def archive(path: Path, **changes: Any) -> Path:
    """An ``.npz`` data set at ``path``; a change to None leaves the array out."""
    arrays = {"x_train": GREY, "y_train": LABELS, "x_test": GREY[:3], "y_test": LABELS[:3]} | changes
    np.savez(path, **{key: array for key, array in arrays.items() if array is not None})
    return path


def image_folder(root: Path, mode: str = "L", suffix: str = ".png") -> Path:
    """A folder of two classes, two training images and one test image each, of grey level 10, 20, ..."""
    level = 0
    for split, count in (("train", 2), ("test", 1)):
        for name in ("dog", "cat"):
            (root / split / name).mkdir(parents=True)
            for index in range(count):
                level += 10
                Image.new("L", (4, 5), level).convert(mode).save(root / split / name / f"{index}{suffix}")
    return root


def numbered(count: int) -> Split:
    """A split whose labels number its images."""
    images = torch.zeros((count, 1, 2, 2), dtype=torch.uint8)
    return Split("numbered", tuple(map(str, range(count))), images, torch.arange(count))


def advtool_data(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    # Colour and width would come from the terminal that runs the tests.
    kept = {key: value for key, value in os.environ.items() if key not in ("FORCE_COLOR", "COLUMNS")}
    return subprocess.run(
        [sys.executable, "-m", "advtool", "data", *arguments],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env=kept | environment,
    )


def test_digits_are_the_ones_of_scikit_learn_enlarged() -> None:
    from sklearn.datasets import load_digits

    train, test = load("digits", "train"), load("digits", "test")
    assert (len(train), len(test)) == (1437, 360)
    assert train.shape == test.shape == (1, 28, 28)
    assert train.classes == tuple("0123456789")
    assert train.images.dtype == torch.uint8
    assert train.labels.dtype == torch.int64

    source = torch.from_numpy(load_digits().images).unsqueeze(1) * 255 / 16
    enlarged = torch.nn.functional.interpolate(source, size=28, mode="bilinear", align_corners=False)
    expected = sorted(image.tobytes() for image in enlarged.clamp(0, 255).numpy().round().astype(np.uint8))
    ours = sorted(image.tobytes() for image in torch.cat([train.images, test.images]).numpy())
    # Where interpolation lands on 127.5, ours rounds up and floating point as it happens to.
    difference = np.frombuffer(b"".join(expected), np.uint8) != np.frombuffer(b"".join(ours), np.uint8)
    assert difference.mean() < 0.01


def test_digits_are_stratified() -> None:
    train, test = load("digits", "train"), load("digits", "test")
    share = test.labels.bincount() / (test.labels.bincount() + train.labels.bincount())
    assert (share - 0.2).abs().max() < 0.005


def test_digits_need_no_cache(tmp_path: Path) -> None:
    assert load("digits", "test", tmp_path / "absent").labels.equal(load("digits", "test").labels)
    assert not (tmp_path / "absent").exists()


def test_the_fixed_cuts_never_change() -> None:
    # Figures published with one version must be measured on the same images by the next.
    assert first_images(numbered(10), 5).labels.tolist() == [4, 1, 5, 0, 7]
    assert train_validation(numbered(40))[1].labels.tolist() == [2, 3, 21, 31]
    digest = hashlib.sha256(load("digits", "test").images.numpy().tobytes()).hexdigest()
    assert digest == "6b5969c0b7a5564d4dbf0b97492f6d4347f52e21ac41ce688658aeb88cd63411"


@given(st.integers(2, 300))
def test_the_validation_split_is_fixed_disjoint_and_complete(count: int) -> None:
    rest, validation = train_validation(numbered(count))
    assert len(validation) == max(1, count // 10)
    assert sorted([*rest.labels.tolist(), *validation.labels.tolist()]) == list(range(count))
    assert rest.labels.equal(rest.labels.sort().values)
    torch.manual_seed(count)
    np.random.seed(count)
    assert train_validation(numbered(count))[1].labels.equal(validation.labels)


def test_the_validation_split_has_at_most_5000_images() -> None:
    assert [len(part) for part in train_validation(numbered(60_000))] == [55_000, 5_000]


def test_one_image_cannot_be_split() -> None:
    with pytest.raises(InputError, match="at least 2"):
        train_validation(numbered(1))


@given(st.integers(1, 300), st.integers(1, 400), st.integers(1, 400))
def test_first_images_are_a_prefix_of_more(size: int, few: int, more: int) -> None:
    few, more = sorted((few, more))
    split = numbered(size)
    assert first_images(split, few).labels.equal(first_images(split, more).labels[:few])
    assert sorted(first_images(split, None).labels.tolist()) == list(range(size))


def test_first_images_wants_a_positive_number() -> None:
    with pytest.raises(InputError, match="at least 1, not 0"):
        first_images(numbered(3), 0)


def test_to_float_is_undone_by_rounding() -> None:
    every = torch.arange(256, dtype=torch.uint8)
    floats = to_float(every)
    assert floats.dtype == torch.float32
    assert (floats.min().item(), floats.max().item()) == (0, 1)
    assert (floats * 255).round().to(torch.uint8).equal(every)


def test_slices_and_devices_keep_the_rest() -> None:
    part = numbered(5)[1:3].to("cpu")
    assert (part.name, part.labels.tolist(), len(part.images)) == ("numbered", [1, 2], 2)


@pytest.mark.parametrize(
    ("name", "eps"),
    [("digits", 0.3), ("mnist", 0.3), ("fashion-mnist", 0.1), ("cifar10", 8 / 255), ("own.npz", 8 / 255)],
)
def test_default_eps(name: str, eps: float) -> None:
    assert default_eps(name) == eps


@pytest.mark.parametrize(
    ("array", "shape"),
    [
        (GREY, (1, 5, 4)),
        (GREY[..., np.newaxis], (1, 5, 4)),
        (GREY[:, np.newaxis], (1, 5, 4)),
        (COLOUR, (3, 5, 4)),
        (COLOUR.transpose(0, 3, 1, 2), (3, 5, 4)),
    ],
)
@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32", ">f8"])
def test_archives_of_every_layout_hold_the_same_images(
    tmp_path: Path, array: np.ndarray, shape: tuple[int, int, int], dtype: str
) -> None:
    stored = array if dtype == "uint8" else (array / 255).astype(dtype)
    split = load(archive(tmp_path / "own.npz", x_train=stored, y_train=LABELS.reshape(-1, 1)), "train")
    assert (split.name, split.classes, split.shape) == ("own", ("0", "1", "2"), shape)
    expected = GREY[:, np.newaxis] if shape[0] == 1 else COLOUR.transpose(0, 3, 1, 2)
    assert split.images.equal(torch.from_numpy(expected.copy()))
    assert split.labels.tolist() == LABELS.tolist()


def test_floats_go_to_the_nearest_level(tmp_path: Path) -> None:
    between = np.full((6, 5, 4), 100.6 / 255)
    assert load(archive(tmp_path / "own.npz", x_train=between), "train").images.unique().tolist() == [101]


def test_the_classes_of_an_archive_come_from_both_splits(tmp_path: Path) -> None:
    path = archive(tmp_path / "own.npz", y_test=np.array([0, 6, 1], dtype=np.uint8))
    assert len(load(path, "train").classes) == len(load(str(path), "test").classes) == 7


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_train": None, "y_train": None}, r"lacks x_train, y_train \(it has x_test, y_test\)"),
        ({"x_train": GREY[:5]}, "5 images in x_train, but 6 labels in y_train"),
        ({"x_train": GREY[0]}, r"x_train .* shape \(5, 4\): images must be \(N, H, W\)"),
        ({"x_train": GREY[:0]}, r"x_train of .* is empty \(shape \(0, 5, 4\)\)"),
        ({"x_train": np.zeros((6, 5, 4, 2), np.uint8)}, "C = 1 or 3"),
        (
            {"x_train": GREY / 127.5 - 1},
            r"values from -1 to -0\.0\d+: images must be uint8, or floats in \[0, 1\]",
        ),
        ({"x_train": GREY * np.float32("nan")}, r"values from nan to nan: .*floats in \[0, 1\]"),
        ({"x_train": GREY.astype(np.int64) + 200}, "values from 200 to 319: images must be uint8, or floats"),
        ({"x_train": GREY > 9}, "type bool: images must be uint8, or floats"),
        ({"x_train": np.array([None] * 6)}, "any code: refused"),
        ({"y_train": LABELS - 1}, r"labels from -1 to 1: they must lie in 0\.\."),
        ({"y_train": LABELS * 10**9}, "labels from 0 to 2000000000: they must lie in"),
        ({"y_train": LABELS * 1.0}, "type float64: labels must be integers"),
        ({"y_train": np.eye(3)[LABELS]}, r"shape \(6, 3\): labels must be \(N,\)"),
        ({"y_train": LABELS * 0, "y_test": LABELS[:3] * 0}, "one class only"),
    ],
)
def test_what_is_wrong_with_an_archive_is_said(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = archive(tmp_path / "own.npz", **changes)
    complaint = complaint_of(lambda: load(path, "train"))
    assert re.search(message, complaint)
    assert str(path) in complaint


def complaint_of(action: Callable[[], object]) -> str:
    with pytest.raises(InputError) as caught:
        action()
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_file_that_is_no_archive(tmp_path: Path) -> None:
    path = tmp_path / "own.npz"
    path.write_text("x_train,y_train\n")
    assert "not an .npz archive" in complaint_of(lambda: load(path, "test"))


def test_a_truncated_archive(tmp_path: Path) -> None:
    path = archive(tmp_path / "own.npz")
    path.write_bytes(path.read_bytes()[:-100])
    assert "truncated" in complaint_of(lambda: load(path, "test"))


def test_an_archive_with_a_flipped_byte(tmp_path: Path) -> None:
    path = archive(tmp_path / "own.npz")
    content = bytearray(path.read_bytes())
    content[content.index(GREY.tobytes()) + 7] ^= 1
    path.write_bytes(content)
    assert "is damaged" in complaint_of(lambda: load(path, "train"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mnits", r"no data set named 'mnits', nor a file or folder \(did you mean 'mnist'\?\)"),
        ("", "the data set has no name: give one of cifar10, digits"),
        ("zzz", r"known: cifar10, digits, fashion-mnist, mnist"),
        ("some/where", "no data set at 'some/where': there is no such file or folder"),
        ("absent.npz", "no data set at 'absent.npz': there is no such file"),
        (__file__, "is no data set: give an .npz file, or a folder"),
    ],
)
def test_an_unknown_data_set(name: str, message: str) -> None:
    assert re.search(message, complaint_of(lambda: load(name, "test")))


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("1", 1), ("RGB", 3), ("RGBA", 3), ("P", 3)])
def test_a_folder_of_images(tmp_path: Path, mode: str, channels: int) -> None:
    root = image_folder(tmp_path / "pets", mode)
    (root / "train" / ".cache").mkdir()
    (root / "train" / "notes.txt").write_text("neither a class")
    (root / "train" / "cat" / "notes.txt").write_text("nor an image")
    train, test = load(root, "train"), load(root, "test")
    assert (train.name, train.classes, train.shape) == ("pets", ("cat", "dog"), (channels, 5, 4))
    assert (train.labels.tolist(), test.labels.tolist()) == ([0, 0, 1, 1], [0, 1])
    if mode in ("L", "RGB"):
        assert train.images[:, -1, 4, 3].tolist() == [30, 40, 10, 20]
        assert test.images[:, 0, 0, 0].tolist() == [60, 50]


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".bmp", ".PNG"])
def test_a_folder_of_other_files(tmp_path: Path, suffix: str) -> None:
    assert len(load(image_folder(tmp_path / "pets", suffix=suffix), "train")) == 4


def test_a_class_may_have_no_test_images(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "pets")
    (root / "test" / "cat" / "0.png").unlink()
    (root / "test" / "cat").rmdir()
    test = load(root, "test")
    assert (test.classes, test.labels.tolist()) == (("cat", "dog"), [1])


def spoil(root: Path, how: str) -> Path:
    """Spoil a folder of images in one way, and return the path that the message has to name."""
    cat = root / "train" / "cat"
    match how:
        case "no test":
            (root / "test").rename(root / "validation")
            return root
        case "empty":
            (root / "train").rename(root / "old")
            (root / "train").mkdir()
            return root / "train"
        case "no images":
            (root / "train" / "bird").mkdir()
            return root / "train" / "bird"
        case "strange class":
            (root / "test" / "horse").mkdir()
            return root / "test"
        case "size":
            Image.new("L", (9, 5)).save(cat / "1.png")
        case "text":
            (cat / "1.png").write_text("no image")
        case "truncated":
            Image.effect_noise((64, 64), 9).save(cat / "1.png")
            (cat / "1.png").write_bytes((cat / "1.png").read_bytes()[:200])
        case "16 bit":
            Image.fromarray(np.zeros((5, 4), np.uint16)).save(cat / "1.png")
    return cat / "1.png"


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("no test", "has no folder 'test'"),
        ("empty", "is empty: it needs a folder of images for each class"),
        ("no images", "holds no images: it needs .jpg, .*, .ppm or .pgm files"),
        ("strange class", "has the class 'horse', which .* lacks"),
        ("size", r"is 5x9 \(height x width\), but .* is 5x4: .* e\.g\. --input-size 4"),
        ("text", "cannot read the image"),
        ("truncated", "cannot read the image"),
        ("16 bit", "pixels of the kind 'I;16': save it as 8-bit grey or RGB"),
    ],
)
def test_what_is_wrong_with_a_folder_is_said(tmp_path: Path, how: str, message: str) -> None:
    root = image_folder(tmp_path / "pets")
    culprit = spoil(root, how)
    complaint = complaint_of(lambda: (load(root, "train"), load(root, "test")))
    assert re.search(message, complaint)
    assert f"'{culprit}'" in complaint


def test_the_cache_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ADVTOOL_DATA", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_dir() == tmp_path / ".cache" / "advtool"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir() == tmp_path / "xdg" / "advtool"
    monkeypatch.setenv("ADVTOOL_DATA", "~/sets")
    assert cache_dir() == tmp_path / "sets"
    assert cache_dir(tmp_path / "option") == tmp_path / "option"


def test_an_archive_in_the_cache_is_used_as_it_is(tmp_path: Path) -> None:
    images = np.random.RandomState(0).randint(0, 256, (6, 28, 28)).astype(np.uint8)
    path = archive(tmp_path / "fashion_mnist.npz", x_train=images)
    split = load("fashion-mnist", "train", tmp_path)
    assert (split.name, split.classes[0], split.shape) == ("fashion-mnist", "T-shirt/top", (1, 28, 28))
    assert split.images.squeeze(1).numpy().tobytes() == images.tobytes()
    assert fetch("fashion-mnist", tmp_path) == path
    assert {entry.name: entry.cached for entry in available(tmp_path)}["fashion-mnist"] == path


def test_an_archive_in_the_cache_may_have_its_classes_in_another_order(tmp_path: Path) -> None:
    images = np.zeros((6, 28, 28), np.uint8)
    names = KNOWN["fashion-mnist"].classes
    archive(tmp_path / "fashion_mnist.npz", x_train=images, class_names=np.array(names[::-1]))
    assert load("fashion-mnist", "train", tmp_path).classes == names[::-1]
    archive(tmp_path / "fashion_mnist.npz", x_train=images, class_names=np.array([*names[:-1], "sock"]))
    complaint = complaint_of(lambda: load("fashion-mnist", "train", tmp_path))
    assert "names other classes than 'fashion-mnist' has (T-shirt/top, " in complaint


def test_an_archive_in_the_cache_must_be_what_its_name_says(tmp_path: Path) -> None:
    archive(tmp_path / "cifar10.npz")
    complaint = complaint_of(lambda: load("cifar10", "train", tmp_path))
    assert "shape (1, 5, 4) in 3 classes, but 'cifar10' has (3, 32, 32) in 10" in complaint


def test_list_fits_a_pipe_of_80_columns(tmp_path: Path) -> None:
    result = advtool_data("list", ADVTOOL_DATA=str(tmp_path))
    assert result.returncode == 0
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["digits", "mnist", "fashion-mnist", "cifar10"]
    assert lines[2].split()[1:5] == ["60000", "10000", "1x28x28", "no"]
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in result.stdout
    assert str(tmp_path) in result.stderr


def test_list_as_json(tmp_path: Path) -> None:
    path = archive(tmp_path / "mnist.npz")
    result = advtool_data("list", "--format", "json", "--data-dir", str(tmp_path))
    entries = {entry["name"]: entry for entry in json.loads(result.stdout)}
    assert entries["mnist"]["cached"] == str(path)
    assert entries["cifar10"] == {
        "name": "cifar10",
        "train": 50_000,
        "test": 10_000,
        "shape": [3, 32, 32],
        "classes": 10,
        "cached": None,
        "source": "torchvision",
        "licence": "for research",
    }


def test_fetch_prints_the_path_alone(tmp_path: Path) -> None:
    path = archive(tmp_path / "mnist.npz")
    result = advtool_data("fetch", "mnist", "--data-dir", str(tmp_path))
    assert (result.returncode, result.stdout) == (0, f"{path}\n")


def test_fetch_of_an_unknown_name() -> None:
    result = advtool_data("fetch", "cifar")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.strip().endswith("no data set named 'cifar' (did you mean 'cifar10'?)")
    assert len(result.stderr.splitlines()) == 1
