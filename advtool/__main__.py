"""``python -m advtool``."""

from advtool.cli import main

if __name__ == "__main__":
    main()
