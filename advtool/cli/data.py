"""``advtool data``: which data sets there are, and fetching them."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from advtool.cli.group import Group
from advtool.cli.options import DataDir

if TYPE_CHECKING:
    from rich.table import Table

    from advtool.data import Entry

app = typer.Typer(cls=Group, no_args_is_help=True, help="List the data sets and fetch them.")

LIST_EPILOG = "Example:  advtool data list --format json | jq '.[] | select(.cached) | .name'"
FETCH_EPILOG = "Example:  advtool data fetch cifar10 --data-dir data"


class ListFormat(StrEnum):
    """How ``advtool data list`` prints."""

    TABLE = "table"
    JSON = "json"


@app.command("list", epilog=LIST_EPILOG)
def list_(
    data_dir: DataDir = None,
    format_: Annotated[ListFormat, typer.Option("--format", help="How to print the list.")] = ListFormat.TABLE,
) -> None:
    """Show every data set that has a name: its size, whether it is cached, where it comes from.

    Your own data need no name: give '--dataset' the path of an .npz file or of a folder.
    """
    from rich.console import Console

    from advtool.data import available, cache_dir

    entries = available(data_dir)
    if format_ is ListFormat.JSON:
        typer.echo(_json(entries))
        return
    typer.echo(f"Cache: {cache_dir(data_dir)}", err=True)
    Console().print(_table(entries))


@app.command(epilog=FETCH_EPILOG)
def fetch(
    name: Annotated[str, typer.Argument(help="A name that 'advtool data list' shows.", show_default=False)],
    data_dir: DataDir = None,
) -> None:
    """Download a data set unless it is cached, and print where it lies."""
    from advtool.data import fetch as fetch_

    typer.echo(fetch_(name, data_dir))


def _json(entries: "list[Entry]") -> str:
    import json
    from dataclasses import asdict

    return json.dumps([asdict(entry) for entry in entries], indent=2, default=str)


def _table(entries: "list[Entry]") -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("Data set", "Train", "Test", "Shape", "Cached", "Source", "Licence"):
        table.add_column(heading, justify="right" if heading in ("Train", "Test") else "left")
    for entry in entries:
        table.add_row(
            entry.name,
            str(entry.train),
            str(entry.test),
            "x".join(map(str, entry.shape)),
            "no" if entry.cached is None else "yes",
            entry.source,
            entry.licence,
        )
    return table
