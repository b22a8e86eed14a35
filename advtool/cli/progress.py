"""Progress, notes and errors go to stderr, so that stdout holds the answer alone."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from advtool.printable import printable

LINE_BREAK = "\n"
STDERR = Console(stderr=True, highlight=False, soft_wrap=True)


def say(message: str) -> None:
    """Tell the user one line, on stderr; nothing with ``--quiet``."""
    STDERR.print(f"advtool: {printable(message, keep=LINE_BREAK)}", markup=False)


def complain(message: str) -> None:
    """Tell the user in one line, on stderr, why the exit code is not 0. ``--quiet`` does not silence it."""
    print("advtool: " + printable(" ".join(message.split())), file=sys.stderr)


def has_bars() -> bool:
    """Whether progress is drawn as bars. It is lines where stderr is no terminal, even if FORCE_COLOR is set."""
    return sys.stderr.isatty() and STDERR.is_interactive


@contextmanager
def quietly(quiet: bool) -> Iterator[None]:
    """Silence progress and notes, if ``quiet``."""
    before, STDERR.quiet = STDERR.quiet, quiet
    try:
        yield
    finally:
        STDERR.quiet = before


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
