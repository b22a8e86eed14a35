"""One voice on stderr: progress, notes and errors go there, so that stdout is the answer alone."""

from rich.console import Console

STDERR = Console(stderr=True, highlight=False, soft_wrap=True)


def say(message: str) -> None:
    """One line for the user, on stderr."""
    STDERR.print(f"advtool: {message}", markup=False)
