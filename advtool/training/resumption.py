"""Going on with a training that was stopped, by the name of its file."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from advtool import arguments, checkpoints, files
from advtool.arguments import shown
from advtool.checkpoints import Header
from advtool.data import available, check_fetched
from advtool.errors import InputError
from advtool.ranks import ALONE, Ranks
from advtool.settings import checked, settings_of, with_settings
from advtool.training.course import Course
from advtool.training.keeper import Trained
from advtool.training.observer import Observer
from advtool.training.place import Place
from advtool.training.prepared import beginning_of, dataset_name, described, prepare
from advtool.training.recipes import RECIPES, recipe_for, takers
from advtool.training.session import carry_out, finished, heard
from advtool.training.settings import Settings
from advtool.training.state import Arguments, differences


def find_output(file: Path | str) -> Path:
    """The checkpoint that a training writes in the end, by its own name or that of a file beside it.

    Args:
        file: ``NAME.state.safetensors``, ``NAME.partial.safetensors`` or ``NAME.safetensors``.

    Raises:
        InputError: there is neither a state nor a checkpoint.
    """
    return _begun(file).output


def is_begun(file: Path | str) -> bool:
    """Whether :func:`find_output` finds a training, be it stopped, damaged or finished."""
    return _place(file).is_begun


def new_output(file: Path | str, output: Path | None = None) -> Path:
    """Where a training writes that begins with ``--resume FILE``; an ``output`` that is named too must be the same.

    Raises:
        InputError: it is another one.
    """
    own = _place(file).output
    _check_output(f"--resume {shown(str(file))}", own, output)
    return own


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
    place, device = _begun(file), ranks.device(arguments.device(device))
    label = f"--resume {shown(str(file))}"
    _check_output(label, place.output, output)
    asked: dict[str, Any] = {"data": data, "recipe": recipe, "eps": eps, "seed": seed, "limit": limit}
    if not place.state.is_file():
        _check_agrees(label, checkpoints.read_header(place.output), settings, asked)
        trained = finished(place.output, device)
        heard(observer, ranks).nothing_left(place.output)
        return trained
    there = place.read_state().beginning
    begun = there.arguments
    if begun is None:
        raise InputError(
            f"{label}: its images were handed over in Python: what began it goes on with train(..., resume=True)"
        )
    place.check()
    data_dir = data_dir or _data_dir(begun)
    check_fetched(data or begun.data, data_dir, ranks)
    wanted = checked(Settings, begun.settings) | {name: value for name, value in settings.items() if value is not None}
    given = {name: getattr(begun, name) if value is None else value for name, value in asked.items()}
    prepared = prepare(**given, **wanted, device=device, data_dir=data_dir)
    beginning = beginning_of(prepared, place.output, data_dir, wanted)
    _refuse(label, there.differences(beginning))
    return carry_out(prepared, Course(place, beginning, was_begun=True), ranks, observer)


def _begun(file: Path | str) -> Place:
    """The place of a training that was stopped, or finished."""
    place = _place(file)
    if not place.is_begun:
        raise InputError(
            f"--resume '{file}': there is no state of a training at '{place.state}': name the file of a training that "
            "was stopped after its first epoch, or a RECIPE too, to begin one"
        )
    return place


def _place(file: Path | str) -> Place:
    path = arguments.path(f"--resume {shown(file)}", file)
    if path.is_dir() or not path.name:
        raise InputError(f"--resume '{path}' is a folder: name the checkpoint of a training, or a file beside it")
    return Place.of(path)


def _check_output(label: str, own: Path, output: Path | None) -> None:
    if output is not None and files.resolved(Path(output)) != files.resolved(own):
        raise InputError(f"{label} writes to '{own}': leave out --output '{output}'")


def _check_agrees(label: str, header: Header, settings: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Refuse arguments that are others than those of a training that is over. None agrees with everything."""
    given = {name: value for name, value in asked.items() if value is not None}
    settings = {name: value for name, value in settings.items() if value is not None}
    dataset = dataset_name(given["data"]) if "data" in given else header.dataset
    recipe = str(given.get("recipe", header.recipe.get("name")))
    chosen = recipe_for(dataset, recipe, **_own_settings(header, recipe) | settings)
    if chosen.fixed_examples is not None:
        checkpoints.read_header(chosen.fixed_examples)
    named = {*settings, *(f"{name}_sha256" for name in settings)}
    wanted = {name: value for name, value in described(chosen).items() if name in named and value != "auto"}
    limit = {"limit": given["limit"]} if "limit" in given else {}
    architecture: dict[str, Any] = {"name": chosen.arch} if "arch" in settings else {}
    if "arch_args" in settings:
        architecture["options"] = chosen.arch_args or {}
    changes = {
        "dataset": dataset,
        "architecture": header.architecture.model_copy(update=architecture),
        "threat_model": header.threat_model.model_copy(update={"eps": given.get("eps", header.threat_model.eps)}),
        "seed": given.get("seed", header.seed),
        "recipe": header.recipe | wanted | limit | {"name": chosen.name},
    }
    _refuse(label, differences(header, header.model_copy(update=changes)))


def _own_settings(header: Header, recipe: str) -> dict[str, Any]:
    """What a header tells of the settings that others need, such as its kind of bias."""
    own: dict[str, Any] = {"arch": header.architecture.name}
    if recipe != header.recipe.get("name") or recipe not in RECIPES:
        return own
    needs = (setting.about.needs for setting in settings_of(Settings).values())
    needed = {need.setting for need in needs if need is not None and need.setting in header.recipe}
    return own | {name: header.recipe[name] for name in needed if RECIPES[recipe] in takers(name)}


def _refuse(label: str, found: Iterable[str]) -> None:
    if words := "; ".join(found):
        raise InputError(f"{label} cannot go on like this: {words}")


def _data_dir(begun: Arguments) -> Path | None:
    """Where the data set was. Nothing is downloaded into a folder that only a file names."""
    cached = {entry.name for entry in available(Path(begun.data_dir)) if entry.cached is not None}
    return Path(begun.data_dir) if begun.data in cached else None
