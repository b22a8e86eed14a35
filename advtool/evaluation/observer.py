"""The observer: a run tells it about its progress."""

from collections.abc import Sequence
from pathlib import Path

from advtool.arguments import shown
from advtool.errors import InputError
from advtool.results import Check


class Observer:
    """Is told about a run's progress, and does nothing. A subclass shows it, as bars on the command line.

    In the stage ``certified``, ``standing`` counts the images that are proved robust, in ``planted`` those whose
    planted example is found.
    """

    @classmethod
    def of(cls, given: "Observer | None") -> "Observer":
        """The given one, or one that does nothing.

        Raises:
            InputError: it is something else.
        """
        if given is not None and not isinstance(given, Observer):
            raise InputError(f"observer={shown(given)} must be an advtool.evaluation.observer.Observer, or None")
        return cls() if given is None else given

    def point(self, name: str, number: int, costs: Sequence[float]) -> None:
        """Point ``number`` (from 0) of a sweep begins, e.g. ``eps 0.1``. ``costs`` of all points are relative times."""

    def begun(self, folder: Path) -> None:
        """A run begins, or goes on: its folder is there."""

    def note(self, message: str) -> None:
        """Something happened that the user should know: a resumed run, a halved batch."""

    def understood(self, check: Check) -> None:
        """The preflight is over: this is known of the model and the images before the attacks begin."""

    def start(self, stage: str, images: int) -> None:
        """``stage`` (clean, or an attack's label) begins on that many images."""

    def advance(self, stage: str, done: float, standing: int) -> None:
        """``done`` images are through; part of a shard counts as a fraction. ``standing`` images have not fallen."""

    def finish(self, stage: str, standing: int) -> None:
        """``stage`` is over; ``standing`` images have not fallen in it."""

    def shards(self, done: int, shards: int) -> None:
        """``done`` of so many shards have all their stages. The first call tells how many had them before."""

    def waits(self, other: str) -> None:
        """Another process does what this one waits for, such as ``begins this run``. It is told again and again."""
