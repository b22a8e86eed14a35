"""``advtool models``: what may stand after ``--arch``, and for MODEL."""

from advtool.cli.answer import FormatName, answer

EPILOG = """
[bold]Examples[/bold]

[cyan]advtool models[/cyan]

Which kinds of MODEL need something that is not installed?
[cyan]advtool models --format json | jq '.kinds\\[] | select(.installed | not)'[/cyan]
"""


def models(format: FormatName = "table") -> None:
    """List the architectures that advtool trains, and the kinds of models that it opens.

    Of each kind of MODEL it tells how to write it, where its weights come from, and whether the extra that it needs is
    installed.
    """
    from advtool.target.opening.catalogue import catalogue

    answer(catalogue(), format)
