"""The program ``advtool``, and ``python -m advtool``."""

import os
import signal
import sys


def main() -> None:
    """Run the command line. A signal during its imports ends it as later ones do."""
    _open_closed_streams()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so a scheduler's end is like Ctrl-C
    try:
        from advtool import cli  # noqa: PLC0415 - it takes a while, in which Ctrl-C may come
    except KeyboardInterrupt:
        print("advtool: interrupted", file=sys.stderr)
        sys.exit(130)
    cli.main()


def _open_closed_streams() -> None:
    """What goes to a stream that the caller closed, as with ``>&-``, goes nowhere.

    Each takes the lowest free descriptor, its own. Else a file of a run would be number 1 or 2.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            number = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(number, True)
            setattr(sys, name, os.fdopen(number, mode, errors="backslashreplace"))


if __name__ == "__main__":
    main()
