"""The program ``advtool``, and ``python -m advtool``."""

import signal
import sys


def main() -> None:
    """Run the command line. A signal during its imports ends it as later ones do."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so a scheduler's end is like Ctrl-C
    try:
        from advtool import cli  # noqa: PLC0415 - it takes a while, in which Ctrl-C may come
    except KeyboardInterrupt:
        print("advtool: interrupted", file=sys.stderr)
        sys.exit(130)
    cli.main()


if __name__ == "__main__":
    main()
