"""The program before its commands: a signal while it imports ends it as later ones do."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

SLOW_IMPORT = """
import signal, sys, time
class Waiting:
    def find_spec(self, name, path, target=None):
        if name == "advtool.cli":
            print("importing", flush=True)
            time.sleep(60)
sys.meta_path.insert(0, Waiting())
sys.argv = ["advtool", "eval"]
from advtool.__main__ import main
main()
"""


@pytest.mark.parametrize("way", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_imports_ends_with_130_and_one_line(way: signal.Signals) -> None:
    command = [sys.executable, "-c", SLOW_IMPORT]
    root = Path(__file__).parents[1]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "importing\n"
        process.send_signal(way)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "advtool: interrupted\n")


def shell(command: str) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[1]
    return subprocess.run(["sh", "-c", command], cwd=root, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("closed", "error"),
    [(">&-", "--images '0'"), ("2>&-", ""), ("<&- >&- 2>&-", "")],
)
def test_a_closed_stream_takes_what_goes_to_it(closed: str, error: str) -> None:
    command = f"exec {sys.executable} -m advtool eval --images 0 {closed}"
    ended = shell(command)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert error in ended.stderr
    assert bool(error) == bool(ended.stderr)


@pytest.mark.parametrize("format", ["table", "json"])
def test_an_answer_for_a_closed_stdout_is_no_error(format: str) -> None:
    command = f"exec {sys.executable} -m advtool models --format {format} >&-"
    ended = shell(command)
    assert (ended.returncode, ended.stderr) == (0, "")
