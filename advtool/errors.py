"""What goes wrong in words: one line that names the input and what would be right."""

from collections.abc import Iterable

MOST_LISTED = 20


class InputError(Exception):
    """A bad option, file or model. The command line prints the message as it is and exits with 2."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`` (did you mean 'pgd'?)``; "" when nothing is near."""
    import difflib  # noqa: PLC0415 - only when something is wrong

    close = difflib.get_close_matches(name.lower(), sorted(known), n=1, cutoff=0.6)
    return f" (did you mean '{close[0]}'?)" if close else ""


def near_match(name: str, known: Iterable[str]) -> str:
    """:func:`did_you_mean`, or the list of what is known when nothing is near."""
    options = sorted(known)
    listed = f" (known: {', '.join(options)})" if 0 < len(options) <= MOST_LISTED else ""
    return did_you_mean(name, options) or listed


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device ran out of memory: torch's CPU allocator, CUDA and its libraries raise plain RuntimeErrors."""
    import torch  # noqa: PLC0415 - only when something is wrong

    words = ("allocate memory", "ALLOC_FAILED", "ALLOCATION_FAILED", "CUDA error: out of memory")
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(word in str(error) for word in words)


def reason(error: BaseException) -> str:
    """What an error of code that is not ours says, in one line: its first, or its last where it tells a traceback, as
    TorchScript and the workers of a loader do.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    tells_traceback = any(word in str(error) for word in ("TorchScript", "Traceback"))
    return lines[-1] if tells_traceback else lines[0]


def in_words(error: BaseException) -> str:
    """The type of an error of code that is not ours, and what it says."""
    if isinstance(error, SystemExit):
        return f"it ends the program (SystemExit {error.code})"
    name, said = type(error).__name__, error.msg if isinstance(error, SyntaxError) else reason(error)
    return name if said == name else f"{name}: {said}"
