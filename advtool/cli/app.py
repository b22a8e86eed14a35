"""The application, its groups and its commands: what all of them share is here."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from advtool.cli import config_file
from advtool.cli.answer import refuse_replaced_files
from advtool.cli.help_page import help_page
from advtool.cli.progress import quietly
from advtool.errors import InputError
from advtool.ranks import Ranks

Function = Callable[..., Any]

WRITTEN = "advtool.written"
"""Where a command's context keeps the values of options as they were written, by parameter."""


class Command(TyperCommand):
    """A command whose help is laid out by :func:`help_page`."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _with_false_flags(super().get_params(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.meta[WRITTEN] = self.make_parser(ctx).parse_args([*args])[0]
        for param in self.params:
            _refuse_empty(param, ctx.meta[WRITTEN].get(param.name))
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            refuse_replaced_files(ctx.params)
            return super().invoke(ctx)
        except InputError as error:
            error.args = (self._naming_the_option(str(error)),)
            raise

    def _naming_the_option(self, message: str) -> str:
        """The message with ``--votes 0`` in front instead of ``votes=0``, as Python writes an argument."""
        written = re.match(r"(\w+)(=|: )", message)
        options = {param.name: param.opts[0] for param in self.params if param.opts[0].startswith("--")}
        if written is None or written[1] not in options:
            return message
        return f"{options[written[1]]}{written[2].replace('=', ' ')}{message[written.end() :]}"

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - the formatter is for plain text
        help_page(self, ctx)


class Group(TyperGroup):
    """A group of commands, with the same help."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _with_false_flags(super().get_params(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - the formatter is for plain text
        help_page(self, ctx)


class App(typer.Typer):
    """An application, or a group of commands. Every command of it has ``--quiet``."""

    def __init__(self, **options: Any) -> None:
        super().__init__(cls=Group, no_args_is_help=True, rich_markup_mode="rich", **options)

    def command(  # type: ignore[override]
        self, name: str, *, epilog: str | None = None, takes_config: bool = False
    ) -> Callable[[Function], Function]:
        """Register a function as a command.

        Args:
            name: of the command.
            epilog: what the help ends with, such as examples.
            takes_config: the command has ``--config``, whose file gives values for all its other options.
        """
        register = super().command(name, cls=Command, epilog=epilog)

        def decorate(function: Function) -> Function:
            register(_with_common_options(function, takes_config))
            return function

        return decorate


QUIET = typer.Option("--quiet", "-q", help="Write no progress and no notes on stderr. Errors are still told.")
CONFIG = typer.Option(
    "--config",
    metavar="FILE.toml",
    is_eager=True,
    callback=config_file.load,
    help="Take options from a table of the file that is called like this command. Options given here win.",
)


def _with_common_options(function: Function, takes_config: bool) -> Function:
    """The function as a command that takes the options of all commands too."""

    @functools.wraps(function)
    def run(*, quiet: bool, config: Path | None = None, **given: Any) -> Any:
        del config  # its callback has read the file
        with quietly(quiet or not Ranks.of_environment().is_first):
            return function(**given)

    own = inspect.signature(function, eval_str=True).parameters.values()
    common = [_keyword("quiet", Annotated[bool, QUIET], False)]
    if takes_config:
        common.insert(0, _keyword("config", Annotated[Path | None, CONFIG], None))
    named = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own]
    run.__signature__ = inspect.Signature([*named, *common])  # type: ignore[attr-defined]
    return run


def _refuse_empty(param: Any, written: Any) -> None:
    """Refuse an empty value, as a shell makes of a variable that is not set: as a path it is the present folder.

    Args:
        param: an option or an argument.
        written: its value on the command line, or all of them.

    Raises:
        InputError: a value is empty.
    """
    if "" in (written if isinstance(written, list | tuple) else [written]):
        name = max(param.opts, key=len) if isinstance(param, TyperOption) else param.metavar or str(param.name).upper()
        raise InputError(f"{name} is empty: give it a value, or leave it out")


def _keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


def _with_false_flags(params: list[Any]) -> list[Any]:
    """Make False the default of flags without a ``--no-`` form, such as ``--help``.

    Typer's default is None. To make a bool of it, Typer imports pydantic, half of the time of ``advtool eval --help``.
    """
    for option in params:
        is_switch = isinstance(option, TyperOption) and option.is_flag and not option.secondary_opts
        if is_switch and option.default is None:
            option.default = False
    return params
