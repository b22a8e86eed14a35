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
