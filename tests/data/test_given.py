"""What a Python caller hands over: arrays of every kind become the same tensors, or one line says what is wrong."""

import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from advtool.data import as_images, as_indices, as_labels, to_float
from advtool.errors import InputError

BYTES = torch.from_numpy(np.random.RandomState(0).randint(0, 256, (6, 3, 5, 4)).astype(np.uint8))
IMAGES = to_float(BYTES)
ARRAY = IMAGES.numpy().copy()
LABELS = torch.tensor([2, 0, 1, 4, 3, 0])


def refusal(action: Callable[[], object]) -> str:
    with pytest.raises(InputError) as caught:
        action()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def read_only(array: np.ndarray) -> np.ndarray:
    copy = array.copy()
    copy.flags.writeable = False
    return copy


class OwnArray:
    """Something that NumPy can read."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.array


class Broken:
    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        raise KeyError("two\nlines")


class OwnTensor(torch.Tensor):
    """A class of somebody else's."""


EXACT: dict[str, Any] = {
    "tensor": IMAGES,
    "float64": IMAGES.double(),
    "requires_grad": IMAGES.clone().requires_grad_(),
    "parameter": torch.nn.Parameter(IMAGES.clone()),
    "result": IMAGES.clone().requires_grad_() * 1,
    "not contiguous": IMAGES.transpose(2, 3).contiguous().transpose(2, 3),
    "channels last": IMAGES.to(memory_format=torch.channels_last),
    "subclass": IMAGES.clone().as_subclass(OwnTensor),
    "array": ARRAY,
    "big endian": ARRAY.astype(">f4"),
    "big endian float64": ARRAY.astype(">f8"),
    "longdouble": ARRAY.astype(np.longdouble),
    "Fortran order": np.asfortranarray(ARRAY),
    "flipped": ARRAY[:, :, ::-1, ::-1].copy()[:, :, ::-1, ::-1],
    "read-only": read_only(ARRAY),
    "objects": ARRAY.astype(object),
    "nested list": ARRAY.astype(float).tolist(),
    "list of tensors": list(IMAGES),
    "tuple of arrays": tuple(ARRAY),
    "list of read-only arrays": list(read_only(ARRAY)),
    "lists of tensors": [list(image) for image in IMAGES],
    "list of both": [IMAGES[0], *ARRAY[1:3], *IMAGES[3:].double()],
    "objects that are tensors": np.array([None, *IMAGES], dtype=object)[1:],
    "own array": OwnArray(ARRAY),
    "list of own arrays": [OwnArray(image) for image in ARRAY],
    "Pillow": [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in BYTES],
}


@pytest.mark.parametrize("kind", EXACT)
def test_images_of_every_kind_are_the_same(kind: str) -> None:
    images = as_images(EXACT[kind])
    assert type(images) is torch.Tensor
    assert (images.dtype, images.device.type, images.requires_grad) == (torch.float32, "cpu", False)
    assert images.is_contiguous()
    assert images.equal(IMAGES)


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float8_e4m3fn"])
def test_images_of_coarse_floats_are_taken_as_they_are(kind: str) -> None:
    coarse = IMAGES.to(getattr(torch, kind))
    assert as_images(coarse).equal(coarse.to(torch.float32))
    if kind == "float16":
        assert as_images(coarse.numpy()).equal(coarse.float())


def test_grey_images_of_pillow() -> None:
    grey = [Image.fromarray(image[0].numpy()) for image in BYTES]
    assert as_images(grey).equal(IMAGES[:, :1])


def test_one_flipped_image() -> None:
    # NumPy calls an axis of length 1 contiguous, whatever its stride.
    assert as_images(ARRAY[:1][::-1]).equal(IMAGES[:1])


def test_nothing_is_copied_that_need_not_be() -> None:
    assert as_images(IMAGES).data_ptr() == IMAGES.data_ptr()
    assert as_images(ARRAY).data_ptr() == ARRAY.ctypes.data


def test_what_the_caller_owns_is_left_as_it_was() -> None:
    images = ARRAY.copy()
    images[0, 0, 0, 0], images[0, 0, 0, 1] = 1 + 1e-6, -1e-6
    before = images.copy()
    assert as_images(images)[0, 0, 0, :2].tolist() == [1, 0]
    assert images.tobytes() == before.tobytes()
    leaf = torch.from_numpy(images).requires_grad_()
    as_images(leaf)
    assert leaf.requires_grad
    assert leaf.grad is None


@pytest.mark.parametrize(("dtype", "beyond"), [("float32", 1e-6), ("float64", 1e-6), ("float16", 9e-4)])
def test_a_pixel_out_of_range_by_rounding_is_clipped(dtype: str, beyond: float) -> None:
    for images in (ARRAY.astype(dtype), torch.from_numpy(ARRAY.copy()).to(getattr(torch, dtype))):
        images[0, 0, 0, 0], images[0, 0, 0, 1] = 1 + beyond, -beyond
        assert as_images(images)[0, 0, 0, :2].tolist() == [1, 0]


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@pytest.mark.parametrize(
    "state",
    [
        nullcontext,
        torch.inference_mode,
        torch.no_grad,
        lambda: default_dtype(torch.float64),
        lambda: default_dtype(torch.bfloat16),
        lambda: torch.device("meta"),
        lambda: warnings.catch_warnings(action="error"),
    ],
    ids=["nothing", "inference mode", "no grad", "float64", "bfloat16", "default device", "warnings"],
)
def test_the_state_of_the_process_changes_nothing(state: Callable[[], AbstractContextManager[Any]]) -> None:
    with state():
        made = [as_images(EXACT[kind]) for kind in ("array", "nested list", "list of both", "Pillow", "read-only")]
        labels = [as_labels(kind, 6) for kind in (LABELS.tolist(), LABELS.numpy(), list(LABELS))]
        indices = as_indices(np.arange(6), 6)
    for images in made:
        assert (images.dtype, images.device.type) == (torch.float32, "cpu")
        assert images.equal(IMAGES)
        assert not images.is_inference()
    assert all(made.equal(LABELS) for made in labels)
    assert indices == list(range(6))


def test_tensors_of_inference_mode_get_gradients() -> None:
    with torch.inference_mode():
        born_there, labels = IMAGES * 1, LABELS * 1
        inside, inside_labels = as_images(born_there), as_labels(labels, 6)
    for images in (inside, as_images(born_there)):
        x = images.clone().requires_grad_()
        (x * images).sum().backward()
        assert x.grad is not None
        assert x.grad.equal(IMAGES)
    assert inside_labels.equal(LABELS)
    torch.nn.functional.cross_entropy(torch.zeros(6, 5, requires_grad=True), as_labels(labels, 6)).backward()


def quantised() -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.quantize_per_tensor(IMAGES, 1 / 255, 0, torch.quint8)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (BYTES, "floating point in [0, 1], not uint8: divide by 255"),
        (BYTES.numpy(), "not uint8: divide by 255"),
        (BYTES.tolist(), "not int64: divide by 255"),
        (BYTES.numpy().astype(object), "not int64: divide by 255"),
        (IMAGES > 0.5, "not bool: convert them to float32"),
        (IMAGES * 255, "in [0, 1], these span [0, 255]: scale them"),
        ((IMAGES - 0.5) / 0.25, "span [-2, 2]"),
        (IMAGES + 1e-3, "span [0.001, 1.001]"),
        (IMAGES * float("nan"), "hold NaN"),
        (IMAGES.double() * 1e300, "span [0, inf]"),
        (IMAGES.to_sparse(), "these are sparse"),
        (IMAGES * 1j, "these are complex"),
        (ARRAY * 1j, "images must be numbers, not complex"),
        (quantised(), "these are quantised"),
        (IMAGES.to("meta"), "without values (on the device 'meta')"),
        (ARRAY.astype(str), "images must be numbers, not text"),
        (np.array([["a"]], dtype=object), "images must be numbers, not text"),
        (np.zeros((2, 1, 2, 2), "M8[s]"), "of the type datetime64[s]"),
        (None, "images must be numbers, not NoneType"),
        ({"x": 1}, "images must be numbers, not dict"),
        ([IMAGES[0], None], "images must be numbers, not NoneType"),
        ("images.npz", "images must be numbers, not text"),
        (Broken(), "images cannot be read as an array: 'two"),
        ([[0.1], [0.2, 0.3]], "images cannot be read as an array"),
        ([IMAGES[0], IMAGES[0, :, :2]], "one shape, but number 1 has (3, 2, 4) and number 0 (3, 5, 4)"),
        ([IMAGES[0], BYTES[0]], "one type, but number 1 is uint8 and number 0 float32"),
        ([], "non-empty (N, C, H, W), not (0,)"),
        (IMAGES[:0], "non-empty (N, C, H, W), not (0, 3, 5, 4)"),
        (IMAGES[:, :0], "non-empty (N, C, H, W), not (6, 0, 5, 4)"),
        (IMAGES.flatten(1), "non-empty (N, C, H, W), not (6, 60)"),
        (IMAGES[:, :, None], "not (6, 3, 1, 5, 4)"),
        (IMAGES[0], "not (3, 5, 4) (one image alone? Put it into a batch"),
        (IMAGES[:, 0], "not (6, 5, 4) (grey images without a channel? Use images[:, None])"),
        ([Image.new("RGBA", (4, 5))], "mode 'RGBA': use convert('RGB')"),
        (Image.new("RGB", (4, 5)), "not (3, 5, 4) (one image alone?"),
    ],
)
def test_what_is_wrong_with_images_is_said(images: Any, message: str) -> None:
    assert message in refusal(lambda: as_images(images))


INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]


@pytest.mark.parametrize("dtype", INTEGERS)
def test_labels_of_every_integer_type(dtype: str) -> None:
    array = LABELS.numpy().astype(dtype)
    for labels in (array, array.astype(array.dtype.newbyteorder(">")), LABELS.to(getattr(torch, dtype))):
        for shaped in (labels, labels.reshape(6, 1), list(labels)):
            made = as_labels(shaped, 6)
            assert (made.dtype, made.device.type) == (torch.int64, "cpu")
            assert made.equal(LABELS)


ONE_HOT = torch.nn.functional.one_hot(LABELS)


@pytest.mark.parametrize(
    "labels",
    [
        LABELS.tolist(),
        tuple(LABELS.tolist()),
        LABELS.numpy().astype(object),
        list(LABELS),
        [LABELS[0].int(), *LABELS[1:]],
        [np.uint16(label) for label in LABELS],
        [np.array(label) for label in LABELS.tolist()],
        [[label] for label in LABELS.tolist()],
        LABELS.repeat_interleave(2)[::2],
        LABELS.numpy()[::-1].copy()[::-1],
        read_only(LABELS.numpy()),
        LABELS.float(),
        LABELS.half(),
        LABELS.numpy().astype(">f8"),
        LABELS.float().requires_grad_(),
        ONE_HOT,
        ONE_HOT.float(),
        ONE_HOT.to(torch.bfloat16),
        ONE_HOT.numpy().astype(np.uint16),
        ONE_HOT.bool(),
        ONE_HOT.tolist(),
        range(6),
    ],
)
def test_labels_of_every_kind(labels: Any) -> None:
    expected = torch.arange(6) if isinstance(labels, range) else LABELS
    made = as_labels(labels, 6)
    assert (made.dtype, made.shape, made.requires_grad) == (torch.int64, (6,), False)
    assert made.equal(expected)


@given(st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=20))
def test_labels_keep_their_values(labels: list[int]) -> None:
    assert as_labels(np.array(labels, dtype=np.uint64), len(labels)).tolist() == labels
    assert as_labels(labels, len(labels)).tolist() == labels


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, "labels must be numbers, not NoneType"),
        (["cat"] * 6, "labels must be numbers, not text"),
        (LABELS.numpy().astype(str), "labels must be numbers, not text"),
        (LABELS.numpy().astype("S"), "labels must be numbers, not text"),
        (LABELS > 1, "integers of at least 0, not bool"),
        ([True, False] * 3, "integers of at least 0, not bool"),
        (LABELS - 1, "integers of at least 0, not -1"),
        (LABELS + 0.5, "not fractions"),
        (LABELS * float("nan"), "not fractions"),
        (LABELS.double() * 1e30, "not fractions"),
        (LABELS * 1j, "these are complex"),
        (LABELS[:5], "labels must be (6,), one class index an image, not (5,)"),
        (LABELS[0], "not ()"),
        (7, "not ()"),
        ([], "not (0,)"),
        ([2**70] * 6, "integers beyond 64 bits"),
        ([1, 2, None, 4, 5, 6], "labels must be numbers, not NoneType"),
        ([[1], [2, 3]] * 3, "labels cannot be read as an array"),
        (ONE_HOT * 0.5, "of shape (6, 5) are not one-hot"),
        (ONE_HOT.flip(1) + ONE_HOT, "of shape (6, 5) are not one-hot"),
        (torch.full((6, 5), 0.2), "are not one-hot"),
        (torch.zeros(6, 5), "are not one-hot"),
        (torch.arange(12).reshape(6, 2), "are not one-hot"),
        (ONE_HOT[None], "not (1, 6, 5)"),
    ],
)
def test_what_is_wrong_with_labels_is_said(labels: Any, message: str) -> None:
    assert message in refusal(lambda: as_labels(labels, 6))


@pytest.mark.parametrize(
    "indices", [[3, 1, 2], np.array([3, 1, 2], ">u2"), torch.tensor([3, 1, 2], dtype=torch.uint64), (3.0, 1.0, 2.0)]
)
def test_indices_of_every_kind(indices: Any) -> None:
    made = as_indices(indices, 3)
    assert made == [3, 1, 2]
    assert all(type(index) is int for index in made)


def test_no_indices_count_from_0() -> None:
    assert as_indices(None, 3) == [0, 1, 2]


@pytest.mark.parametrize("indices", [[1, 2], [0, 1, -1], [0, 1, 1.5], [True, False, True], "012", [[0], [1], [2]]])
def test_what_is_wrong_with_indices_is_said(indices: Any) -> None:
    assert re.match("indices must be ", refusal(lambda: as_indices(indices, 3)))
