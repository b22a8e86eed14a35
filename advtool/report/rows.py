"""The lines that every view of an evaluation has in common, and how its figures are written."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from advtool.results import ComparedRun, Evaluation, Interval, Sweep

Kind = Literal["clean", "attack", "minimum", "worst case"]


@dataclass(frozen=True)
class Row:
    """One line of a report; what does not apply is None."""

    kind: Kind
    name: str
    accuracy: float | None
    interval: Interval | None
    images: int
    seconds: float | None = None
    left: int | None = None
    """of an attack that saw survivors only: how many it left"""


def rows(evaluation: Evaluation) -> Iterator[Row]:
    """Clean, each attack, the minimum over the attacks, the worst case image by image."""
    clean, worst = evaluation.clean, evaluation.worst_case
    lowest = evaluation.effective_robustness
    yield Row("clean", "clean", clean.accuracy, clean.interval, clean.total)
    for attack in evaluation.attacks:
        seen = attack.total if attack.survivors_in is None else attack.survivors_in
        yield Row("attack", attack.name, attack.accuracy, attack.interval, seen, attack.seconds, attack.survivors_out)
    if lowest is not None:
        yield Row("minimum", f"Min ({lowest.attack})", lowest.accuracy, lowest.interval, clean.total)
    yield Row("worst case", "worst case", worst.accuracy, worst.interval, worst.total)


def heading(run: Evaluation | ComparedRun, seeds: Sequence[int] = ()) -> str:
    """What was evaluated, on what, against what; ``seeds`` are given where there are several."""
    averaged = max(run.eot, run.votes) > 1
    draws = f", {run.eot} EOT samples, {run.votes} votes" if averaged else ""
    seed = _several(seeds) if seeds else f"seed {run.seed}"
    return f"{subject(run)}, {run.threat_model.norm} eps {number(run.threat_model.eps)}, {seed}{draws}"


def subject(run: Evaluation | ComparedRun | Sweep) -> str:
    """Which model, on which images."""
    card, data = run.checkpoint or {}, run.dataset
    is_ours = {"architecture", "recipe"} <= card.keys()
    trained = f"{card['architecture']} trained with {card['recipe']}" if is_ours else ""
    name = trained or run.model.get("spec") or card.get("path") or "model"
    return f"{name} on {data.images} {data.split} images of {data.name}"


def _several(seeds: Sequence[int]) -> str:
    gapless = list(seeds) == list(range(seeds[0], seeds[-1] + 1)) and len(seeds) > 2
    return f"seeds {seeds[0]} to {seeds[-1]}" if gapless else f"seeds {', '.join(map(str, seeds))}"


def notes(evaluation: Evaluation) -> Iterator[str]:
    """What a reader should know beside the figures."""
    for attack in evaluation.attacks:
        if attack.accuracy_on_examples is not None:
            yield (
                f"{attack.name}: accuracy on examples {percent(attack.accuracy_on_examples)} "
                "(every image attacked, the final examples classified)"
            )
    for finding in evaluation.warnings:
        yield f"{finding.kind} [{finding.code}]: {finding.message}"


def accuracy(row: Row) -> str:
    """``33.1 %``; of an attack that saw survivors only, how many of them it left."""
    return percent(row.accuracy) if row.left is None else f"{row.left} left"


def percent(fraction: float | None) -> str:
    """``0.331`` as ``33.1 %``."""
    return "-" if fraction is None else f"{100 * fraction:.1f} %"


def span(interval: Interval | None) -> str:
    """A 95 % interval in per cent, ``28.4 - 38.1``."""
    return "-" if interval is None else f"{100 * interval[0]:.1f} - {100 * interval[1]:.1f}"


def duration(seconds: float | None) -> str:
    """``0.4 s``, ``2 min 05 s``, ``1 h 02 min``."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def number(value: float) -> str:
    """``0.3``; what is longer and a whole number of 255ths as ``8/255``."""
    levels = value * 255
    whole = abs(levels - round(levels)) < 1e-9
    return f"{round(levels)}/255" if whole and float(f"{value:.4g}") != value else f"{value:g}"
