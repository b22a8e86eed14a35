"""Waits for what another process does."""

import subprocess
import time
from collections.abc import Callable

LONGEST = 300.0
"""Seconds. Nothing that is waited for takes long, but a machine may be busy."""


def wait_for(condition: Callable[[], object], process: "subprocess.Popen[str] | None" = None) -> None:
    """Until the condition holds; the ``process`` that should bring it about must live."""
    ends = time.monotonic() + LONGEST
    while not condition():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < ends
        time.sleep(0.005)
