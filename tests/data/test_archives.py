"""Archives: one split alone, class names, labels from 1, and arrays of every type and layout."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from advtool.data import load, load_first
from advtool.errors import InputError
from tests.support.locked import lock

IMAGES = np.random.RandomState(0).randint(0, 256, (6, 5, 4, 3)).astype(np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 2])


def archive(folder: Path, **arrays: Any) -> Path:
    np.savez(folder / "own.npz", **arrays)
    return folder / "own.npz"


def refusal(path: Path, split: Any = "test") -> str:
    with pytest.raises(InputError) as caught:
        load(path, split)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(("split", "other"), [("test", "train"), ("train", "test")])
def test_one_split_alone_can_be_read(tmp_path: Path, split: Any, other: Any) -> None:
    path = archive(tmp_path, **{f"x_{split}": IMAGES, f"y_{split}": LABELS})
    found = load(path, split)
    assert (len(found), found.classes) == (6, ("0", "1", "2"))
    assert f"lacks x_{other}, y_{other} (it has x_{split}, y_{split})" in refusal(path, other)


@pytest.mark.parametrize(
    "dtype",
    ["u1", "i2", "u2", ">u2", "i4", ">i4", "u4", "i8", ">i8", "u8", ">u8", "f2", ">f4", "f4", "f8", "longdouble"],
)
@pytest.mark.parametrize("order", ["C", "F", "flipped"])
def test_images_of_every_type_and_layout(tmp_path: Path, dtype: str, order: Any) -> None:
    kind = np.dtype(dtype)
    values = IMAGES.astype(kind) / np.asarray(255, kind) if kind.kind == "f" else IMAGES.astype(kind)
    stored = values[:, ::-1, ::-1].copy()[:, ::-1, ::-1] if order == "flipped" else np.asarray(values, order=order)
    split = load(archive(tmp_path, x_test=stored.astype(kind, copy=False), y_test=LABELS), "test")
    assert split.images.permute(0, 2, 3, 1).numpy().tobytes() == IMAGES.tobytes()
    assert split.images.is_contiguous()


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", ">u2", ">i4", "u4", "i8", "u8", ">u8"])
def test_labels_of_every_integer_type(tmp_path: Path, dtype: str) -> None:
    split = load(archive(tmp_path, x_test=IMAGES, y_test=LABELS.astype(dtype)), "test")
    assert (split.labels.dtype, split.labels.tolist()) == (torch.int64, LABELS.tolist())


def test_pixels_out_of_range_by_rounding_are_clipped(tmp_path: Path) -> None:
    for dtype, beyond in (("f4", 1e-6), ("f8", 1e-6), ("f2", 9e-4)):
        images = (IMAGES / 255).astype(dtype)
        images[0, 0, 0, 0], images[0, 0, 0, 1] = 1 + beyond, -beyond
        pixels = load(archive(tmp_path, x_test=images, y_test=LABELS), "test").images
        assert pixels[0, :2, 0, 0].tolist() == [255, 0]
    images[0, 0, 0, 0] = 1.01
    assert "values from" in refusal(archive(tmp_path, x_test=images, y_test=LABELS))


@pytest.mark.parametrize("names", [np.array(["cat", "dog", "émeu"]), np.array(["cat", "dog", "émeu"]).astype(object)])
def test_an_archive_may_name_its_classes(tmp_path: Path, names: np.ndarray) -> None:
    stored = names if names.dtype.kind == "U" else np.array([name.encode() for name in names])
    split = load(archive(tmp_path, x_test=IMAGES, y_test=LABELS, class_names=stored), "test")
    assert split.classes == ("cat", "dog", "émeu")


def test_there_may_be_more_names_than_labels(tmp_path: Path) -> None:
    names = np.array([f"n{index}" for index in range(10)])
    arrays = {"x_train": IMAGES, "y_train": LABELS + 1, "class_names": names}
    assert load(archive(tmp_path, **arrays), "train").classes == tuple(names)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (np.array(["cat", "dog"]), r"labels up to 2, but 2 class_names: .* must lie in 0\.\.1"),
        (np.array(["cat", "dog", "cat"]), "names 'cat' twice"),
        (np.arange(3), r"type int64 and the shape \(3,\): it must be strings"),
        (np.array([["cat"], ["dog"], ["cow"]]), "it must be strings"),
        (np.array("cat"), "it must be strings"),
        (np.array([], dtype=str), "is empty: name every class, or leave the array out"),
        (np.array([b"\xff", b"dog", b"cow"]), "no UTF-8 text"),
        (np.array(["cat", "dog\udcff", "cow"]), "is no UTF-8, so no answer could name it"),
        (np.array(["cat", "dog", None]), "any code: refused"),
    ],
)
def test_what_is_wrong_with_class_names_is_said(tmp_path: Path, names: np.ndarray, message: str) -> None:
    assert re.search(message, refusal(archive(tmp_path, x_test=IMAGES, y_test=LABELS, class_names=names)))


@pytest.mark.parametrize("split", ["train", "test"])
def test_labels_from_1_are_refused(tmp_path: Path, split: str) -> None:
    path = archive(tmp_path, x_train=IMAGES, y_train=LABELS + 1, x_test=IMAGES[:2], y_test=np.array([3, 2]))
    message = refusal(path, split)
    assert "are 1..3, and none is 0: subtract 1 from them" in message
    assert "class_names" in message


def test_many_test_labels_from_1_are_refused_and_few_are_not(tmp_path: Path) -> None:
    # Of few images class 0 may be missing by chance.
    few = load(archive(tmp_path, x_test=IMAGES, y_test=LABELS + 1), "test")
    assert (few.classes, few.labels.tolist()) == (("0", "1", "2", "3"), [1, 2, 3, 1, 2, 3])
    many = archive(tmp_path, x_test=np.repeat(IMAGES, 7, axis=0), y_test=np.repeat(LABELS + 1, 7))
    assert "are 1..3, and none is 0" in refusal(many)


def test_a_zero_in_either_split_or_a_gap_proves_that_labels_count_from_0(tmp_path: Path) -> None:
    in_test = archive(tmp_path, x_train=IMAGES, y_train=LABELS + 1, x_test=IMAGES, y_test=LABELS)
    assert len(load(in_test, "train").classes) == 4
    gap = archive(tmp_path, x_train=IMAGES, y_train=LABELS * 5 + 1)
    assert len(load(gap, "train").classes) == 12


def test_the_first_images_of_an_archive(tmp_path: Path) -> None:
    part, indices = load_first(archive(tmp_path, x_test=IMAGES, y_test=LABELS), "test", 3)
    assert indices.tolist() == np.random.RandomState(2).permutation(6)[:3].tolist()
    assert part.images.permute(0, 2, 3, 1).numpy().tobytes() == IMAGES[indices.numpy()].tobytes()
    assert part.labels.tolist() == LABELS[indices.numpy()].tolist()


@pytest.mark.parametrize("labels", [np.array(1), np.zeros((6, 2), int), np.zeros((6, 1, 1), int)])
def test_labels_of_another_shape_are_refused(tmp_path: Path, labels: np.ndarray) -> None:
    path = archive(tmp_path, x_test=IMAGES, y_test=LABELS, y_train=labels)
    assert f"has the shape {labels.shape}: labels must be (N,)" in refusal(path)


@pytest.mark.parametrize(
    ("arrays", "name"),
    [
        ({"x_test": IMAGES[:0], "y_test": LABELS[:0]}, "y_test"),
        ({"x_test": IMAGES[:, :0], "y_test": LABELS}, "x_test"),
        ({"x_test": IMAGES, "y_test": LABELS[:0]}, "y_test"),
        ({"x_test": np.array([]), "y_test": LABELS}, "x_test"),
    ],
)
def test_an_empty_array_is_called_empty(tmp_path: Path, arrays: dict[str, np.ndarray], name: str) -> None:
    message = refusal(archive(tmp_path, **arrays))
    assert re.search(rf"^{name} of '.*' is empty \(shape \(.*\)\): a split needs images, and a label", message)


def test_an_empty_other_split_counts_as_missing(tmp_path: Path) -> None:
    arrays = {"x_test": IMAGES, "y_test": LABELS, "x_train": IMAGES[:0], "y_train": LABELS[:0]}
    assert load(archive(tmp_path, **arrays), "test").labels.tolist() == LABELS.tolist()
    assert "y_train of" in refusal(archive(tmp_path, **arrays), "train")


def test_an_archive_that_may_not_be_read_is_not_called_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive(tmp_path, x_test=IMAGES, y_test=LABELS)
    lock(path, monkeypatch)
    assert "(Permission denied): make it readable" in refusal(path)
