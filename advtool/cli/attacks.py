"""``advtool attacks``: what may stand after ``--attack``."""

from typing import Annotated

import typer

from advtool.cli.answer import FormatName, answer
from advtool.evaluation.settings import Settings
from advtool.settings import settings_of

EPILOG = """
[bold]Examples[/bold]

What attacks are there?  [cyan]advtool attacks[/cyan]

The parameters of one, and the paper it is from:  [cyan]advtool attacks pgd[/cyan]

What does the audit run, and on which images?  [cyan]advtool attacks audit[/cyan]

An attack of ART:  [cyan]advtool attacks art:SquareAttack[/cyan]
"""


def attacks(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            autocompletion=settings_of(Settings)["attacks"].about.names,
            help="An attack, a suite or art:CLASS. Parameters after it change nothing.",
            show_default="all, a line each",
        ),
    ] = None,
    format: FormatName = "table",
) -> None:
    """List the attacks and suites, or tell the parameters and the source of one.

    What it shows is what '--attack' of [bold]advtool eval[/] takes, as NAME or as "NAME(parameter=value, ...)".
    """
    from advtool.attacks.catalogue import catalogue

    answer(catalogue(name), format)
