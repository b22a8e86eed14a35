"""Run code of the user: put back what it changes in the process, and report its errors in one line."""

import io
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout
from pathlib import Path

import torch

from advtool import seeding
from advtool.errors import InputError, in_words, is_out_of_memory

CPU = torch.device("cpu")
OWN_FOLDER = Path(__file__).parents[2]


@contextmanager
def surroundings() -> Iterator[None]:
    """Run the user's code under fixed random streams, and put the process's settings back afterwards.

    These are the global generators, torch's default dtype, default device, gradient mode, thread count and determinism,
    and the working folder. What the code prints goes to stderr, because stdout is for the answer alone.
    """
    with prints_to_stderr(), seeding.global_streams(CPU, 0, "model"), _settings_put_back():
        yield


@contextmanager
def prints_to_stderr() -> Iterator[None]:
    """Send to stderr what Python code, its libraries and its child processes print to stdout."""
    if sys.stdout is not None:
        sys.stdout.flush()
    try:
        stdout = os.dup(1)
    except OSError:  # the process has no stdout
        stdout = None
    try:
        with redirect_stdout(sys.stderr):
            if stdout is not None:
                os.dup2(2, 1)
            yield
    finally:
        if stdout is not None:
            os.dup2(stdout, 1)
            os.close(stdout)


@contextmanager
def quietly() -> Iterator[None]:
    """Drop what a library prints and logs, such as progress and retries."""
    disabled_before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(disabled_before)


@contextmanager
def one_line(what: str, hint: Callable[[BaseException], str] = lambda _: "") -> Iterator[None]:
    """Turn an error of the user's code into an :class:`InputError` that names file, line number and error.

    Ctrl-C and out-of-memory errors pass unchanged.

    Args:
        what: the beginning of the message, e.g. ``calling 'net.py:make' failed``.
        hint: takes the error and gives the end of the message.

    Raises:
        InputError: the code raised an error, or tried to end the program.
    """
    try:
        yield
    except (InputError, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # SystemExit too: scripts may parse arguments when they are imported
        if is_out_of_memory(error):
            raise
        raise InputError(f"{what}{_place(error)}: {in_words(error)}{hint(error)}") from error


def is_users_own(file: str) -> bool:
    """Whether a source file belongs to the user, instead of an installed package, the standard library or advtool."""
    path = Path(file)
    if not path.is_file() or {"site-packages", "dist-packages"} & set(path.parts):
        return False
    return not any(path.is_relative_to(folder) for folder in (Path(os.__file__).parent, OWN_FOLDER))


def _place(error: BaseException) -> str:
    """The last line of the user's own code that ran before the error, as `` (net.py, line 3)``; "" if there is none."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" ({_shown(error.filename)}, line {error.lineno})"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if is_users_own(frame.filename)]
    return f" ({_shown(frames[-1].filename)}, line {frames[-1].lineno})" if frames else ""


def _shown(file: str) -> str:
    """The path from the working folder, if the file lies in it; otherwise the whole path."""
    path = Path(file)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


@contextmanager
def _settings_put_back() -> Iterator[None]:
    folder, dtype, threads = Path.cwd(), torch.get_default_dtype(), torch.get_num_threads()
    device, deterministic = torch.get_default_device(), torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.set_default_dtype(torch.float32)
    try:
        with torch.enable_grad(), torch.inference_mode(mode=False), nullcontext() if device == CPU else CPU:
            yield
    finally:
        os.chdir(folder)
        torch.set_default_dtype(dtype)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        if torch.get_default_device() != device:
            torch.set_default_device(None if device == CPU else device)
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
