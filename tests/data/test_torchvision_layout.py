"""torchvision's real loaders on files in torchvision's own layout: found, downloaded, damaged.

MNIST and Fashion-MNIST are rebuilt from the archives in ``$ADVTOOL_DATA``. The batches of CIFAR-10 are
made up, since only the original files have the published checksums. Downloads come from a server on
this machine.
"""

import gzip
import hashlib
import io
import pickle
import struct
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision import datasets

from advtool.data import available, fetch, load
from advtool.errors import InputError
from tests.support.serving import HOST, serving

IDX_FILES = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}

# MD5 sums of the original files after gunzip, as several public loaders of these data sets list them
# (torchvision itself lists those of the .gz files); the order is that of IDX_FILES.
ORIGINAL_MD5 = {
    "mnist": (
        "6bbc9ace898e44ae57da46a324031adb",
        "a25bea736e30d166cdddb491f175f624",
        "2646ac647ad5339dbf082846283269ea",
        "27ae3e4e09519cfbb04c329615203637",
    ),
    "fashion-mnist": (
        "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "9018921c3c673c538a1fc5bad174d6f9",
        "8181f5470baa50b63fa0f6fddb340f0a",
        "15d484375f8d13e6eb1aabb0c3f46965",
    ),
}
NOWHERE = "http://127.0.0.1:9/"  # the discard port: connections are refused


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def idx(array: np.ndarray) -> bytes:
    """A uint8 array in the IDX format: two zero bytes, the type (8), the rank, the sizes, the values."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def small_mnist() -> dict[str, bytes]:
    """The four IDX files of a tiny MNIST: 20 training and 10 test images."""
    stream = np.random.RandomState(0)
    contents = {}
    for split, count in (("train", 20), ("test", 10)):
        images = stream.randint(0, 256, (count, 28, 28)).astype(np.uint8)
        contents[IDX_FILES[f"x_{split}"]] = idx(images)
        contents[IDX_FILES[f"y_{split}"]] = idx(np.arange(count, dtype=np.uint8) % 10)
    return contents


def write_all(folder: Path, contents: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder


def small_cifar(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """The batches of a CIFAR-10 with ten images a batch, whose checksums torchvision is told."""
    stream = np.random.RandomState(0)
    names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    contents = {
        name: pickle.dumps({"data": stream.randint(0, 256, (10, 3072)).astype(np.uint8), "labels": list(range(10))})
        for name in names
    }
    contents["batches.meta"] = pickle.dumps({"label_names": list("abcdefghij")})
    sums = {name: md5(content) for name, content in contents.items()}
    monkeypatch.setattr(datasets.CIFAR10, "train_list", [[name, sums[name]] for name in names[:5]])
    monkeypatch.setattr(datasets.CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setattr(datasets.CIFAR10, "meta", datasets.CIFAR10.meta | {"md5": sums["batches.meta"]})
    return contents


def tar_gz(folder: str, contents: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in contents.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, str]]:
    """A folder and the URL that serves it."""
    folder = tmp_path / "served"
    folder.mkdir()
    monkeypatch.setenv("no_proxy", HOST)
    with serving(folder) as url:
        yield folder, url


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every download fails at once."""
    monkeypatch.setenv("no_proxy", HOST)
    monkeypatch.setattr(datasets.MNIST, "mirrors", [NOWHERE])
    monkeypatch.setattr(datasets.FashionMNIST, "mirrors", [NOWHERE])
    monkeypatch.setattr(datasets.CIFAR10, "url", f"{NOWHERE}cifar-10-python.tar.gz")


def complaint_about(name: str, cache: Path) -> str:
    with pytest.raises(InputError) as caught:
        load(name, "test", cache)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(("name", "folder"), [("mnist", "MNIST"), ("fashion-mnist", "FashionMNIST")])
def test_the_original_files_give_the_same_tensors_as_the_archive(
    name: str, folder: str, tmp_path: Path, data_dir: Path, offline: None
) -> None:
    archive = data_dir / f"{name.replace('-', '_')}.npz"
    if not archive.is_file():
        pytest.skip(f"the folder of ADVTOOL_DATA has no {archive.name}")
    with np.load(archive) as arrays:
        contents = {file: idx(arrays[key]) for key, file in IDX_FILES.items()}
    assert tuple(map(md5, contents.values())) == ORIGINAL_MD5[name]

    raw = write_all(tmp_path / folder / "raw", contents)
    assert fetch(name, tmp_path) == raw
    for split in ("train", "test"):
        ours, theirs = load(name, split, tmp_path), load(name, split, archive.parent)
        assert ours.images.equal(theirs.images)
        assert ours.labels.equal(theirs.labels)
        assert (ours.name, ours.classes) == (theirs.name, theirs.classes)
        assert (ours.images.dtype, ours.labels.dtype) == (torch.uint8, torch.int64)


def test_the_class_names_are_torchvisions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_all(tmp_path / "FashionMNIST" / "raw", small_mnist())
    assert list(load("fashion-mnist", "test", tmp_path).classes) == datasets.FashionMNIST.classes


def test_mnist_is_downloaded_once_and_stdout_stays_clean(
    tmp_path: Path,
    served: tuple[Path, str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    folder, url = served
    packed = {f"{name}.gz": gzip.compress(content) for name, content in small_mnist().items()}
    write_all(folder, packed)
    monkeypatch.setattr(datasets.MNIST, "mirrors", [url])
    monkeypatch.setattr(datasets.MNIST, "resources", [(name, md5(content)) for name, content in packed.items()])
    cache = tmp_path / "cache"
    assert fetch("mnist", cache) == cache / "MNIST" / "raw"
    output = capfd.readouterr()
    assert output.out == ""
    assert "100%" in output.err

    monkeypatch.setattr(datasets.MNIST, "mirrors", [NOWHERE])
    split = load("mnist", "train", cache)
    assert (len(split), split.labels.tolist()) == (20, [*range(10), *range(10)])
    assert {entry.name: entry.cached for entry in available(cache)}["mnist"] == cache / "MNIST" / "raw"


def test_cifar10_is_downloaded_and_its_bytes_are_in_order(
    tmp_path: Path, served: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, url = served
    contents = small_cifar(monkeypatch)
    packed = tar_gz("cifar-10-batches-py", contents)
    write_all(folder, {"cifar-10-python.tar.gz": packed})
    monkeypatch.setattr(datasets.CIFAR10, "url", f"{url}cifar-10-python.tar.gz")
    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", md5(packed))
    train, test = (load("cifar10", split, tmp_path) for split in ("train", "test"))
    assert (train.shape, len(train), len(test)) == ((3, 32, 32), 50, 10)
    assert test.images.numpy().tobytes() == pickle.loads(contents["test_batch"])["data"].tobytes()
    assert train.labels.tolist() == list(range(10)) * 5
    assert train.labels.dtype == torch.int64
    assert train.classes[3] == "cat"


def test_a_download_with_a_wrong_checksum(
    tmp_path: Path, served: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, url = served
    write_all(folder, {"cifar-10-python.tar.gz": b"not what was published"})
    monkeypatch.setattr(datasets.CIFAR10, "url", f"{url}cifar-10-python.tar.gz")
    cache = tmp_path / "cache"
    complaint = complaint_about("cifar10", cache)
    assert f"the download of 'cifar10' into '{cache}' has a wrong checksum" in complaint
    assert "put 'cifar10.npz' there" in complaint


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "cifar10"])
def test_no_network(name: str, tmp_path: Path, offline: None) -> None:
    complaint = complaint_about(name, tmp_path / "cache")
    assert f"cannot download '{name}' into '{tmp_path / 'cache'}' (" in complaint
    assert "refused" in complaint
    assert f"put '{name.replace('-', '_')}.npz' there" in complaint


def test_a_damaged_batch_of_cifar10(tmp_path: Path, offline: None, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_all(tmp_path / "cifar-10-batches-py", small_cifar(monkeypatch))
    load("cifar10", "test", tmp_path)
    (folder / "data_batch_3").write_bytes(b"damaged")
    complaint = complaint_about("cifar10", tmp_path)
    assert f"in '{folder}' are damaged (wrong checksum or format): delete that folder" in complaint


def test_a_truncated_file_of_mnist(tmp_path: Path, offline: None) -> None:
    folder = write_all(tmp_path / "MNIST" / "raw", small_mnist())
    file = folder / "t10k-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-10])
    assert f"in '{folder}' are damaged" in complaint_about("mnist", tmp_path)


def test_a_cache_that_is_a_file(tmp_path: Path, offline: None) -> None:
    (tmp_path / "cache").write_text("")
    complaint = complaint_about("mnist", tmp_path / "cache")
    assert f"cannot write 'mnist' into '{tmp_path / 'cache'}'" in complaint
    assert "--data-dir" in complaint
