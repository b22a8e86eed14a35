"""What starting ``advtool`` costs, against a bare Typer application with one command.

    python benchmarks/startup.py --repeats 15

The three programs start in turn, again and again, so that a busy machine slows all alike; the figures are medians of
CPU time, and of its differences from the bare application in the same round. The second table says where it goes: the
modules' own import times, summed up by package.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
from collections import Counter

BARE = "import typer; app = typer.Typer(); app.command()(lambda: None); app()"
COMMANDS = {
    "bare": ["-c", BARE, "--help"],
    "advtool --help": ["-m", "advtool", "--help"],
    "advtool eval --help": ["-m", "advtool", "eval", "--help"],
}
TARGET = 0.15
"""Seconds of CPU time above the bare application, at most."""
SHOWN = ("advtool", "typer", "rich", "markdown_it", "pygments", "pydantic", "torch")


def run(arguments: list[str]) -> str:
    """What the interpreter writes on stderr; compiled modules are kept, as in an installed program."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True
    )
    return done.stderr.decode()


def cpu_seconds(arguments: list[str]) -> float:
    """User and system time of one start."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run(arguments)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def imports(arguments: list[str]) -> Counter[str]:
    """Milliseconds that modules take to import, without those that they import in turn, by package."""
    milliseconds: Counter[str] = Counter()
    for line in run(["-X", "importtime", *arguments]).splitlines():
        own, *_, module = line.removeprefix("import time:").split("|")
        if own.strip().isdecimal():
            package = module.strip().partition(".")[0]
            milliseconds[package if package in SHOWN else "others"] += int(own) / 1000
    return milliseconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats
    rounds = [{name: cpu_seconds(command) for name, command in COMMANDS.items()} for _ in range(repeats + 1)][1:]
    print("| program | CPU s | above the bare one | target |\n|---|---:|---:|---:|")
    for name in COMMANDS:
        seconds = statistics.median(each[name] for each in rounds)
        above = statistics.median(each[name] - each["bare"] for each in rounds)
        print(f"| `{name}` | {seconds:.3f} | {above:+.3f} | {'' if name == 'bare' else f'at most {TARGET}'} |")
    profiles = {name: imports(command) for name, command in COMMANDS.items()}
    print(f"\n| import, ms | {' | '.join(SHOWN)} | others |\n|---|{'---:|' * (len(SHOWN) + 1)}")
    for name, profile in profiles.items():
        print(f"| `{name}` | {' | '.join(f'{profile[package]:.0f}' for package in (*SHOWN, 'others'))} |")


if __name__ == "__main__":
    main()
