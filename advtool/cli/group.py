"""A group of commands with a quick ``COMMAND --help``."""

from typing import Any

from typer.core import TyperGroup, TyperOption


class Group(TyperGroup):
    """A group of commands. Its flags without a ``--no-`` form, such as ``--help``, are False by default.

    Typer's default is None. To make a bool of it, Typer imports pydantic, half of the time of ``advtool eval --help``.
    """

    def get_params(self, ctx: Any) -> list[Any]:
        params: list[Any] = super().get_params(ctx)
        for option in params:
            is_switch = isinstance(option, TyperOption) and option.is_flag and not option.secondary_opts
            if is_switch and option.default is None:
                option.default = False
        return params
