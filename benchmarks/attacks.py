"""How fast is our suite? Against every peer, and against the bare model.

    pip install advtool torchattacks foolbox cleverhans pyautoattack         # an environment of its own
    ADVTOOL_DATA=folder python benchmarks/attacks.py --models folder --threads 2
    python benchmarks/attacks.py --models folder --only "strided robust pgd" --only conv5

One process, and for all the same model, images, eps, steps, samples, threads and settings of the allocator (ours). The
sides take turns, the bare model among them, and the median of --repeats counts. With --whole the peers are used as
their own pages show it: all images in one call, glibc's thresholds as advtool leaves them. A side's time holds
everything from the images to the verified accuracy; ours its probe, its clean pass and its search form too. Rows take
a share of --images: EOT and audit a fifth, SPSA a tenth, SPSA with 2048 samples a fiftieth; resnet11 a twentieth of
these on a CPU. A Markdown table goes to stdout, a line a measurement to stderr.
"""

import os

os.environ["TQDM_DISABLE"] = "1"  # ART's bars; read when tqdm is imported

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

import torch
from attack_models import DATASETS, Subject, subject
from bare import Rate, again, limit
from peers import PEERS, TOGETHER, Settings, standing
from torch import Tensor, nn

from advtool import evaluate
from advtool.compute.memory import freed_memory_kept, peak_bytes

OURS = "advtool"
PGD_STEPS, DRAWS = 50, 20
SHARES = {"pgd": 1.0, "pgd+eot": 0.2, "spsa 128": 0.1, "spsa 2048": 0.02, "audit": 0.2}
"""Of --images."""
SLOW = {"resnet11": 0.05}
"""Of these on a CPU."""
COLUMNS = (
    "model and attack",
    "images",
    "side",
    "seconds",
    "left, %",
    "passes, 1000",
    "fastest peer / side",
    "passes a second",
    "of the bare rate",
    "bare rate of the peak",
    "peak memory, GiB",
)


class Row(NamedTuple):
    """One comparison."""

    arch: str
    kind: str
    attack: str

    @property
    def name(self) -> str:
        return " ".join(self)


class Outcome(NamedTuple):
    """What one side found, and at what cost."""

    accuracy: float
    forward: int
    """images pushed through the model"""
    backward: int
    """images whose gradient was asked for"""
    memory: int = 0
    """bytes, the most that was resident"""


class Counted(nn.Module):
    """The model, counting what a peer asks of it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.inner, self.forwards, self.backwards = model, 0, 0

    def forward(self, x: Tensor) -> Tensor:
        self.forwards += len(x)
        self.backwards += len(x) * (torch.is_grad_enabled() and x.requires_grad)
        return self.inner(x)


def rows() -> Iterator[Row]:
    for arch in DATASETS:
        for kind in ("robust", "plain"):
            yield from (Row(arch, kind, attack) for attack in SHARES if attack != "pgd+eot")
        yield Row(arch, "random", "pgd+eot")


def peer(name: str, attack: str, given: Subject, how: Settings) -> Outcome:
    counted = Counted(given.model).eval()
    left = standing(counted, given, PEERS[attack][name](counted, given, how), how.draws)
    return Outcome(float(left.float().mean()), counted.forwards, counted.backwards)


def ours(attack: str, given: Subject, how: Settings) -> Outcome:
    forget_peak(given.x.device)
    result = evaluate(
        given.model,
        given.x,
        given.y,
        eps=given.eps,
        attacks=attack,
        eot=how.draws if how.draws > 1 else None,
        pgd_steps=PGD_STEPS,
        spsa_steps=how.steps,
        spsa_samples=how.samples or 2,
    )
    calls = [each.model_calls for each in result.attacks]
    forward, backward = (sum(getattr(call, way) for call in calls) for way in ("forward", "backward"))
    return Outcome(result.worst_case.accuracy, forward, backward, peak(given.x.device))


def forget_peak(device: torch.device) -> None:
    """So that the peak speaks of what follows; the process's modules stay in it."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    elif sys.platform == "linux":
        Path("/proc/self/clear_refs").write_text("5")


def peak(device: torch.device) -> int:
    return torch.cuda.max_memory_allocated() if device.type == "cuda" else peak_bytes() or 0


def take_turns(
    sides: dict[str, Callable[[], Outcome]], rate: Callable[[], float], repeats: int
) -> tuple[dict[str, tuple[float, Outcome]], float]:
    """The median seconds of each side with its last outcome, and the median rate of the bare model."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    outcomes, rates = {}, []
    for _ in range(repeats):
        rates.append(rate())
        print(f"  bare: {rates[-1]:.0f} images a second", file=sys.stderr, flush=True)
        for name, compute in sides.items():
            start = time.perf_counter()
            outcomes[name] = compute()
            seconds[name].append(time.perf_counter() - start)
            print(f"  {name}: {seconds[name][-1]:.2f} s, {outcomes[name]}", file=sys.stderr, flush=True)
    return {name: (statistics.median(seconds[name]), outcomes[name]) for name in sides}, statistics.median(rates)


def settings(attack: str, batch: int, spsa_steps: int) -> Settings:
    if attack.startswith("spsa"):
        return Settings(spsa_steps, samples=int(attack.split()[1]), batch=batch)
    return Settings(PGD_STEPS, draws=DRAWS if attack == "pgd+eot" else 1, batch=batch)


def measure(row: Row, images: int, arguments: argparse.Namespace, limits: dict[tuple[str, bool], Rate]) -> list[str]:
    """The lines of the table; ``limits`` holds what was measured of a model before."""
    given = subject(row.arch, row.kind, images, arguments.models, arguments.device)
    given = given._replace(eps=arguments.eps or given.eps)
    gradient, attack = not row.attack.startswith("spsa"), row.attack.split(maxsplit=1)[0]
    key = (given.name, gradient)
    if key not in limits:
        limits[key] = limit(given.model, given.x, gradient=gradient)
    bare = limits[key]
    print(f"{row.name}, {len(given.x)} images; bare: {bare}", file=sys.stderr, flush=True)
    how = settings(row.attack, len(given.x) * TOGETHER if arguments.whole else bare.batch, arguments.spsa_steps)
    sides: dict[str, Callable[[], Outcome]] = {OURS: lambda: ours(attack.partition("+")[0], given, how)}
    for name in PEERS[attack]:
        sides[name] = lambda name=name: peer(name, attack, given, how)  # type: ignore[misc]
    measured, rate = take_turns(sides, lambda: again(given.model, given.x, bare, gradient=gradient), arguments.repeats)
    bare = bare._replace(images_a_second=rate, of_peak=bare.of_peak * rate / bare.images_a_second)
    fastest = min(seconds for name, (seconds, _) in measured.items() if name != OURS)
    return [line(row, len(given.x), name, *measured[name], fastest, bare, gradient=gradient) for name in sides]


def line(
    row: Row, images: int, name: str, seconds: float, found: Outcome, fastest: float, bare: Rate, *, gradient: bool
) -> str:
    passes = found.backward if gradient else found.forward
    cells = [
        *(row.name, str(images), name, f"{seconds:.2f}", f"{100 * found.accuracy:.1f}"),
        *(f"{passes / 1000:.0f}", f"{fastest / seconds:.2f}", f"{passes / seconds:.0f}"),
        f"{100 * passes / seconds / bare.images_a_second:.0f} %" if row.attack != "audit" else "",
        f"{100 * bare.of_peak:.0f} %",
        f"{found.memory / 2**30:.2f}" if found.memory else "",
    ]
    return f"| {' | '.join(cells)} |"


def share(row: Row, images: int, device: str) -> int:
    slow = SLOW.get(row.arch, 1.0) if device == "cpu" else 1.0
    return max(1, round(images * SHARES[row.attack] * slow))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, required=True, help="folder of the models; trained there if absent")
    parser.add_argument("--only", action="append", default=[], help="rows whose name has all these words; repeats")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--eps", type=float, help="instead of each model's own")
    parser.add_argument("--spsa-steps", type=int, default=100, help="fewer for a slow machine: say so")
    parser.add_argument("--whole", action="store_true", help="all images of a peer in one call")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    wanted = [set(words.split()) for words in arguments.only] or [set()]
    limits: dict[tuple[str, bool], Rate] = {}
    print(f"| {' | '.join(COLUMNS)} |\n|---|---:|---|{'---:|' * (len(COLUMNS) - 3)}")
    for row in rows():
        if any(words <= set(row.name.split()) for words in wanted):
            images = share(row, arguments.images, arguments.device)
            with nullcontext() if arguments.whole else freed_memory_kept():
                lines = measure(row, images, arguments, limits)
            print("\n".join(lines), flush=True)


if __name__ == "__main__":
    main()
