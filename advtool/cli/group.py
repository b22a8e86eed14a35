"""A program or a group of commands whose ``COMMAND --help`` is quick."""

from typing import Any

from typer.core import TyperGroup, TyperOption


class Group(TyperGroup):
    """Its own flags, such as ``--help``, are False where they are not given.

    Typer makes them None, and imports pydantic to make a bool of that: half of the time of ``advtool eval --help``.
    """

    def get_params(self, ctx: Any) -> list[Any]:
        params: list[Any] = super().get_params(ctx)
        for option in params:
            if isinstance(option, TyperOption) and option.is_flag and option.default is None:
                option.default = False
        return params
