"""Of several processes that start the same run, one begins it. The others wait, and go on with it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from advtool import locks
from advtool.evaluation.manifest import MANIFEST, read_begun
from advtool.evaluation.run import CLAIMS
from advtool.files import refuse_links

BEGIN = "begin"
"""The claim of the process that begins the run."""


@contextmanager
def beginning(folder: Path | None, waits: Callable[[], None]) -> Iterator[None]:
    """Begin the run in the context alone, or after another process has begun it.

    Args:
        folder: of the run; None: it is in memory, and nobody shares it.
        waits: is called again and again while another process begins it.

    Raises:
        InputError: nobody may write there, or the folder holds something else.
    """
    if folder is None:
        yield
        return
    refuse_links(folder)
    if read_begun(folder) is not None:
        yield
        return
    is_new = not folder.exists()
    with locks.alone(folder / CLAIMS / BEGIN, waits=waits):
        if read_begun(folder) is None:
            try:
                yield
            finally:
                if is_new:
                    _remove_empty(folder)
            return
    yield


def _remove_empty(folder: Path) -> None:
    """Leave no folder behind if the run was not begun, since the model or an option was refused."""
    if not (folder / MANIFEST).exists():
        with suppress(OSError):
            (folder / CLAIMS / BEGIN).unlink()
            (folder / CLAIMS).rmdir()
            folder.rmdir()
