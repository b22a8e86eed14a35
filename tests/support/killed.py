"""Kills ``advtool eval`` again and again, lets it go on, and reports: ``FOLDER CHECKPOINT KILLS``.

Each command is a fork of this process, which has imported everything, so that twenty of them take a minute. A command
that ends before its moment does not count as killed.
"""

import json
import os
import random
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from advtool import cli
from tests.support.sharing import command_line, in_shards_of

WRITES = 6
"""The kill lies inside the first, second, ... write of a shard."""

Files = dict[str, tuple[int, int]]


def command(checkpoint: str, run: Path, before: Callable[[], None] = lambda: None) -> int:
    """Start the command on ``run``; its answer goes to a file beside it. Gives its process id."""
    if child := os.fork():
        return child
    before()
    answer = os.open(run.with_suffix(".json"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(answer, 1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    sys.argv = command_line(checkpoint, str(run))
    try:
        cli.main()
    except SystemExit as left:
        sys.stdout.flush()
        os._exit(int(left.code or 0))
    os._exit(70)


def finished(run: Path) -> Files:
    """The shards that are whole, and what tells whether they are written again."""
    shards = run / "shards"
    paths = [path for path in shards.iterdir() if path.suffix == ".json"] if shards.is_dir() else []
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in paths}


def killing_in_write(number: int, run: Path) -> Callable[[], None]:
    """Kill this process in the middle of the ``number``-th write of a shard: the file is there under another name."""

    def prepare() -> None:
        sync, writes = os.fsync, Counter[str]()

        def fsync(descriptor: int) -> None:
            written = os.fstat(descriptor)
            if any(os.path.samestat(written, path.stat()) for path in (run / "shards").glob(".*")):
                writes["shard"] += 1
                if writes["shard"] == number:
                    os.kill(os.getpid(), signal.SIGKILL)
            sync(descriptor)

        os.fsync = fsync

    return prepare


def timeless(text: str) -> str:
    """A JSON document byte for byte, with a 0 for each number of seconds."""
    return re.sub(r'("seconds": )[0-9.e+-]+', r"\g<1>0", text)


def main() -> None:
    """Compare every resumed run with one that nothing stopped."""
    folder, checkpoint, kills = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    in_shards_of(25)
    started = time.monotonic()
    assert os.waitpid(command(checkpoint, folder / "whole"), 0)[1] == 0
    seconds, draws, report = time.monotonic() - started, random.Random(0), Counter[str]()
    expected = timeless((folder / "whole.json").read_text())
    moments = [draws.uniform(0, seconds) for _ in range(kills)]
    for number, moment in enumerate([*moments, *[None] * WRITES]):
        run = folder / f"run-{number}"
        if moment is None:
            child = command(checkpoint, run, killing_in_write(number - kills + 1, run))
        else:
            child = command(checkpoint, run)
            time.sleep(moment)
            os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        report["killed" if moment is not None else "in a write of a shard"] += os.WIFSIGNALED(status)
        before = finished(run)
        report["runs"] += 1
        report["resumed"] += os.waitpid(command(checkpoint, run), 0)[1] == 0
        after = finished(run)
        report["lost"] += len(before.keys() - after.keys())
        report["written twice"] += sum(after[name] != file for name, file in before.items())
        answer = run.with_suffix(".json").read_text()
        report["different answers"] += timeless(answer) != expected
    names = ("runs", "resumed", "killed", "in a write of a shard", "different answers", "written twice", "lost")
    print(json.dumps({name: report[name] for name in names}))


if __name__ == "__main__":
    main()
