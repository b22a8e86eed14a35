"""Errors that a user's model raises become one line that blames the model, not advtool."""

from collections.abc import Iterator
from contextlib import contextmanager

from advtool.errors import InputError, is_out_of_memory, reason


@contextmanager
def blaming(what: str) -> Iterator[None]:
    """Run code of a user's model, and turn its errors into an :class:`InputError`.

    Out-of-memory errors and Ctrl-C pass unchanged.

    Args:
        what: the beginning of the message, e.g. ``the model fails on a batch of (8, 3, 32, 32)``.

    Raises:
        InputError: the model raised an error, or tried to end the program.
    """
    try:
        yield
    except InputError:
        raise
    except SystemExit as error:
        raise InputError(f"{what}: it tries to end the program (sys.exit)") from error
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise InputError(f"{what}: {reason(error)}") from error
