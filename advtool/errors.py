"""What goes wrong in words: one line that names the input and what would be right."""

from collections.abc import Iterable


class InputError(ValueError):
    """A bad option, file or model. The command line prints the message as it is and exits with 2."""


def near_match(name: str, known: Iterable[str]) -> str:
    """`` (did you mean 'pgd'?)``, or the list of what is known when nothing is near."""
    import difflib  # noqa: PLC0415 - only when something is wrong

    options = sorted(known)
    close = difflib.get_close_matches(name.lower(), options, n=1, cutoff=0.6)
    return f" (did you mean '{close[0]}'?)" if close else f" (known: {', '.join(options)})"
