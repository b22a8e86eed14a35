"""Is a commit slower than another one? Both evaluate the same checkpoints on the same images, in turns.

    git worktree add ../before COMMIT
    python benchmarks/commits.py ../before . --resnet11 resnet11.safetensors --repeats 5

Each side is a process of its own that stays alive, with the same Python and the same number of threads. A turn is one
evaluation by each side; the median of the turns counts. ``--resnet11`` names a checkpoint that ``advtool train nfgsm
--arch resnet11 --dataset cifar10`` wrote; without it, that model is left out. A Markdown table goes to stdout.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parents[1]
STORED = HERE / "tests" / "checkpoints"
SIDE = """
import json, sys, time
import advtool, torch
from advtool.data import first_images, load, to_float
torch.set_num_threads(int(sys.argv[1]))
answers = sys.stdout
sys.stdout = sys.stderr
for line in sys.stdin:
    row = json.loads(line)
    images = first_images(load(row["dataset"], "test", row["data_dir"]), row["images"])
    model = advtool.load_checkpoint(row["checkpoint"])
    x, y = to_float(images.images), images.labels
    started = time.perf_counter()
    result = advtool.evaluate(model, x, y, eps=row["eps"], **row["settings"])
    seconds = time.perf_counter() - started
    answers.write(json.dumps([seconds, result.worst_case.robust]) + "\\n")
    answers.flush()
"""


class Row(NamedTuple):
    """One comparison."""

    name: str
    checkpoint: str
    dataset: str
    data_dir: str | None
    images: int
    eps: float
    settings: dict[str, Any]


def rows(resnet11: str | None) -> list[Row]:
    """The strided CNN, LeNet and, if its checkpoint is there, ResNet-11, under PGD, SPSA and the audit."""
    pgd = {"attacks": ["pgd"]}
    spsa = {"attacks": ["spsa"], "spsa_steps": 20}
    audit = {"attacks": ["audit"]}
    mnist = ("mnist", str(HERE / "tests" / "data_mnist"))
    strided, lenet = (str(STORED / f"mnist-{name}.safetensors") for name in ("cnn-nfgsm", "lenet-apb-ascent"))
    found = [
        Row("strided CNN, PGD-50", strided, *mnist, 490, 0.1, pgd),
        Row("strided CNN, SPSA 20 x 128", strided, *mnist, 490, 0.1, spsa),
        Row("strided CNN, audit", strided, *mnist, 200, 0.1, audit),
        Row("LeNet, PGD-50", lenet, *mnist, 490, 0.1, pgd),
        Row("LeNet, SPSA 20 x 128", lenet, *mnist, 490, 0.1, spsa),
        Row("LeNet, audit", lenet, *mnist, 200, 0.1, audit),
    ]
    if resnet11 is not None:
        data_dir = os.environ.get("ADVTOOL_DATA")
        cifar10 = (str(Path(resnet11).resolve()), "cifar10", data_dir and str(Path(data_dir).resolve()))
        found += [
            Row("ResNet-11, PGD-10", *cifar10, 40, 8 / 255, {**pgd, "pgd_steps": 10}),
            Row("ResNet-11, SPSA 5 x 32", *cifar10, 20, 8 / 255, {**spsa, "spsa_steps": 5, "spsa_samples": 32}),
        ]
    return found


def start(tree: str, threads: int) -> subprocess.Popen[str]:
    """A process that evaluates with the code of ``tree``."""
    environment = {**os.environ, "PYTHONPATH": str(Path(tree).resolve()), "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, "-c", SIDE, str(threads)]
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def ask(side: subprocess.Popen[str], row: Row) -> tuple[float, int]:
    """Seconds, and how many images survive."""
    assert side.stdin is not None
    assert side.stdout is not None
    side.stdin.write(json.dumps(row._asdict()) + "\n")
    side.stdin.flush()
    seconds, left = json.loads(side.stdout.readline())
    return float(seconds), int(left)


def main() -> None:
    """Compare two commits, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", help="a checkout")
    parser.add_argument("after", help="another one")
    parser.add_argument("--resnet11", metavar="FILE")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    sides = [start(tree, asked.threads) for tree in (asked.before, asked.after)]
    print("| evaluation | before, s | after, s | after / before | left before | left after |")
    print("|---|---:|---:|---:|---:|---:|")
    for row in rows(asked.resnet11):
        turns = [[ask(side, row) for side in sides] for _ in range(asked.repeats + 1)][1:]
        seconds = [statistics.median(turn[place][0] for turn in turns) for place in (0, 1)]
        ratio = statistics.median(turn[1][0] / turn[0][0] for turn in turns)
        left = [turns[0][place][1] for place in (0, 1)]
        print(f"| {row.name} | {seconds[0]:.2f} | {seconds[1]:.2f} | {ratio:.2f} | {left[0]} | {left[1]} |")
    for side in sides:
        side.terminate()


if __name__ == "__main__":
    main()
