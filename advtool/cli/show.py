"""``advtool show``: the card of a checkpoint."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class CardFormat(StrEnum):
    """How the card is written."""

    table = "table"
    json = "json"


def show(
    checkpoint: Annotated[Path, typer.Argument(help="A file that 'advtool train' wrote.")],
    output_format: Annotated[CardFormat, typer.Option("--format", help="How to write it.")] = CardFormat.table,
) -> None:
    """Print a checkpoint's card: what the model is, how it was trained, what was measured on the way.

    Its figures were measured on the validation set during training;
    how robust the model is, [bold]advtool eval[/] tells.
    """
    from rich.console import Console

    from advtool.checkpoints import read_header
    from advtool.report import card

    header = read_header(checkpoint)
    if output_format is CardFormat.json:
        typer.echo(card.as_json(header))
    else:
        terminal = sys.stdout.isatty()
        console = Console() if terminal else Console(width=80, force_terminal=False, color_system=None)
        console.print(card.as_table(header, checkpoint.name))
