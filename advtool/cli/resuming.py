"""``--resume RUN``: a run's own options are the defaults of the command that goes on with it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from advtool.cli import config_file
from advtool.cli.app import WRITTEN
from advtool.cli.subject_options import SUBJECT_OPTIONS, settings_options
from advtool.errors import InputError

if TYPE_CHECKING:
    from advtool.evaluation.command import Command

NOTED = frozenset(
    {*SUBJECT_OPTIONS, *settings_options(), "surrogate", "surrogate_weights", "save_adversarial", "device"}
)
"""The parameters of ``advtool eval`` that say what is evaluated and how. Where the answer goes is asked anew."""


def written(ctx: Any) -> dict[str, Any]:
    """What a run notes of the command: its options as they were written, or as a file of options or a run gave them.

    Defaults and environment variables are left out.

    Args:
        ctx: the context of ``advtool eval``.
    """
    values = {}
    for param in _noted(ctx):
        value, source = param.consume_value(ctx, ctx.meta[WRITTEN])
        if source.name in config_file.NAMED_BY_THE_USER:
            key = config_file.key_of(param).replace("_", "-")
            values[key] = list(value) if isinstance(value, tuple) else value
    return values


def load(ctx: Any, _param: Any, run: Path | None) -> Path | None:
    """Take the options of a run as the defaults of the command, as the callback of the option ``--resume``.

    Raises:
        InputError: the folder holds no run that the command line can go on with.
    """
    if run is None or ctx.resilient_parsing:
        return run
    command = _command(run)
    given = {name: value for name, value in command.options.items() if name not in command.to_name_again}
    label = f"--resume '{run}': in its command.json "
    ctx.default_map = config_file.defaults(_noted(ctx), given, lambda key: f"{label}{key}") | {"run_dir": str(run)}
    return run


def check(ctx: Any, run: Path) -> None:
    """Refuse options that do not go with ``--resume``, and a command that lacks what must be named again.

    Whether the other options agree with the run is seen when it goes on.

    Raises:
        InputError: the line tells what to leave out, or the command with what must be named again.
    """
    given = ctx.params
    if given["config"] is not None:
        raise InputError(f"--resume '{run}' has the run's own options: leave out --config '{given['config']}'")
    if given["run_dir"] != run:
        raise InputError(f"--resume '{run}' and --run-dir '{given['run_dir']}' together: name the run once")
    if given["seeds"] > 1:
        raise InputError(f"--resume '{run}' goes on with one run: leave out --seeds {given['seeds']}")
    command = _command(run)
    parameters = {config_file.key_of(param).replace("_", "-"): param.name for param in _noted(ctx)}
    for name in command.to_name_again:
        if not given[parameters[name]]:
            raise InputError(
                f"--resume '{run}': a run's folder alone does not say which code runs here, or where something is "
                f"written; if you trust it: {command.again(str(run))}"
            )


@contextmanager
def paths_of(run: Path | None) -> Iterator[None]:
    """Tell where the paths of a resumed run start, if something is missing."""
    try:
        yield
    except InputError as error:
        if run is None:
            raise
        raise InputError(f"{error} (the paths of run '{run}' start in the folder where it was begun)") from None


def _command(run: Path) -> "Command":
    from advtool.evaluation import command
    from advtool.evaluation.manifest import MANIFEST

    if not (run / MANIFEST).is_file():
        what = "holds no run" if run.is_dir() else "is no folder"
        raise InputError(f"--resume '{run}' {what}: 'advtool runs' lists the runs in a folder")
    found = command.read(run)
    if found is None:
        raise InputError(
            f"--resume '{run}': it was begun in Python, by a sweep or by an older version: "
            "what began it goes on with it"
        )
    return found


def _noted(ctx: Any) -> Iterable[Any]:
    return [param for param in ctx.command.params if param.name in NOTED]


Resume = Annotated[
    Path | None,
    typer.Option(
        "--resume",
        metavar="RUN",
        is_eager=True,
        callback=load,
        help="Go on with the run in this folder, with its own options. 'advtool runs' lists runs.",
    ),
]
