"""Prints the answer of a training on stdout: the path of its checkpoint."""

from pathlib import Path

import typer

from advtool.checkpoints import Header
from advtool.ranks import Ranks
from advtool.training import Observer


class TrainingAnswer(Observer):
    """Prints the path of the checkpoint as soon as it is there.

    Not later: a rank that dies at the end has torchrun start all of them again, and then the path must be printed once.

    Args:
        output: where the checkpoint goes.
        ranks: the processes that train together.
    """

    def __init__(self, output: Path, ranks: Ranks) -> None:
        self._output, self._ranks = output, ranks

    def finished(self, header: Header) -> None:
        del header
        typer.echo(self._output)

    def nothing_left(self, output: Path) -> None:
        if self._ranks.restarts == 0:  # otherwise it was printed before the restart
            typer.echo(output)
