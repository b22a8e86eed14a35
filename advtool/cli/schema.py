"""``advtool schema``: the shape of the JSON that advtool writes."""

import json
from typing import Annotated

import typer

EPILOG = """
[bold]Examples[/bold]

Which results have a schema?  [cyan]advtool schema --list[/cyan]

Check a result with any JSON Schema validator, e.g. check-jsonschema:
[cyan]advtool schema eval > eval.schema.json[/cyan]
[cyan]advtool eval --format json --output result.json[/cyan]
[cyan]check-jsonschema --schemafile eval.schema.json result.json[/cyan]
"""


def _names() -> list[str]:
    from advtool.results.schema import documents

    return list(documents())


def schema(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            autocompletion=_names,
            help="A result, such as eval, compare or sweep.",
            show_default="all results in one schema",
        ),
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="Print the names of the results instead.")] = False,
) -> None:
    """Print the JSON Schema of the results, to check or to read what '--format json' writes.

    A document names its kind itself: the key "schema" of an evaluation is "advtool.eval/1". Within a version, keys are
    added and never changed.
    """
    from advtool.results.schema import documents, json_schema

    if list_:
        typer.echo("\n".join(documents()))
    else:
        typer.echo(json.dumps(json_schema(name), indent=2))
