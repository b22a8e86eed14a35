"""Datasets, DataLoaders and other sources of (image, label): what is read of them, and how far."""

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from advtool.data import as_pairs, to_float
from advtool.errors import InputError

BYTES = torch.from_numpy(np.random.RandomState(0).randint(0, 256, (10, 3, 5, 4)).astype(np.uint8))
IMAGES = to_float(BYTES)
LABELS = torch.arange(10) % 4
PAIRS = TensorDataset(IMAGES, LABELS)


class Counting(Dataset[tuple[Any, Any]]):
    """A Dataset that knows which items were asked for, and whose own iteration would never end."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items
        self.asked: list[int] = []

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        self.asked.append(index)
        return self.items[index % len(self.items)]


class Stream(IterableDataset[tuple[Tensor, Tensor]]):
    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return iter(PAIRS)


def refusal(source: Any, labels: Any = None, limit: Any = None) -> str:
    with pytest.raises(InputError) as caught:
        as_pairs(source, labels, limit)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def pillow(image: Tensor) -> Image.Image:
    return Image.fromarray(image.permute(1, 2, 0).numpy())


SOURCES: dict[str, Any] = {
    "Dataset": PAIRS,
    "DataLoader": DataLoader(PAIRS, 4),
    "DataLoader without batches": DataLoader(PAIRS, None),
    "IterableDataset": Stream(),
    "DataLoader of a stream": DataLoader(Stream(), 3),
    "list": list(zip(IMAGES, LABELS, strict=True)),
    "list of batches": [(IMAGES[:7], LABELS[:7]), [IMAGES[7:], LABELS[7:]]],
    "integers": [(image, int(label)) for image, label in PAIRS],
    "arrays": [(image.numpy(), np.uint16(label)) for image, label in PAIRS],
    "labels (1,)": [(image, label[None]) for image, label in PAIRS],
    "one-hot": [(image, torch.nn.functional.one_hot(label, 4)) for image, label in PAIRS],
    "one-hot batch": [(IMAGES, torch.nn.functional.one_hot(LABELS).float())],
    "Pillow": [(pillow(image), int(label)) for image, label in zip(BYTES, LABELS, strict=True)],
}


@pytest.mark.parametrize("limit", [1, 4, 6, 10, 99, None, np.int64(3)])
@pytest.mark.parametrize("kind", SOURCES)
def test_a_source_of_pairs_gives_its_first_images(kind: str, limit: int | None) -> None:
    images, labels = as_pairs(SOURCES[kind], limit=limit)
    assert images.equal(IMAGES[:limit])
    assert labels.equal(LABELS[:limit])
    assert (images.dtype, labels.dtype) == (torch.float32, torch.int64)


def test_a_loader_may_have_workers() -> None:
    images, labels = as_pairs(DataLoader(PAIRS, 4, num_workers=1), limit=6)
    assert images.equal(IMAGES[:6])
    assert labels.equal(LABELS[:6])


def test_a_generator_is_read_once_and_can_be_read_on() -> None:
    pairs = iter(PAIRS)
    assert as_pairs((pair for pair in pairs), limit=4)[1].equal(LABELS[:4])
    assert as_pairs(pairs, limit=2)[1].equal(LABELS[4:6])

    def generate() -> Iterator[tuple[Tensor, Tensor]]:
        yield from PAIRS

    generator = generate()
    as_pairs(generator, limit=4)
    assert next(generator)[1].equal(LABELS[4])


def test_no_more_is_read_than_was_asked_for() -> None:
    single = Counting(list(PAIRS))
    as_pairs(single, limit=3)
    assert single.asked == [0, 1, 2]
    batched = Counting(list(PAIRS))
    as_pairs(DataLoader(batched, 4), limit=4)
    assert batched.asked == [0, 1, 2, 3]


def test_a_source_may_use_one_buffer_for_all_its_items() -> None:
    image, label = torch.empty(3, 5, 4), torch.empty((), dtype=torch.int64)

    def pairs() -> Iterator[Any]:
        for x, y in PAIRS:
            yield image.copy_(x), label.copy_(y)

    images, labels = as_pairs(pairs())
    assert images.equal(IMAGES)
    assert labels.equal(LABELS)


def test_without_a_limit_all_is_read_once() -> None:
    source = Counting(list(PAIRS))
    assert as_pairs(source)[0].equal(IMAGES)
    assert source.asked == list(range(10))


def test_a_loader_that_shuffles_gives_the_same_images_and_leaves_the_generators() -> None:
    class Noisy(Counting):
        def __getitem__(self, index: int) -> Any:
            image, label = super().__getitem__(index)
            return image * random.random() * float(np.random.rand()) * torch.rand(()), label

    torch.manual_seed(1)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # type: ignore[union-attr]
    loader = DataLoader(Noisy(list(PAIRS)), 4, shuffle=True)
    images, labels = as_pairs(loader, limit=6)
    assert torch.get_rng_state().equal(before[0])
    assert np.random.get_state()[1].tolist() == before[1]  # type: ignore[union-attr]
    assert random.getstate() == before[2]
    torch.rand(3)
    again, same = as_pairs(loader, limit=6)
    assert again.equal(images)
    assert same.equal(labels)


def test_arrays_with_labels() -> None:
    images, labels = as_pairs(IMAGES.numpy().astype(">f4"), LABELS.numpy().astype(np.uint16), 3)
    assert images.equal(IMAGES[:3])
    assert labels.tolist() == [0, 1, 2]
    assert len(as_pairs(IMAGES, LABELS)[0]) == 10


def test_in_inference_mode_the_images_still_get_gradients() -> None:
    with torch.inference_mode():
        images, _ = as_pairs(DataLoader(PAIRS, 4))
    assert not images.is_inference()


def failing() -> Iterator[Any]:
    yield IMAGES[0], 1
    raise OSError("no such file\nat all")


class Failing(Dataset[Any]):
    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> Any:
        raise KeyError("lost")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (IMAGES, "labels are missing: give them beside the images (Tensor)"),
        (IMAGES.numpy(), "labels are missing"),
        (7, "labels are missing: give them beside the images (int)"),
        (None, "labels are missing"),
        (list(IMAGES), "item 0 of the data must be a pair (image, label), not a Tensor"),
        ((IMAGES, LABELS), "item 0 of the data must be a pair (image, label), not a Tensor"),
        ([{"image": IMAGES[0], "label": 1}], "not a dict with the keys 'image', 'label'"),
        ([(IMAGES[0], 1, 2)], "item 0 of the data must be a pair (image, label), not a tuple of 3"),
        ([(IMAGES[0], 1), None], "item 1 of the data must be a pair (image, label), not a NoneType"),
        ("mnist", "not a str"),
        ([], "the list given as images is empty"),
        (DataLoader(TensorDataset(BYTES, LABELS), 4), "item 0 of the data: images must be floating point"),
        ([(IMAGES[0], "cat")], "item 0 of the data: labels must be numbers, not text"),
        ([(IMAGES[0], -1)], "item 0 of the data: labels must be class indices"),
        ([(IMAGES[0], None)], "item 0 of the data: labels must be numbers, not NoneType"),
        ([(IMAGES[0, 0], 1)], "item 0 of the data: images must be a non-empty (N, C, H, W), not (5, 4)"),
        ([(IMAGES, LABELS), (IMAGES, LABELS[:3])], "item 1 of the data: labels must be (10,)"),
        ([(IMAGES[0], 1), (IMAGES[0, :, :2], 1)], "item 1 holds images of shape (3, 2, 4), but item 0 (3, 5, 4)"),
        (failing(), "reading item 1 of the generator failed: no such file"),
        (Failing(), "reading item 0 of the Failing failed: 'lost'"),
        (DataLoader(Failing(), num_workers=1), "reading item 0 of the DataLoader failed: KeyError: 'lost'"),
    ],
)
def test_what_is_wrong_with_a_source_of_pairs_is_said(source: Any, message: str) -> None:
    assert message in refusal(source)


@pytest.mark.parametrize("source", [PAIRS, DataLoader(PAIRS, 4)])
def test_a_source_of_pairs_takes_no_labels(source: Any) -> None:
    assert "which brings its labels: leave labels out" in refusal(source, LABELS)


@pytest.mark.parametrize("limit", [0, -1, 2.5, True, "3"])
def test_what_is_no_limit(limit: Any) -> None:
    assert "must be an integer of at least 1" in refusal(PAIRS, limit=limit)


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, torch.OutOfMemoryError])
def test_an_interrupt_and_a_lack_of_memory_are_passed_on(error: type[BaseException]) -> None:
    def pairs() -> Iterator[Any]:
        yield IMAGES[0], 1
        raise error

    with pytest.raises(error):
        as_pairs(pairs())
