"""Progress, notes and errors go to stderr, so that stdout holds the answer alone."""

from rich.console import Console

STDERR = Console(stderr=True, highlight=False, soft_wrap=True)


def say(message: str) -> None:
    """Tell the user one line, on stderr."""
    STDERR.print(f"advtool: {message}", markup=False)
