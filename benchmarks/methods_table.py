"""Prints results of ``advtool eval --format json`` as one Markdown table, a line a file.

python benchmarks/methods_table.py results/methods/mnist-*.json
"""

import json
import sys
from pathlib import Path

ATTACKS = ("fgsm", "pgd", "spsa")


def percent(fraction: float) -> str:
    return f"{100 * fraction:.1f}"


def main(paths: list[str]) -> None:
    print("| model | eps | clean | FGSM | PGD-50 | SPSA | Min | 95 % interval |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for path in map(Path, paths):
        result = json.loads(path.read_text())
        robust = {attack["name"]: attack["accuracy"] for attack in result["attacks"]}
        lowest = result["effective_robustness"]
        low, high = lowest["interval"]
        cells = [
            path.stem,
            f"{result['threat_model']['eps']:.4g}",
            percent(result["clean"]["accuracy"]),
            *(percent(robust[name]) for name in ATTACKS),
            percent(lowest["accuracy"]),
            f"{percent(low)} - {percent(high)}",
        ]
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main(sys.argv[1:])
