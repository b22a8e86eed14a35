"""Errors that a user's model raises become one line that blames the model, not advtool."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from advtool.errors import InputError, is_out_of_memory, reason

FEW = 2
"""Images that a model of any batch size takes."""


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


@contextmanager
def blaming_batch(model: nn.Module, x: Tensor) -> Iterator[None]:
    """As :func:`blaming`, for a call of ``model`` with the images ``x``. If it takes a few of them, that is told.

    Raises:
        InputError: as of :func:`blaming`.
    """
    try:
        with blaming(f"the model fails on a batch of {tuple(x.shape)}"):
            yield
    except InputError as error:
        if len(x) <= FEW or not _takes(model, x[:FEW]):
            raise
        raise InputError(
            f"{error}; with {FEW} images it works, but it must take batches of any size: split larger ones inside the "
            "model, e.g. torch.cat([net(part) for part in x.split(32)])"
        ) from error.__cause__


def _takes(model: nn.Module, x: Tensor) -> bool:
    try:
        model(x)
    except Exception:  # it fails for another reason than the size
        return False
    return True
