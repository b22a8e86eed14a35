"""``advtool data``: lists the data sets and fetches them."""

from typing import Annotated

import typer

from advtool.cli.answer import FormatName, answer
from advtool.cli.app import App
from advtool.cli.options import DataDir, data_sets
from advtool.cli.progress import say

app = App(help="List the data sets and fetch them.")

LIST_EPILOG = "Example:  advtool data list --format json | jq '.[] | select(.cached) | .name'"
FETCH_EPILOG = "Example:  advtool data fetch cifar10 --data-dir data"


@app.command("list", epilog=LIST_EPILOG)
def list_(
    data_dir: DataDir = None,
    format: FormatName = "table",
) -> None:
    """List the data sets: the size of each, whether it is cached, and where it comes from.

    Your own data need no name: give '--dataset' the path of an .npz file or of a folder.
    """
    from advtool.data import available, cache_dir
    from advtool.report.data_sets import DataSets

    if format == "table":
        say(f"the cache is {cache_dir(data_dir)}")
    answer(DataSets(available(data_dir)), format)


@app.command("fetch", epilog=FETCH_EPILOG)
def fetch(
    name: Annotated[
        str, typer.Argument(help="A name that 'advtool data list' shows.", autocompletion=data_sets, show_default=False)
    ],
    data_dir: DataDir = None,
) -> None:
    """Download a data set unless it is cached, and print its path."""
    from advtool.data import fetch as fetch_

    typer.echo(fetch_(name, data_dir))
