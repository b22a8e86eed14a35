"""An evaluation: clean, each attack, the minimum over the attacks, the worst case image by image."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from advtool.report import titles
from advtool.report.table import Column, Reader, Row, Table
from advtool.report.units import COUNT, DURATION, INTERVAL, SHARE, WORDS
from advtool.results import (
    KNOWN_NOISE,
    PLANTED,
    Certified,
    Comparison,
    Evaluation,
    Finding,
    Planted,
    SeedsSummary,
    WorstCase,
    notation,
)
from advtool.results.record import Record

COLUMNS = (
    Column("", "kind", WORDS, Reader.PROGRAM),
    Column("attack", "name", WORDS),
    Column("accuracy", "shown", SHARE, Reader.PEOPLE),
    Column("", "accuracy", SHARE, Reader.PROGRAM),
    Column("95 % interval", "interval", INTERVAL),
    Column("images", "images", COUNT),
    Column("time", "seconds", DURATION),
    Column("", "left", COUNT, Reader.PROGRAM),
)


def table(evaluation: Evaluation) -> Table:
    """An attack that saw survivors only has no accuracy: ``left`` says how many it left."""
    lowest, images = evaluation.effective_robustness, evaluation.clean.total
    lines = rows(evaluation, lowest.attack if lowest else None, images=images)
    return Table(
        title=titles.heading(evaluation),
        columns=COLUMNS,
        rows=(
            *map(_seen, lines),
            *_undecided(evaluation.undecided, images),
            *_random(evaluation, images),
            *_planted(evaluation.planted),
        ),
        notes=tuple(_notes(evaluation)),
    )


def rows(found: Evaluation | Comparison | SeedsSummary, lowest: str | None, **more: Any) -> Iterator[Row]:
    """The rows of a table over attacks: clean, each attack, the minimum, the worst case, what is certified.

    Args:
        found: the fields of its records are the values of the rows.
        lowest: the attack that the minimum is of, if it is one.
        more: further values of each row.
    """
    minimum = f"Min ({lowest})" if lowest else "Min"
    lines: list[tuple[str, str, Record | None]] = [
        ("clean", "clean", found.clean),
        *(("attack", attack.name, attack) for attack in found.attacks),
        ("minimum", minimum, found.effective_robustness),
        ("worst case", "worst case", found.worst_case),
        ("certified", "certified", found.certified),
    ]
    for kind, name, figures in lines:
        if figures is not None:
            section = "worst case" if kind in ("minimum", "certified") else kind
            yield Row({**vars(figures), "kind": kind, "name": name, **more}, kind, section)


def warning(finding: Finding) -> str:
    """A warning in one line."""
    return f"{finding.kind} [{finding.code}]: {finding.message}"


def _between(certified: Certified, worst_case: WorstCase) -> str:
    """Where the robust accuracy lies: of these images for sure, of images like them by the two intervals."""
    these = notation.percent_between(certified.accuracy, worst_case.accuracy)
    alike = notation.percent_between(certified.interval[0], worst_case.interval[1])
    return f"robust accuracy of these images lies between {these}; of images like them between {alike}"


def _seen(row: Row) -> Row:
    """The row of an attack in a cascade with how many images it saw, and how many of them it left."""
    seen, left = row.values.get("survivors_in"), row.values.get("survivors_out")
    if seen is None:
        return replace(row, values={**row.values, "shown": row.values["accuracy"]})
    return replace(row, values={**row.values, "images": seen, "left": left, "shown": f"{left} left"})


def _undecided(undecided: int | None, images: int) -> Iterator[Row]:
    """The row of the images that are neither broken nor certified, in a run that certifies."""
    if undecided is not None:
        values = {"kind": "undecided", "name": "undecided", "shown": f"{undecided} left", "left": undecided}
        yield Row({**values, "images": images}, "undecided", "worst case")


def _random(evaluation: Evaluation, images: int) -> Iterator[Row]:
    """The rows of a random model: one draw instead of the votes, and noise that the attacker knows."""
    for name, figures in (("single draw", evaluation.single_draw), (KNOWN_NOISE, evaluation.known_noise)):
        if figures is not None:
            values = {**vars(figures), "kind": name, "name": name, "shown": figures.accuracy, "images": images}
            yield Row(values, name, "worst case")


def _planted(planted: Planted | None) -> Iterator[Row]:
    """The row of the planted examples, in a run that plants; programs get the share that was found."""
    if planted is not None:
        share = planted.found / planted.total
        values = {"kind": PLANTED, "name": PLANTED, "shown": f"{planted.found} found", "accuracy": share}
        yield Row({**values, "images": planted.total, "seconds": planted.seconds}, PLANTED, PLANTED)


def _notes(evaluation: Evaluation) -> Iterator[str]:
    if evaluation.certified is not None:
        yield _between(evaluation.certified, evaluation.worst_case)
    if (planted := evaluation.planted) is not None:
        yield f"{planted.found} of {planted.total} planted examples were found"
    for attack in evaluation.attacks:
        if attack.accuracy_on_examples is not None:
            accuracy = notation.percent(attack.accuracy_on_examples)
            how = "every image attacked, the final examples classified"
            yield f"{attack.name}: accuracy on examples {accuracy} ({how})"
        if attack.given_up is not None:
            yield f"{attack.name}: gave up {attack.given_up} images early, far out of its reach; they count as robust"
    yield from map(warning, evaluation.warnings)
