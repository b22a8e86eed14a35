"""Settings as one dataclass: its fields give the options, the Python signature, the documentation and the checks.

A setting is a field with an :class:`About` beside its type. Other fields are no settings::

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        votes: Annotated[int | None, About("Draws of a prediction.", default="1; random models 20")] = None
        pgd_steps: Annotated[int, About("Gradient steps of PGD.", metavar="N")] = 50

:func:`checked` refuses wrong values, :func:`with_settings` names the settings in the signature of a function, and
``advtool.cli.gathering.options_of`` makes options of them. This file imports nothing heavy: ``--help`` is instant.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from types import NoneType
from typing import Any, Literal, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

from advtool import arguments
from advtool.arguments import LARGEST_COUNT, shown
from advtool.errors import InputError, near_match

Function = TypeVar("Function", bound=Callable[..., Any])


class Need(NamedTuple):
    """What a setting depends on: it has an effect only where another ``setting`` has one of these ``values``."""

    setting: str
    values: tuple[Any, ...]


@dataclass(frozen=True)
class About:
    """What people and checks need to know of a setting beyond its name, type and default.

    Attributes:
        help: one or two sentences.
        metavar: what stands for the value in the help of an option, e.g. ``N``; None: the type.
        panel: heading under which the help shows the option; None: among the others.
        default: in words, what holds without a value; None: the default itself is shown.
        least: of an integer, the smallest value allowed.
        most: of an integer, the largest value allowed.
        read: makes the value of an option's name and text, e.g. :func:`advtool.arguments.fraction`; None: by type.
        needs: another setting, and the values of it with which this one has an effect; None: it always has one.
        check: takes how a message begins and a value, and gives the value or refuses it; None: by type.
        option: the option's name, if the field's name does not give it.
        names: gives the names that a shell offers as the value; None: it offers none. It may import what is heavy.
    """

    help: str
    metavar: str | None = None
    panel: str | None = None
    default: str | None = None
    least: int = 1
    most: int = LARGEST_COUNT
    read: Callable[[str, str], Any] | None = None
    needs: Need | None = None
    check: Callable[[str, Any], Any] | None = None
    option: str | None = None
    names: Callable[[], list[str]] | None = None


@dataclass(frozen=True)
class Setting:
    """A field of a settings dataclass.

    Attributes:
        name: of the field.
        kind: its type, without None.
        may_be_none: whether its type includes None.
        default: of the field; None where it has none.
        about: what else is known of it.
    """

    name: str
    kind: Any
    may_be_none: bool
    default: Any
    about: About

    @property
    def option(self) -> str:
        """``--pgd-steps`` of ``pgd_steps``."""
        return self.about.option or option_name(self.name)

    def checked(self, label: str, value: Any) -> Any:
        """The value as the setting's type. NumPy's numbers become Python's; a list becomes a tuple.

        Floats are checked for their type alone: the dataclass checks their range.

        Args:
            label: how a message begins, e.g. ``--votes 0: it``.
            value: whatever was given.

        Raises:
            InputError: another type, an unknown name, or an integer out of range.
        """
        if value is None and self.may_be_none:
            return None
        if self.about.check is not None:
            return self.about.check(label, value)
        if get_origin(self.kind) is Literal:
            return arguments.choice(label, value, get_args(self.kind))
        if get_origin(self.kind) is tuple:
            return _names(label, value)
        if self.kind is int:
            return arguments.count(label, value, self.about.least, self.about.most)
        return _CHECKS[self.kind](label, value)


def option_name(setting: str) -> str:
    """``--pgd-steps`` of ``pgd_steps``."""
    return f"--{setting.replace('_', '-')}"


def option_label(setting: str, value: Any) -> str:
    """How a message begins that names the option: ``--pgd-steps 0: it``."""
    return f"{option_name(setting)} {shown(value)}: it"


def settings_of(dataclass_: type[Any]) -> dict[str, Setting]:
    """The settings of a dataclass by name, in the order of its fields."""
    hints = get_type_hints(dataclass_, include_extras=True)
    found = {}
    for field in fields(dataclass_):
        hint = hints[field.name]
        about = next((extra for extra in getattr(hint, "__metadata__", ()) if isinstance(extra, About)), None)
        if about is not None:
            default = None if field.default is MISSING else field.default
            found[field.name] = Setting(field.name, *_without_none(get_args(hint)[0]), default, about)
    return found


def checked(
    dataclass_: type[Any], given: Mapping[str, Any], label: Callable[[str, Any], str] = option_label
) -> dict[str, Any]:
    """The values given by name, each as the type of its setting.

    Args:
        dataclass_: holds the settings.
        given: by name, some of the settings.
        label: makes the beginning of a message of a setting's name and value.

    Raises:
        InputError: there is no such setting, or :meth:`Setting.checked` refuses the value.
    """
    known = settings_of(dataclass_)
    for name in given:
        if name not in known:
            raise InputError(f"unknown setting '{name}'{near_match(name, known)}")
    return {name: known[name].checked(label(name, value), value) for name, value in given.items()}


def with_settings(dataclass_: type[Any], *, optional: bool = False) -> Callable[[Function], Function]:
    """Name the settings in the signature and the docstring of a function that takes them as ``**settings``.

    Args:
        dataclass_: holds the settings.
        optional: show None as the default of each: without a value something else decides, such as a recipe.
    """
    settings = settings_of(dataclass_)

    def decorate(function: Function) -> Function:
        signature = inspect.signature(function)
        own = [one for one in signature.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
        named = [_parameter(setting, optional) for setting in settings.values()]
        setattr(function, "__signature__", signature.replace(parameters=[*own, *named]))  # noqa: B010
        lines = (f"    {setting.name}: {setting.about.help}" for setting in settings.values())
        function.__doc__ = "\n".join([inspect.getdoc(function) or "", "", "Settings:", *lines])
        return function

    return decorate


def _parameter(setting: Setting, optional: bool) -> inspect.Parameter:
    default = None if optional else setting.default
    annotation = setting.kind | None if optional or setting.may_be_none else setting.kind
    return inspect.Parameter(setting.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _without_none(hint: Any) -> tuple[Any, bool]:
    """The type without None, and whether None was part of it."""
    kinds = get_args(hint)
    if NoneType not in kinds:
        return hint, False
    return next(kind for kind in kinds if kind is not NoneType), True


def _number(label: str, value: Any) -> float:
    number = value if isinstance(value, float) else arguments.number(value)  # NaN fails every check of a range
    if number is None:
        raise InputError(f"{label} must be a number")
    return float(number)


def _text(label: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InputError(f"{label} must be text")
    return value


def _names(label: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(name, str) for name in value):
        raise InputError(f"{label} must be a list of names")
    return tuple(value)


_CHECKS: dict[type, Callable[[str, Any], Any]] = {
    float: _number,
    bool: arguments.flag,
    str: _text,
    Path: arguments.path,
}
