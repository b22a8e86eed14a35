"""What may be asked for on top of a recipe, and which values each setting may have."""

from pathlib import Path
from types import NoneType
from typing import Any, Literal, TypedDict, get_args, get_origin, get_type_hints

from advtool import arguments
from advtool.arguments import MOST, shown
from advtool.compute.precision import Precision
from advtool.errors import InputError, near_match

Scenario = Literal["clean", "adv", "both"]
Bias = Literal["plain", "naive", "multimodal"]
Direction = Literal["descent", "ascent"]
Keep = Literal["pgd", "loss", "one-step", "clean"]
Schedule = Literal["constant", "cyclic"]


class Settings(TypedDict, total=False):
    """What may be asked for on top of a recipe; None stands for "not asked for". See :class:`Recipe`."""

    arch: str | None
    epochs: int | None
    batch_size: int | None
    learning_rate: float | None
    base_learning_rate: float | None
    keep: Keep | None
    stop_on_collapse: bool | None
    precision: Precision | None
    scenario: Scenario | None
    bias: Bias | None
    memories: int | None
    bias_layers: tuple[str, ...] | None
    apb_eps: float | None
    apb_direction: Direction | None
    fixed_examples: Path | None
    pnil: bool | None
    pnil_at: tuple[str, ...] | None
    eot: int | None
    step_size: float | None
    pgd_steps: int | None
    clip_examples: bool | None


def allowed(setting: str, value: Any) -> Any:
    """The value as the type that :class:`Settings` gives for the setting; NumPy's numbers come out as Python's.

    Ranges of its own and what goes together are the recipe's to check.

    Raises:
        InputError: there is no such setting, or the value is of another type or no name that is known.
    """
    hints = get_type_hints(Settings)
    if setting not in hints:
        raise InputError(f"unknown setting '{setting}'{near_match(setting, hints)}")
    kind = next(kind for kind in get_args(hints[setting]) if kind is not NoneType)
    label = f"{flag(setting)} {shown(value)}:"
    if get_origin(kind) is Literal:
        return arguments.choice(f"{label} it", value, get_args(kind))
    if get_origin(kind) is tuple:
        return _names(label, value)
    return _OF_TYPE[kind](label, value)


def flag(setting: str) -> str:
    """``--apb-eps`` of ``apb_eps``."""
    return f"--{setting.replace('_', '-')}"


def _count(label: str, value: Any) -> int:
    whole = arguments.integer(value)
    if whole is None or not 1 <= whole <= MOST:
        raise InputError(f"{label} it must be an integer, 1 or more" + (f", at most {MOST}" if whole else ""))
    return whole


def _number(label: str, value: Any) -> float:
    number = value if isinstance(value, float) else arguments.number(value)  # NaN is out of every range
    if number is None:
        raise InputError(f"{label} it must be a number")
    return float(number)


def _flag(label: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise InputError(f"{label} it must be True or False")
    return value


def _text(label: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InputError(f"{label} it must be text")
    return value


def _path(label: str, value: Any) -> Path:
    return arguments.path(f"{label} it", value)


def _names(label: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(name, str) for name in value):
        raise InputError(f"{label} it must be a list of names of layers")
    return tuple(value)


_OF_TYPE = {int: _count, float: _number, bool: _flag, str: _text, Path: _path}
