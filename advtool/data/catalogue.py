"""The data sets that have a name: their facts, and their place in the cache."""

import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import gettempdir

from advtool.errors import InputError, near_match

_DIGITS = tuple("0123456789")
_IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_CIFAR_FILES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch", "batches.meta")


@dataclass(frozen=True)
class Torchvision:
    """A data set in torchvision: the class of its loader, the folder that it fills, and the files there."""

    loader: str
    folder: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class Known:
    """The facts of a data set that has a name.

    ``shape`` is (C, H, W); ``train`` and ``test`` are numbers of images; ``eps`` is the usual radius in linf, a
    fraction of the pixel range [0, 1].
    """

    name: str
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    train: int
    test: int
    eps: float
    source: str
    licence: str
    torchvision: Torchvision | None

    @property
    def npz(self) -> str:
        """The name of the ``.npz`` file that may hold it in the cache."""
        return f"{self.name.replace('-', '_')}.npz"


@dataclass(frozen=True)
class Entry:
    """A line of ``advtool data list``.

    Attributes:
        name: what ``--dataset`` takes.
        train: the number of training images.
        test: the number of test images.
        shape: (C, H, W).
        classes: the number of classes.
        cached: the file or folder that holds it; None: it must be downloaded first.
        source: the package that contains or downloads it.
        licence: its terms of use.
    """

    name: str
    train: int
    test: int
    shape: tuple[int, int, int]
    classes: int
    cached: Path | None
    source: str
    licence: str


KNOWN: dict[str, Known] = {
    known.name: known
    for known in (
        Known(
            name="digits",
            classes=_DIGITS,
            shape=(1, 28, 28),
            train=1437,
            test=360,
            eps=0.3,
            source="scikit-learn",
            licence="CC BY 4.0",
            torchvision=None,
        ),
        Known(
            name="mnist",
            classes=_DIGITS,
            shape=(1, 28, 28),
            train=60_000,
            test=10_000,
            eps=0.3,
            source="torchvision",
            licence="CC BY-SA 3.0",
            torchvision=Torchvision("MNIST", "MNIST/raw", _IDX_FILES),
        ),
        Known(
            name="fashion-mnist",
            classes=(
                *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
                *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
            ),
            shape=(1, 28, 28),
            train=60_000,
            test=10_000,
            eps=0.1,
            source="torchvision",
            licence="MIT",
            torchvision=Torchvision("FashionMNIST", "FashionMNIST/raw", _IDX_FILES),
        ),
        Known(
            name="cifar10",
            classes=(
                *("airplane", "automobile", "bird", "cat", "deer"),
                *("dog", "frog", "horse", "ship", "truck"),
            ),
            shape=(3, 32, 32),
            train=50_000,
            test=10_000,
            eps=8 / 255,
            source="torchvision",
            licence="for research",
            torchvision=Torchvision("CIFAR10", "cifar-10-batches-py", _CIFAR_FILES),
        ),
    )
}


def default_eps(name: str) -> float:
    """The usual linf radius of a data set, a fraction of [0, 1]: 8/255 for a path or an unknown name."""
    return KNOWN[name].eps if name in KNOWN else 8 / 255


def cache_dir(data_dir: Path | None = None) -> Path:
    """The folder of cached data sets: ``data_dir``, else ``$ADVTOOL_DATA``, else ``advtool`` in the user's cache.

    It need not exist. A user without a home folder, as in some containers, gets one in the system's temporary folder.

    Raises:
        InputError: ``data_dir`` or ``$ADVTOOL_DATA`` begins with ``~``, and there is no home folder.
    """
    if chosen := data_dir or os.environ.get("ADVTOOL_DATA"):
        try:
            return Path(chosen).expanduser()
        except RuntimeError:
            raise InputError(f"'{chosen}' begins with ~, but no home folder is known: give the whole path") from None
    if caches := os.environ.get("XDG_CACHE_HOME"):
        return Path(caches) / "advtool"
    try:
        return Path.home() / ".cache" / "advtool"
    except RuntimeError:
        return Path(gettempdir()) / "advtool"


def available(data_dir: Path | None = None) -> list[Entry]:
    """Every data set that has a name, and whether the cache holds it. It reads and downloads nothing."""
    folder = cache_dir(data_dir)
    return [
        Entry(
            name=known.name,
            train=known.train,
            test=known.test,
            shape=known.shape,
            classes=len(known.classes),
            cached=locate(known, folder),
            source=known.source,
            licence=known.licence,
        )
        for known in KNOWN.values()
    ]


def find(name: str) -> Known:
    """The facts of the data set ``name``.

    Raises:
        InputError: no data set has that name; the message gives the nearest name.
    """
    if name not in KNOWN:
        raise InputError(f"no data set named '{name}'{near_match(name, KNOWN)}")
    return KNOWN[name]


def locate(known: Known, folder: Path) -> Path | None:
    """The place of a data set: a package, an ``.npz`` file or torchvision's folder; None if it is not there."""
    if known.torchvision is None:
        return _scikit_learn()
    if is_file(npz := folder / known.npz):
        return npz
    raw = folder / known.torchvision.folder
    return raw if all(is_file(raw / file) for file in known.torchvision.files) else None


def is_file(path: Path) -> bool:
    """Whether it is a file that we may see. A cache in another user's folder counts as empty."""
    try:
        return path.is_file()
    except PermissionError:
        return False


def _scikit_learn() -> Path | None:
    # find_spec does not import the package, which would take a second.
    spec = find_spec("sklearn")
    return None if spec is None or spec.origin is None else Path(spec.origin).parent
