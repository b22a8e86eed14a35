"""Options that several commands share: declared once, handed over in one argument."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, get_args

Command = Callable[..., None]


def gathering(
    argument: str, options: Mapping[str, Any], make: Callable[..., Any] = dict
) -> Callable[[Command], Command]:
    """Give a command these options; it receives them in one ``argument``.

    Args:
        argument: of the command; it stands where the options belong, the positional ones in front.
        options: by name what Typer reads, ``Annotated[type, typer.Option(...)]`` or a pair of that and a default.
        make: of the options as keyword arguments, what the command receives.
    """

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def run(**given: Any) -> None:
            chosen = {name: given.pop(name) for name in options}
            command(**given, **{argument: make(**chosen)})

        run.__signature__ = inspect.Signature(_parameters(command, argument, options))  # type: ignore[attr-defined]
        return run

    return decorate


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
