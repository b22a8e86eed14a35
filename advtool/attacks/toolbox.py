"""ART, the Adversarial Robustness Toolbox. It is imported here alone, after its configuration is whole.

At its first import in a home ART makes ``~/.art/config.json``: it looks whether there is one, opens it, and fills it. A
process that imports ART meanwhile, such as another rank of torchrun, ends in a traceback or goes on without a setting.
"""

import json
import os
from contextlib import suppress
from pathlib import Path

from advtool.errors import InputError
from advtool.files import write_atomically

DATA = "ART_DATA_PATH"
"""The one setting of ART's first configuration: where it keeps the data that it downloads."""


def _make_configuration() -> None:
    """Write what ART would write, whole or not at all. Where nobody may write, ART goes on without."""
    home = os.path.expanduser("~")  # noqa: PTH111 - as ART finds it
    folder = Path(home if os.access(home, os.W_OK) else "/tmp") / ".art"
    file = folder / "config.json"
    with suppress(OSError, InputError):
        try:
            json.loads(file.read_bytes())
        except (FileNotFoundError, ValueError):  # a process that was killed may have left it empty
            write_atomically(file, json.dumps({DATA: str(folder / "data")}, indent=4).encode())


_make_configuration()

from art.attacks import evasion  # noqa: E402
from art.attacks.attack import EvasionAttack  # noqa: E402
from art.estimators.classification import PyTorchClassifier  # noqa: E402
from art.exceptions import EstimatorError  # noqa: E402

__all__ = ["EstimatorError", "EvasionAttack", "PyTorchClassifier", "evasion"]
