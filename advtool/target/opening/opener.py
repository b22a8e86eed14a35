"""One way to open a MODEL, whatever its kind."""

import importlib
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from advtool.errors import InputError
from advtool.target.opening import kinds, spec, weights
from advtool.target.opening.kinds import DEFAULT, Reference
from advtool.target.opening.normalise import Normalise
from advtool.target.opening.spec import Made, ModelSpec, Opened
from advtool.target.opening.user_code import one_line, surroundings


class Maker(Protocol):
    """How a kind is opened; it need not care for ``--weights FILE`` nor for the normalisation."""

    def __call__(self, reference: Reference, spec: ModelSpec) -> Made: ...


def open_model(model: str | ModelSpec, *, is_checkpoint: bool = False, **said: Any) -> Opened:
    """Make the model, give it its weights, put the normalisation in front, and set eval mode.

    Random weights are the same each time. The process is left as it was: generators, torch's defaults, stdout.

    Args:
        model: MODEL as the user wrote it, or with what was said beside it.
        said: beside MODEL, the fields of :class:`ModelSpec`: weights, arguments, mean, std.
        is_checkpoint: it is a checkpoint of ours, whatever its file is called.

    Returns:
        The model on the CPU, and what is known of it.

    Raises:
        InputError: one line about what cannot be opened, and what would be right.
    """
    asked = model if isinstance(model, ModelSpec) else spec.said_of(model, said)
    reference = kinds.checkpoint(asked.model) if is_checkpoint else kinds.refer(asked.model)
    spec.check(asked, takes_arguments=reference.kind.takes_arguments, what=reference.kind.what)
    kinds.check_there(reference, asked.weights)
    maker: Maker = importlib.import_module(f"{__package__}.{reference.kind.module}").make
    notes: tuple[str, ...] = ()
    with surroundings():
        made = maker(reference, asked)
        with one_line(f"'{asked.model}' cannot be brought to the CPU"):
            made.model.cpu()
        if asked.weights not in {None, DEFAULT}:
            notes = weights.load_into(made.model, Path(str(asked.weights)))
    mean, std = (made.mean, made.std) if asked.mean is None else (asked.mean, asked.std)
    return Opened(
        model=_normalised(made.model, mean, std).eval(),
        header=made.header,
        description=_describe(asked, reference, made, mean, std),
        input_size=made.input_size,
        class_names=made.class_names,
        sources=made.sources,
        notes=(*made.notes, *notes),
    )


def _normalised(model: nn.Module, mean: tuple[float, ...] | None, std: tuple[float, ...] | None) -> nn.Module:
    if mean is None or std is None:
        return model
    return nn.Sequential(Normalise(mean, std), model)


def _describe(
    asked: ModelSpec,
    reference: Reference,
    made: Made,
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
) -> dict[str, Any]:
    """Plain JSON data: what was asked and which files answered; paths only as the user wrote them."""
    description: dict[str, Any] = {"spec": asked.model}
    if reference.kind.suffixes:
        description["sha256"] = _hash(reference.name)
    if asked.weights not in {None, DEFAULT}:
        description["weights"] = {"path": asked.weights, "sha256": _hash(str(asked.weights))}
    if asked.arguments:
        description["arguments"] = dict(asked.arguments)
    if mean is not None and std is not None:
        description |= {"mean": list(mean), "std": list(std)}
    return description | dict(made.description)


def _hash(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            digest = sha256()
            while part := file.read(1 << 20):
                digest.update(part)
    except OSError as error:
        raise InputError(f"cannot read '{path}': {error.strerror or error}") from None
    return digest.hexdigest()
