"""The types of opening a MODEL: what the user asks for, and what was opened."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

import numpy as np

from advtool.arguments import encodable, shown
from advtool.errors import InputError, near_match
from advtool.target.opening.kinds import Kind

if TYPE_CHECKING:
    from torch import nn

    from advtool.checkpoints import Header

_OPTION = re.compile(r"--(model-args|weights|mean|std)\b(?: ('[^']*'|DEFAULT|FILE|[01]))?")
"""An option of this module in a message, and its value if one follows."""

LARGEST_LEVEL = 255
"""The largest value of a pixel of 8 bits."""


@dataclass(frozen=True)
class ModelSpec:
    """A MODEL and its options. Opening it twice gives the same model.

    Args:
        model: MODEL as the user wrote it.
        weights: a file of weights, ``DEFAULT`` for the library's own weights, or None.
        model_args: keyword arguments for the factory, plain JSON data.
        mean: is subtracted from the pixels: one value, or one for each channel.
        std: divides the pixels afterwards: one value, or one for each channel.
    """

    model: str
    weights: str | None = None
    model_args: Mapping[str, Any] = field(default_factory=dict)
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Opened:
    """A model that is ready to be asked, and what is known about it.

    A kind's ``make`` gives one that still lacks ``--weights FILE``, the normalisation and eval mode.
    """

    model: nn.Module
    """on the CPU and in eval mode: float32 (N, C, H, W) in [0, 1] -> logits"""
    header: Header | None = None
    """the header of a checkpoint of advtool; None for other models"""
    mean: tuple[float, ...] | None = None
    """of the normalisation in front: the user's, or else the one that the library's weights were trained with"""
    std: tuple[float, ...] | None = None
    description: dict[str, Any] = field(default_factory=dict)
    """what was opened, as plain JSON data for results"""
    input_size: tuple[int, int] | None = None
    """(H, W) that the model was made for; None: unknown"""
    class_names: tuple[str, ...] | None = None
    """the names of the classes in the order of the outputs; None: unknown"""
    sources: str = ""
    """SHA-256 over the user's own Python sources that were imported; "" if there are none"""
    notes: tuple[str, ...] = ()
    """what the user should know, one line each"""


def spec_of(model: str | PathLike[str], options: Mapping[str, Any]) -> ModelSpec:
    """The spec from a Python caller's arguments. Paths may be ``Path``s, and a number may stand for one value.

    Args:
        model: MODEL as text or as a path.
        options: the other fields of :class:`ModelSpec`.

    Raises:
        InputError: an option is unknown or has another type.
    """
    known = {field.name for field in fields(ModelSpec)} - {"model"}
    for name in options:
        if name not in known:
            raise InputError(f"open_model has no argument '{name}'{near_match(name, known)}")
    if not isinstance(model, str | PathLike):
        raise InputError(f"model={model!r} must be text: a file, 'FILE.py:factory' or 'torchvision:NAME'")
    values = dict(options)
    if values.get("weights") is not None:
        if not isinstance(values["weights"], str | PathLike):
            raise InputError(f"weights={values['weights']!r} must be the path of a file, or DEFAULT")
        values["weights"] = fspath(values["weights"])
    for name in ("mean", "std"):
        values[name] = _numbers(name, values.get(name))
    if values.get("model_args") is None:
        values["model_args"] = {}
    return ModelSpec(fspath(model), **values)


def _numbers(name: str, value: Any) -> tuple[float, ...] | None:
    try:
        return None if value is None else tuple(float(number) for number in np.atleast_1d(value))
    except (TypeError, ValueError):
        raise InputError(
            f"{name}={shown(value)} must be a number, or one for each channel such as (0.485, 0.456, 0.406)"
        ) from None


def in_python(message: str) -> str:
    """A message that names options of the command line, with the arguments of ``open_model`` instead."""
    return _OPTION.sub(_argument, message)


def _argument(option: re.Match[str]) -> str:
    name, value = option[1].replace("-", "_"), option[2]
    if value is None:
        return name
    if name == "model_args":
        return f"{name}={value[1:-1]}"
    return f"{name}={value}" if value[0] in "'01" else f"{name}='{value}'"


def check(spec: ModelSpec, kind: Kind) -> None:
    """Check a spec's names, its arguments and its normalisation.

    Args:
        spec: what the user asks for.
        kind: of the MODEL.

    Raises:
        InputError: a name is no UTF-8, the arguments are not wanted or not JSON data, or mean and std are not a
            normalisation.
    """
    encodable("MODEL", spec.model)
    if spec.weights is not None:
        encodable("--weights", spec.weights)
    if spec.model_args and not kind.takes_arguments:
        raise InputError(f"--model-args: '{spec.model}' is {kind.what} and takes no arguments")
    if not isinstance(spec.model_args, Mapping) or not all(isinstance(name, str) for name in spec.model_args):
        raise InputError(
            "--model-args is no object of keyword arguments: write e.g. --model-args '{\"num_classes\": 10}'"
        )
    try:
        json.dumps(dict(spec.model_args))
    except (TypeError, ValueError) as error:
        raise InputError(f"--model-args: give plain JSON data ({error})") from None
    _check_normalisation(spec.mean, spec.std)


def _check_normalisation(mean: tuple[float, ...] | None, std: tuple[float, ...] | None) -> None:
    if mean is None and std is None:
        return
    if mean is None or std is None:
        given, other = ("--mean", "--std") if std is None else ("--std", "--mean")
        raise InputError(f"{given} goes with {other}: give both ({'--std 1' if std is None else '--mean 0'} for none)")
    for option, values in (("--mean", mean), ("--std", std)):
        if not values or not all(math.isfinite(value) for value in values):
            raise InputError(f"{option}: give finite numbers, one for all channels or one for each")
    if not all(value > 0 for value in std):
        raise InputError(f"--std: {min(std):g} divides the pixels: give numbers above 0")
    if 1 not in {len(mean), len(std)} and len(mean) != len(std):
        raise InputError(
            f"--mean has {len(mean)} values and --std {len(std)}: give one for all channels or one for each"
        )
    _refuse_levels(mean, std)


def _refuse_levels(mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    """Refuse a mean in levels from 0 to 255, and say what it is in the units of the pixels."""
    if max(mean) <= 1 or not _are_levels(mean):
        return
    divided = _as_fractions(std) if min(std) >= 1 and _are_levels(std) else std
    raise InputError(
        f"--mean {_written(mean)} looks like levels from 0 to {LARGEST_LEVEL}, but pixels lie in [0, 1]: give "
        f"--mean {_written(_as_fractions(mean))} --std {_written(divided)}"
    )


def _are_levels(values: tuple[float, ...]) -> bool:
    return all(0 <= value <= LARGEST_LEVEL for value in values)


def _as_fractions(levels: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(level / LARGEST_LEVEL for level in levels)


def _written(values: tuple[float, ...]) -> str:
    return ",".join(f"{value:.4g}" for value in values)
