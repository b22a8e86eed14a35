"""What the user asked for, and what was opened."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

import numpy as np

from advtool.errors import InputError, near_match

if TYPE_CHECKING:
    from torch import nn

    from advtool.checkpoints import Header


@dataclass(frozen=True)
class ModelSpec:
    """A MODEL and all that is said beside it. Opening it twice gives the same model.

    Args:
        model: MODEL as the user wrote it.
        weights: a file, ``DEFAULT`` for the library's own, or None.
        arguments: keyword arguments of the factory, plain JSON data.
        mean: subtracted from the pixels: one value, or one a channel.
        std: divides them afterwards; as many values, or one.
    """

    model: str
    weights: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Made:
    """What a kind makes of a MODEL, before ``--weights FILE`` and the normalisation."""

    model: nn.Module
    header: Header | None = None
    mean: tuple[float, ...] | None = None
    """what its weights were trained with; used unless the user says otherwise"""
    std: tuple[float, ...] | None = None
    input_size: tuple[int, int] | None = None
    class_names: tuple[str, ...] | None = None
    sources: str = ""
    description: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Opened:
    """A model, ready to be asked, and what is known of it."""

    model: nn.Module
    """on the CPU: float32 (N, C, H, W) in [0, 1] -> logits; in eval mode"""
    header: Header | None
    """the card of a checkpoint of ours"""
    description: dict[str, Any]
    """for a result, plain JSON data"""
    input_size: tuple[int, int] | None
    """(H, W) that the model was made for, where that is known"""
    class_names: tuple[str, ...] | None
    """in the order of the outputs, where the library knows them"""
    sources: str
    """SHA-256 over the user's own Python sources that were imported, "" where there are none"""
    notes: tuple[str, ...]
    """what the user should know, one line each"""


def said_of(model: str | PathLike[str], said: Mapping[str, Any]) -> ModelSpec:
    """The spec of what a Python caller says: paths may be paths, and one number serves all channels.

    Raises:
        InputError: something else is said, or of another type.
    """
    known = {field.name for field in fields(ModelSpec)} - {"model"}
    for name in said:
        if name not in known:
            raise InputError(f"open_model has no argument '{name}'{near_match(name, known)}")
    if not isinstance(model, str | PathLike):
        raise InputError(f"model={model!r} must be text: a file, 'FILE.py:factory' or 'torchvision:NAME'")
    words = dict(said)
    if words.get("weights") is not None:
        if not isinstance(words["weights"], str | PathLike):
            raise InputError(f"weights={words['weights']!r} must be the path of a file, or DEFAULT")
        words["weights"] = fspath(words["weights"])
    for name in words.keys() & {"mean", "std"}:
        words[name] = _numbers(name, words[name])
    return ModelSpec(fspath(model), **words)


def _numbers(name: str, value: Any) -> tuple[float, ...] | None:
    try:
        return None if value is None else tuple(float(number) for number in np.atleast_1d(value))
    except (TypeError, ValueError):
        raise InputError(f"{name}={value!r} must be a number, or one for each channel") from None


def check(spec: ModelSpec, *, takes_arguments: bool, what: str) -> None:
    """Refuse arguments where none are taken or that are no JSON data, and a normalisation that is none.

    Raises:
        InputError: one line about the first fault.
    """
    if spec.arguments and not takes_arguments:
        raise InputError(f"--model-args: '{spec.model}' is {what} and takes no arguments")
    if not isinstance(spec.arguments, Mapping) or not all(isinstance(name, str) for name in spec.arguments):
        raise InputError("--model-args: write a JSON object of keyword arguments, e.g. '{\"num_classes\": 10}'")
    try:
        json.dumps(dict(spec.arguments))
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
            raise InputError(f"{option}: give finite numbers, one, or one a channel")
    if not all(value > 0 for value in std):
        raise InputError(f"--std: {min(std):g} divides the pixels: give numbers above 0")
    if 1 not in {len(mean), len(std)} and len(mean) != len(std):
        raise InputError(
            f"--mean has {len(mean)} values and --std {len(std)}: give one for each channel, or one for all"
        )
