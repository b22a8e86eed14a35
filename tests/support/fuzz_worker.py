"""A process that runs many commands, one after the other: a line of JSON in, a line of JSON out.

It is a process of its own so that its parent sees a crash and can end a command that hangs.
"""

import contextlib
import io
import json
import os
import resource
import sys
import time
import traceback
from typing import Any

MEMORY = 6 * 2**30


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.environ["ADVTOOL_DEBUG"] = "1"  # what would end with code 70 raises
    os.environ["COLUMNS"] = "80"
    from advtool.cli import _run

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for line in sys.stdin:
        asked = json.loads(line)
        answers.write(json.dumps(answer(_run, asked["arguments"], asked["folder"])) + "\n")
        answers.flush()


def answer(run: Any, arguments: list[str], folder: str) -> dict[str, Any]:
    os.chdir(folder)
    sys.argv = ["advtool", *arguments]
    out, err, fault, code = io.StringIO(), io.StringIO(), None, 70
    started = time.monotonic()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = run()
        except BaseException:
            fault = traceback.format_exc()
    seconds = time.monotonic() - started
    return {"code": code, "out": out.getvalue(), "err": err.getvalue(), "fault": fault, "seconds": seconds}


if __name__ == "__main__":
    main()
