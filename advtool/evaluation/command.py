"""The command that began a run: its options, in the run's folder, for ``advtool eval --resume RUN``.

A run's folder may come from a stranger. So some options must stand on the command line again
(:attr:`Command.to_name_again`): nobody's file says which code runs here, or where something is written.
"""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from advtool import documents
from advtool.attacks.registry import ART
from advtool.errors import InputError
from advtool.target.opening.kinds import refer

COMMAND = "command.json"
NAME = re.compile(r"[a-z]+(-[a-z]+)*")
Value = str | bool | list[str]
"""Of an option as it was written: a flag is a bool, an option that repeats a list."""


class Command(BaseModel):
    """The options of ``advtool eval`` that say what is evaluated and how; not where the answer goes."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, strict=True)

    schema_name: Literal["advtool.command/1"] = Field(default="advtool.command/1", alias="schema")
    options: dict[str, Value]
    """by the option's name without the leading dashes; ``model`` is the argument MODEL"""

    @field_validator("options")
    @classmethod
    def _as_written(cls, options: dict[str, Value]) -> dict[str, Value]:
        if not all(NAME.fullmatch(name) for name in options):
            raise ValueError("a name is not spelled as an option is")
        texts = [text for value in options.values() for text in (value if isinstance(value, list) else [value])]
        if not all(text.isprintable() for text in texts if isinstance(text, str)):
            raise ValueError("a text holds control characters")
        return options

    @property
    def model(self) -> str | None:
        """The model as the user named it."""
        named = self.options.get("model", self.options.get("checkpoint"))
        return named if isinstance(named, str) else None

    @property
    def to_name_again(self) -> dict[str, Value]:
        """The options that a run's folder alone does not give: what runs code, or says where something is written."""
        return {name: value for name, value in self.options.items() if _must_be_named(name, value)}

    def again(self, folder: str) -> str:
        """The command that goes on with the run in ``folder``."""
        return _written(["advtool", "eval", "--resume", folder], self.to_name_again)

    def scored(self, folder: str) -> str:
        """The command that scores the run in ``folder``, with this model."""
        return _written(["advtool", "score", folder], self.options)


def write(folder: Path, options: Mapping[str, Value]) -> None:
    """Keep the options in the folder of the run. One with control characters, as a path may have, keeps them all out.

    Raises:
        InputError: nobody may write there.
    """
    try:
        noted = Command(options={name: _in_one_line(value) for name, value in sorted(options.items())})
    except ValidationError:
        return
    documents.write(folder, COMMAND, f"{noted.model_dump_json(by_alias=True, indent=2)}\n")


def read(folder: Path) -> Command | None:
    """The command that began the run; None if the run was begun in Python, or by an older version.

    Raises:
        InputError: the file is damaged.
    """
    try:
        return Command.model_validate(documents.read(folder, COMMAND)) if (folder / COMMAND).exists() else None
    except (ValueError, OSError):
        raise InputError(
            f"run '{folder}': its {COMMAND} is damaged; the command that began it goes on with it"
        ) from None


def _written(words: list[str], options: Mapping[str, Value]) -> str:
    for name, value in options.items():
        for text in value if isinstance(value, list) else [str(value)]:
            words += [text] if name == "model" else [f"--{name}", text]
    return shlex.join(words)


def _in_one_line(value: Value) -> Value:
    """JSON and attacks may be written in several lines."""
    if isinstance(value, list):
        return [text.replace("\n", " ") for text in value]
    return value.replace("\n", " ") if isinstance(value, str) else value


def _must_be_named(name: str, value: Value) -> bool:
    if name in {"model", "surrogate"}:
        return not isinstance(value, str) or _runs_code(value)
    if name == "attack":  # a parameter of ART's may be the path of a log
        return not isinstance(value, list) or any(text.startswith(ART) and "(" in text for text in value)
    return name in {"model-args", "data-dir"}  # arguments of code, and where downloads go


def _runs_code(model: str) -> bool:
    try:
        return refer(model).kind.is_code
    except InputError:
        return True
