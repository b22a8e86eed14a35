"""An evaluation: clean, each attack, the minimum over the attacks, the worst case image by image."""

from collections.abc import Iterator

from advtool.report import titles
from advtool.report.table import Column, Reader, Row, Table
from advtool.report.units import COUNT, DURATION, INTERVAL, SHARE, WORDS
from advtool.results import AttackResult, CleanAccuracy, EffectiveRobustness, Evaluation, Finding, WorstCase, notation

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
    """``left`` is of an attack that saw survivors only: how many it left."""
    return Table(
        title=titles.heading(evaluation),
        columns=COLUMNS,
        rows=tuple(_rows(evaluation)),
        notes=tuple(_notes(evaluation)),
    )


def line(kind: str, name: str, figures: object, **more: object) -> Row:
    """A row of any table over attacks: a rule stands below the clean accuracy and below the attacks.

    Args:
        kind: clean, attack, minimum or worst case.
        name: of the attack, or the kind again.
        figures: a record, whose fields are values of the row.
        more: further values.
    """
    section = kind if kind in ("clean", "attack") else "together"
    return Row({**vars(figures), "kind": kind, "name": name, **more}, kind, section)


def warning(finding: Finding) -> str:
    """A warning in one line."""
    return f"{finding.kind} [{finding.code}]: {finding.message}"


def _rows(evaluation: Evaluation) -> Iterator[Row]:
    clean, worst, lowest = evaluation.clean, evaluation.worst_case, evaluation.effective_robustness
    yield _row("clean", "clean", clean, clean.total)
    for attack in evaluation.attacks:
        seen = attack.total if attack.survivors_in is None else attack.survivors_in
        yield _row("attack", attack.name, attack, seen, attack.survivors_out)
    if lowest is not None:
        yield _row("minimum", f"Min ({lowest.attack})", lowest, clean.total)
    yield _row("worst case", "worst case", worst, worst.total)


def _row(
    kind: str,
    name: str,
    figures: CleanAccuracy | AttackResult | EffectiveRobustness | WorstCase,
    images: int,
    left: int | None = None,
) -> Row:
    shown = figures.accuracy if left is None else f"{left} left"
    return line(kind, name, figures, images=images, left=left, shown=shown)


def _notes(evaluation: Evaluation) -> Iterator[str]:
    for attack in evaluation.attacks:
        if attack.accuracy_on_examples is not None:
            accuracy = notation.percent(attack.accuracy_on_examples)
            how = "every image attacked, the final examples classified"
            yield f"{attack.name}: accuracy on examples {accuracy} ({how})"
    yield from map(warning, evaluation.warnings)
