"""Options that several commands share. They are declared once, and a command gets them in one argument."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, get_args, get_origin

import typer

from advtool.settings import Setting, settings_of

Command = Callable[..., None]


def gathering(
    argument: str, options: Mapping[str, Any], make: Callable[..., Any] = dict
) -> Callable[[Command], Command]:
    """Give a command these options. It receives their values in one ``argument``.

    Args:
        argument: the name of the command's argument. The help shows the options in its place.
        options: by name, ``Annotated[type, typer.Option(...)]``, or a pair of this and a default.
        make: makes the argument's value; it gets the options as keyword arguments.
    """

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def run(**given: Any) -> None:
            chosen = {name: _plain(given.pop(name)) for name in options}
            command(**given, **{argument: make(**chosen)})

        run.__signature__ = inspect.Signature(_parameters(command, argument, options))  # type: ignore[attr-defined]
        return run

    return decorate


def options_of(
    dataclass_: type[Any],
    *,
    optional: bool = False,
    defaults: Mapping[str, str] | None = None,
    panels: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The options of a settings dataclass (:mod:`advtool.settings`), for :func:`gathering`.

    ::

        @gathering("settings", options_of(Settings), Settings)
        def command(*, settings: Settings) -> None: ...

    A bool is a flag without a ``--no-`` form; one that may be None has that form, and is None if neither is given. A
    tuple of names is an option that may be repeated. The dataclass checks the bounds of a number, so that an option and
    a keyword argument are refused with the same words.

    Args:
        dataclass_: holds the settings.
        optional: an option that is not given is None, and something else decides, such as a recipe. The help shows
            the dataclass's default.
        defaults: by name, words for the help that say what holds without the option. The dataclass's own words win.
        panels: by a heading of the dataclass, the heading that the help shows instead.
    """
    return {
        name: _option(setting, optional, (defaults or {}).get(name), panels or {})
        for name, setting in settings_of(dataclass_).items()
    }


def _option(setting: Setting, optional: bool, words: str | None, panels: Mapping[str, str]) -> tuple[Any, Any]:
    about, kind = setting.about, setting.kind
    words = about.default or words
    is_repeated = get_origin(kind) is tuple
    is_flag = kind is bool and not setting.may_be_none
    default = None if optional or words else list(setting.default) if is_repeated else setting.default
    if words is None and optional and setting.default not in (None, ()):
        words = f"{setting.default:g}" if isinstance(setting.default, float) else str(setting.default)
    option = typer.Option(
        f"{setting.option}/{_negated(setting.option)}" if kind is bool and not is_flag else setting.option,
        parser=about.read and functools.partial(_read, about.read, setting.option),
        autocompletion=about.names,
        metavar=about.metavar,
        rich_help_panel=about.panel and panels.get(about.panel, about.panel),
        help=about.help,
        show_default=True if words is None or is_flag else words,
    )
    if is_flag:
        return _annotated(bool, option), False
    kind = list[str] if is_repeated else kind
    return _annotated(kind if default is not None else kind | None, option), default


def _negated(option: str) -> str:
    """``--no-certify`` of ``--certify``."""
    return option.replace("--", "--no-", 1)


def _read(read: Callable[[str, str], Any], option: str, value: Any) -> Any:
    """The value of an option. Typer also hands over its default, which is no text."""
    return read(option, value) if isinstance(value, str) else value


def _plain(value: Any) -> Any:
    """The values of a repeated option as a tuple, since Typer gives a list."""
    return tuple(value) if isinstance(value, list) else value


def _annotated(kind: Any, option: Any) -> Any:
    annotated: Any = Annotated
    return annotated[kind, option]


def _parameters(command: Command, argument: str, options: Mapping[str, Any]) -> list[inspect.Parameter]:
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        if parameter.name == argument:
            parameters += [_parameter(name, option) for name, option in options.items()]
        else:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
    return parameters


def _parameter(name: str, option: Any) -> inspect.Parameter:
    annotation, default = option if isinstance(option, tuple) else (option, None)
    if default is None and get_args(annotation)[0] is bool:
        default = False
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
