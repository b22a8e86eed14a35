"""Options with the same name, type and words in every command."""

from __future__ import annotations

import functools
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from advtool import arguments
from advtool.errors import InputError
from advtool.evaluation.settings import Settings
from advtool.ranks import Ranks
from advtool.settings import settings_of

if TYPE_CHECKING:
    import torch


class DeviceName(StrEnum):
    """Where to compute."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


def resolve_device(name: str) -> torch.device:
    """The device of that name; ``auto`` takes CUDA where it is there. Under torchrun each process has its own.

    Raises:
        InputError: CUDA is asked for, but there is no CUDA device.
    """
    import torch

    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise InputError("--device cuda: no CUDA device is available here; use --device cpu or auto")
    place = torch.device("cuda" if available and name != "cpu" else "cpu")
    return Ranks.of_environment().device(place)


Eps = Annotated[
    float | None,
    typer.Option(
        "--eps",
        parser=functools.partial(arguments.eps, "--eps"),
        metavar="E",
        help=settings_of(Settings)["eps"].about.help,
        show_default="by data set",
    ),
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of every random stream.")]
Device = Annotated[DeviceName, typer.Option("--device", help="Where to compute.")]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        envvar="ADVTOOL_DATA",
        help="Folder of cached data sets. A file NAME.npz there is used as it is.",
        show_default="~/.cache/advtool",
    ),
]


DATA_SETS = "digits, mnist, fashion-mnist, cifar10"
"""For help, which must not wait for torch: the names of ``advtool.data.KNOWN``, in its order."""


def data_sets() -> list[str]:
    """The names that ``--dataset`` takes, for a shell."""
    from advtool.data import available

    return [entry.name for entry in available()]


DatasetName = Annotated[
    str,
    typer.Option(
        "--dataset",
        metavar="NAME|PATH",
        autocompletion=data_sets,
        help=f"{DATA_SETS}, a .npz file, or a folder with train/CLASS/*.png and test/CLASS/*.png.",
    ),
]
