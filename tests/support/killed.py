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
from collections.abc import Callable, Iterator
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


def killed_at_random(kills: int, checkpoint: str, folder: Path, seconds: float) -> Iterator[Path]:
    """Kill so many runs, each at a moment of its ``seconds``. One that was over before its moment does not count."""
    draws = random.Random(0)
    for number in range(kills):
        status = 0
        while not os.WIFSIGNALED(status):
            run, moment = folder / f"run-{number}-{draws.random()}", draws.uniform(0, seconds)
            child = command(checkpoint, run)
            time.sleep(moment)
            os.kill(child, signal.SIGKILL)
            status = os.waitpid(child, 0)[1]
            if not os.WIFSIGNALED(status):
                seconds = moment
        yield run


def killed_in_writes(checkpoint: str, folder: Path) -> Iterator[Path]:
    """Kill a run inside each of its first writes of a shard."""
    for number in range(1, WRITES + 1):
        run = folder / f"write-{number}"
        status = os.waitpid(command(checkpoint, run, killing_in_write(number, run)), 0)[1]
        assert os.WIFSIGNALED(status), f"it was not killed in write {number}"
        yield run


def main() -> None:
    """Compare every resumed run with one that nothing stopped."""
    folder, checkpoint, kills = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    in_shards_of(25)
    started = time.monotonic()
    assert os.waitpid(command(checkpoint, folder / "whole"), 0)[1] == 0
    seconds, report = time.monotonic() - started, Counter[str]()
    expected = timeless((folder / "whole.json").read_text())
    for run in (*killed_at_random(kills, checkpoint, folder, seconds), *killed_in_writes(checkpoint, folder)):
        before = finished(run)
        report["killed"] += 1
        report["resumed"] += os.waitpid(command(checkpoint, run), 0)[1] == 0
        after = finished(run)
        report["lost"] += len(before.keys() - after.keys())
        report["written twice"] += sum(after[name] != file for name, file in before.items())
        answer = run.with_suffix(".json").read_text()
        report["different answers"] += timeless(answer) != expected
    names = ("killed", "resumed", "different answers", "written twice", "lost")
    print(json.dumps({name: report[name] for name in names}))


if __name__ == "__main__":
    main()
