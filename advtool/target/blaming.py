"""Errors of a user's model: told in one line, and told from ours."""

from collections.abc import Iterator
from contextlib import contextmanager

from advtool.errors import InputError, is_out_of_memory, reason


@contextmanager
def blaming(what: str) -> Iterator[None]:
    """Around code of a user's model: what it raises ends as one line. Memory that runs out passes, and so does Ctrl-C.

    Args:
        what: the line's beginning, e.g. ``the model fails on a batch of (8, 3, 32, 32)``.

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
