"""Is the audit as strong as AutoAttack on nets that others trained, and as fast? Per net, seed and side a JSON line.

    pip install advtool pyautoattack                              # an environment of its own
    ADVTOOL_DATA=folder python benchmarks/nets.py NETS LINES.jsonl [--side ours|autoattack] [--seeds N] [--net NAME]...
    python benchmarks/nets.py --table LINES.jsonl

NETS is a folder with ``nets.py``, a factory for each net, ``NAME.safetensors``, its weights, and ``instances.json``:
images that complete verifiers call breakable or robust. Each net is judged on the first test images, and on those of
its instances. What LINES.jsonl has is not measured again. Seconds are those of the processor, so a busy machine counts
less. ``--table`` makes Markdown of the lines.
"""

import argparse
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import peers
import torch
from attack_models import Subject
from strangers import nets
from torch import Tensor

import advtool
from advtool.compute.memory import freed_memory_kept
from advtool.data import first_images, load, to_float


def questions(folder: Path, images: int) -> Iterator[Subject]:
    """For each net the first test images, and its instances by verdict and eps."""
    every = json.loads((folder / "instances.json").read_text())
    for net in nets(folder):
        first = first_images(load(net.dataset, "test"), images)
        yield Subject(net.name, net.model, to_float(first.images), first.labels, net.eps)
        here = [each for each in every if each["net"] == net.name]
        for verdict, eps in sorted({(each["verdict"], each["eps"]) for each in here}):
            chosen = [each for each in here if (each["verdict"], each["eps"]) == (verdict, eps)]
            places = torch.tensor([each["index"] for each in chosen])
            split = load(net.dataset, chosen[0]["split"])
            x, y = to_float(split.images[places]), split.labels[places]
            assert y.tolist() == [each["label"] for each in chosen]
            yield Subject(f"{net.name} {verdict} {eps:.3g}", net.model, x, y, eps)


def ours(asked: Subject, seed: int) -> Tensor:
    result = advtool.evaluate(asked.model, asked.x, asked.y, eps=asked.eps, attacks="audit", seed=seed)
    return result.outcomes.worst_case


def autoattack(asked: Subject, seed: int) -> Tensor:
    how = peers.Settings(steps=0, batch=len(asked.x), seed=seed)
    return peers.standing(asked.model, asked, peers.autoattack(asked.model, asked, how), votes=1)


SIDES: dict[str, Callable[[Subject, int], Tensor]] = {"ours": ours, "autoattack": autoattack}


def measure(asked: Subject, side: str, seed: int) -> dict[str, Any]:
    started, busy = time.perf_counter(), time.process_time()
    standing = SIDES[side](asked, seed)
    return {
        "net": asked.name,
        "eps": asked.eps,
        "side": side,
        "seed": seed,
        "images": len(asked.y),
        "standing": "".join("01"[stands] for stands in standing.tolist()),
        "seconds": round(time.process_time() - busy, 1),
        "wall_seconds": round(time.perf_counter() - started, 1),
        "torch": torch.__version__,
    }


def table(lines: list[dict[str, Any]]) -> str:
    """Per cent left and seconds, the mean over the seeds that both sides have; and the breakable images by seed."""
    by_net: dict[str, dict[str, dict[int, dict[str, Any]]]] = defaultdict(lambda: defaultdict(dict))
    for line in lines:
        by_net[line["net"]][line["side"]][line["seed"]] = line
    rows = ["| net | eps | images | our audit | AutoAttack | our s | its s |", "|---|---|---:|---:|---:|---:|---:|"]
    total: dict[str, list[float]] = defaultdict(list)
    for net, sides in by_net.items():
        seeds = sorted(sides["ours"].keys() & sides["autoattack"].keys())
        if not seeds:
            continue
        cells, ends = [], []
        for side in SIDES:
            left = [100 * np.mean([c == "1" for c in sides[side][seed]["standing"]]) for seed in seeds]
            seconds = statistics.mean(sides[side][seed]["seconds"] for seed in seeds)
            cells.append(f"{statistics.mean(left):.2f} ({', '.join(f'{each:.1f}' for each in left)})")
            ends.append(f"{seconds:.0f}")
            if " " not in net:
                total[side].append(statistics.mean(left))
                total[f"{side} s"].append(seconds)
        one = sides["ours"][seeds[0]]
        rows.append(f"| {net} | {one['eps']:.3g} | {one['images']} | {' | '.join([*cells, *ends])} |")
    means = [f"{statistics.mean(total[side]):.2f}" for side in SIDES]
    sums = [f"{sum(total[f'{side} s']):.0f}" for side in SIDES]
    rows.append(f"| mean; total | | | {' | '.join([*means, *sums])} |")
    return "\n".join(rows)


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("nets", type=Path, nargs="?")
    parser.add_argument("lines", type=Path)
    parser.add_argument("--side", choices=SIDES, action="append")
    parser.add_argument("--net", action="append", help="its images and instances alone")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--table", action="store_true")
    given = parser.parse_args()
    if given.table:
        print(table(read(given.lines)))
        return
    asked = list(questions(given.nets, given.images))
    for seed in range(given.seeds):
        for each in asked:
            for side in given.side or SIDES:
                done = {(line["net"], line["side"], line["seed"]) for line in read(given.lines)}
                if (each.name, side, seed) in done or (given.net and each.name.split()[0] not in given.net):
                    continue
                with freed_memory_kept():  # the same allocator for all
                    line = json.dumps(measure(each, side, seed))
                with given.lines.open("a") as file:
                    file.write(line + "\n")


if __name__ == "__main__":
    main()
