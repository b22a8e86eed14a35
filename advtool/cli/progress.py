"""Progress, notes and errors go to stderr, so that stdout holds the answer alone."""

import time

from rich.console import Console

STDERR = Console(stderr=True, highlight=False, soft_wrap=True)


def say(message: str) -> None:
    """Tell the user one line, on stderr."""
    STDERR.print(f"advtool: {message}", markup=False)


class Pace:
    """Spaces out the lines of a progress where no terminal shows a bar. It counts from when it was made."""

    def __init__(self) -> None:
        self._said = time.monotonic()

    def due(self, seconds: float) -> bool:
        """Whether the last line is at least that long ago; then the caller says one now."""
        now = time.monotonic()
        if now - self._said < seconds:
            return False
        self._said = now
        return True
