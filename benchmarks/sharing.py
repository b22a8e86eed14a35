"""How an evaluation scales with processes that share its folder, one thread each.

    ADVTOOL_DATA=folder python benchmarks/sharing.py tests/checkpoints/mnist-cnn-nfgsm.safetensors --processes 1 2

Each number of processes evaluates in a folder of its own; the seconds are those until the last one has answered, the
start of Python and what is asked of the model beforehand included. All must give the same answer.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ATTACKS = ("fgsm", "pgd(steps=100)", "apgd", "square(queries=1000)")


def without_times(document: Any) -> Any:
    """A JSON document without any ``seconds``."""
    if isinstance(document, dict):
        return {key: without_times(value) for key, value in document.items() if key != "seconds"}
    return [without_times(value) for value in document] if isinstance(document, list) else document


def share(checkpoint: Path, images: int, processes: int, folder: Path) -> tuple[float, Any]:
    """The seconds that so many processes take together, and their answer."""
    attacks = [word for name in ATTACKS for word in ("--attack", name)]
    asked = ["--checkpoint", str(checkpoint), "--images", str(images), *attacks, "--format", "json"]
    command = [sys.executable, "-m", "advtool", "eval", "--quiet", *asked, "--run-dir", str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    started = time.perf_counter()
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) for _ in range(processes)]
    answers = [process.communicate()[0] for process in running]
    seconds = time.perf_counter() - started
    assert len({*answers}) == 1, "the processes do not agree"
    return seconds, without_times(json.loads(answers[0]))


def main() -> None:
    """Print a line for each number of processes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--images", type=int, default=8000)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    given = parser.parse_args()
    first: tuple[float, Any] | None = None
    print("| processes | seconds | times as fast | efficiency |\n|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        for processes in given.processes:
            seconds, answer = share(given.checkpoint, given.images, processes, Path(folder) / str(processes))
            first = first or (seconds, answer)
            assert answer == first[1], "another number of processes gives another answer"
            faster = first[0] / seconds
            print(f"| {processes} | {seconds:.0f} | {faster:.2f} | {faster / processes:.2f} |", flush=True)


if __name__ == "__main__":
    main()
