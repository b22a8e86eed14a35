"""What goes wrong in words: one line that names the input and what would be right."""

from collections.abc import Iterable

MOST_LISTED = 20


class InputError(Exception):
    """A bad option, file or model. The command line prints the message as it is and exits with 2."""


def near_match(name: str, known: Iterable[str]) -> str:
    """`` (did you mean 'pgd'?)``, or the list of what is known when nothing is near."""
    import difflib  # noqa: PLC0415 - only when something is wrong

    options = sorted(known)
    close = difflib.get_close_matches(name.lower(), options, n=1, cutoff=0.6)
    if close:
        return f" (did you mean '{close[0]}'?)"
    return f" (known: {', '.join(options)})" if 0 < len(options) <= MOST_LISTED else ""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device ran out of memory: torch's CPU allocator and cuBLAS raise plain RuntimeErrors."""
    import torch  # noqa: PLC0415 - only when something is wrong

    words = ("allocate memory", "ALLOC_FAILED")
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(word in str(error) for word in words)


def reason(error: BaseException) -> str:
    """What an error of code that is not ours says, in one line: its first, or of TorchScript its last."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    return lines[-1] if "TorchScript" in str(error) else lines[0]
