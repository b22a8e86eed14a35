"""How a run tells what it is doing, to whoever wants to draw it."""

from collections.abc import Sequence

from advtool.results import Check


class Observer:
    """Hears of a run's progress and does nothing; the command line draws bars instead."""

    def point(self, name: str, number: int, costs: Sequence[float]) -> None:
        """Point ``number`` (from 0) of a sweep begins, e.g. ``eps 0.1``; ``costs`` of all points are relative."""

    def note(self, message: str) -> None:
        """Something the user should know: a resumed run, a halved batch."""

    def understood(self, check: Check) -> None:
        """What is understood of the model and the data, before the attacks begin."""

    def start(self, stage: str, images: int) -> None:
        """``stage`` (clean, or an attack's name) begins on that many images."""

    def advance(self, stage: str, done: float, standing: int) -> None:
        """``done`` images (parts of a shard count) are through; ``standing`` have not fallen in this stage."""

    def finish(self, stage: str, standing: int) -> None:
        """``stage`` is over."""
