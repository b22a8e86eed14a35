"""Open a MODEL of any kind."""

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from advtool.errors import InputError
from advtool.files import sha256
from advtool.target.handling import home_of, put_into_eval_mode, refuse_meta
from advtool.target.opening import kinds, spec, weights
from advtool.target.opening.kinds import DEFAULT, Reference
from advtool.target.opening.normalise import Normalise
from advtool.target.opening.spec import ModelSpec, Opened
from advtool.target.opening.user_code import one_line, surroundings


class Maker(Protocol):
    """The function ``make`` of each kind. The opener adds ``--weights FILE`` and the normalisation afterwards."""

    def __call__(self, reference: Reference, spec: ModelSpec) -> Opened: ...


def open_model(model: str | ModelSpec, *, is_checkpoint: bool = False, **options: Any) -> Opened:
    """Make the model, load its weights, put the normalisation in front, and set eval mode.

    Random weights are the same each time. Generators, torch's defaults and stdout are put back afterwards.

    Args:
        model: MODEL as the user wrote it, or a :class:`ModelSpec`.
        options: if ``model`` is text or a path, the other fields of :class:`ModelSpec`: weights, model_args, mean, std.
            Messages then name these, else the options of the command line.
        is_checkpoint: MODEL is a checkpoint of advtool, whose file may have any name.

    Returns:
        The model on the CPU, and what is known about it.

    Raises:
        InputError: the model cannot be opened; the message says why and what would be right.
    """
    if isinstance(model, ModelSpec):
        return _opened(model, is_checkpoint)
    asked = spec.spec_of(model, options)
    try:
        opened = _opened(asked, is_checkpoint)
    except InputError as error:
        raise InputError(spec.in_python(str(error))) from error
    return replace(opened, notes=tuple(map(spec.in_python, opened.notes)))


def _opened(asked: ModelSpec, is_checkpoint: bool) -> Opened:
    reference = kinds.checkpoint(asked.model) if is_checkpoint else kinds.refer(asked.model)
    spec.check(asked, reference.kind)
    kinds.check_exists(reference, asked.weights)
    maker: Maker = importlib.import_module(f"{__package__}.{reference.kind.module}").make
    notes: tuple[str, ...] = ()
    with surroundings():
        made = maker(reference, asked)
        with one_line(f"'{asked.model}' cannot be brought to the CPU"):
            home_of(made.model)  # refuses a module without Module.__init__
            refuse_meta(made.model)
            made.model.cpu()
        if asked.weights not in {None, DEFAULT}:
            notes = weights.load_into(made.model, Path(str(asked.weights)))
        if asked.mean is not None:
            made = replace(made, mean=asked.mean, std=asked.std)
        model = _normalised(made)
        with one_line(f"'{asked.model}' cannot be put into eval mode"):
            put_into_eval_mode(model)
    return replace(made, model=model, description=_describe(asked, reference, made), notes=(*made.notes, *notes))


def _normalised(made: Opened) -> nn.Module:
    if made.mean is None or made.std is None:
        return made.model
    return nn.Sequential(Normalise(made.mean, made.std), made.model)


def _describe(asked: ModelSpec, reference: Reference, made: Opened) -> dict[str, Any]:
    """What was asked for and the hashes of the files, as plain JSON data. Paths are as the user wrote them."""
    description: dict[str, Any] = {"spec": asked.model}
    if reference.kind.suffixes:
        description["sha256"] = _hash(reference.name)
    if asked.weights not in {None, DEFAULT}:
        description["weights"] = {"path": asked.weights, "sha256": _hash(str(asked.weights))}
    if asked.model_args:
        description["arguments"] = dict(asked.model_args)
    if made.mean is not None and made.std is not None:
        description |= {"mean": list(made.mean), "std": list(made.std)}
    return description | made.description


def _hash(path: str) -> str:
    try:
        return sha256(Path(path))
    except OSError as error:
        raise InputError(f"cannot read '{path}': {error.strerror or error}") from None
