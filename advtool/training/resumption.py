"""Going on with a training that was stopped, by the name of its file."""

from pathlib import Path
from typing import Any

import torch

import advtool.training.state as states
from advtool import arguments, checkpoints, files, models
from advtool.arguments import shown
from advtool.data import available, check_fetched
from advtool.errors import InputError
from advtool.ranks import ALONE, Ranks
from advtool.settings import checked, with_settings
from advtool.training.beside import STATE, output_beside, state_path
from advtool.training.keeper import Trained
from advtool.training.observer import Observer
from advtool.training.place import Place
from advtool.training.prepared import beginning_of, prepare
from advtool.training.session import carry_out
from advtool.training.settings import Settings
from advtool.training.state import Arguments


def find_output(file: Path | str) -> Path:
    """The checkpoint that a training writes in the end, by its own name or that of a file beside it.

    Args:
        file: ``NAME.state.safetensors``, ``NAME.partial.safetensors`` or ``NAME.safetensors``.

    Raises:
        InputError: there is neither a state nor a checkpoint, or the state is damaged.
    """
    file = arguments.path(f"--resume {shown(file)}", file)
    output = output_beside(file)
    if state_path(output).is_file():
        return output.with_name(states.read(state_path(output)).beginning.output)
    for finished in (output, file.with_name(file.name.removesuffix(STATE))):
        if finished.is_file():
            return finished
    raise InputError(
        f"--resume '{file}': there is no state of a training at '{state_path(output)}': name the file of a training "
        "that was stopped after its first epoch"
    )


@with_settings(Settings, optional=True)
def resume(
    file: Path | str,
    *,
    device: str | torch.device = "cpu",
    data_dir: Path | None = None,
    ranks: Ranks = ALONE,
    observer: Observer | None = None,
    data: str | Path | None = None,
    recipe: str | None = None,
    eps: float | None = None,
    seed: int | None = None,
    limit: int | None = None,
    output: Path | None = None,
    **settings: Any,
) -> Trained:
    """Go on with a training that was stopped, and keep its best epoch.

    On a CPU its weights are those of a training that was never stopped, bit for bit, with the same thread count and
    torch build. A training that is over already is read from its checkpoint.

    The training knows its own arguments. Those after ``observer`` need not be given; if they are, they must agree.

    Args:
        file: the state beside the output, or the output (:func:`find_output`).
        device: where to train.
        data_dir: the cache of data sets; None: the one that the training began with, if it still holds the data set.
        ranks: the processes that train together.
        observer: hears of every batch and epoch.
        data: a name or path; images as tensors are for :func:`advtool.training.train` with ``resume=True``.
        recipe: a name.
        eps: the attacker's radius.
        seed: of all random streams.
        limit: of the training images.
        output: where the checkpoint goes.
        settings: fields of :class:`Settings`, listed below.

    Raises:
        InputError: there is no state; it is damaged; its images were handed over as tensors; an argument or the images
            are others than those of the training; or an error of :func:`advtool.training.train`.
    """
    found, device = find_output(file), ranks.device(arguments.device(device))
    label = f"--resume {shown(str(file))}"
    if output is not None and Path(output).resolve() != found.resolve():
        raise InputError(f"{label} writes to '{found}': leave out --output '{output}'")
    if not state_path(found).is_file():
        return _finished(found, device, observer or Observer())
    state = states.read(state_path(found))
    begun = state.beginning.arguments
    if begun is None:
        raise InputError(
            f"{label}: its images were handed over in Python: what began it goes on with train(..., resume=True)"
        )
    files.check_writable(found)
    data_dir = data_dir or _data_dir(begun)
    check_fetched(data or begun.data, data_dir, ranks)
    wanted = checked(Settings, begun.settings) | {name: value for name, value in settings.items() if value is not None}
    prepared = prepare(
        begun.data if data is None else data,
        begun.recipe if recipe is None else recipe,
        eps=begun.eps if eps is None else eps,
        seed=begun.seed if seed is None else seed,
        device=device,
        limit=begun.limit if limit is None else limit,
        data_dir=data_dir,
        **wanted,
    )
    beginning = beginning_of(prepared, found, data_dir, wanted)
    if differences := list(state.beginning.differences(beginning)):
        raise InputError(f"{label} cannot go on like this: {'; '.join(differences)}")
    return carry_out(prepared, Place(found, beginning, state), ranks, observer)


def _finished(output: Path, device: torch.device, observer: Observer) -> Trained:
    header, tensors = checkpoints.read(output)
    observer.nothing_left(output)
    return Trained(models.from_checkpoint(header, tensors).to(device), header)


def _data_dir(begun: Arguments) -> Path | None:
    """Where the data set was. Nothing is downloaded into a folder that only a file names."""
    cached = {entry.name for entry in available(Path(begun.data_dir)) if entry.cached is not None}
    return Path(begun.data_dir) if begun.data in cached else None
