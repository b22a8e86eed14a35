"""A run's saved examples classified again, as a table for people, as CSV and as Markdown."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from advtool.report import csv, markdown, table
from advtool.report.rows import Kind, number, percent, span
from advtool.results import RescoredAttack, Score

COLUMNS = ("attack", "examples", "original right", "fooling", "share", "95 % interval")
CSV_COLUMNS = ("name", "examples", "originals_correct", "fooling", "share", "low", "high")


def as_text(result: Score) -> str:
    """The table as plain text, 80 columns wide."""
    return table.plain(renderable(result))


def renderable(result: Score) -> RenderableType:
    """The table for a Rich console, and what it means below it."""
    lines: list[tuple[Kind, tuple[str, ...]]] = [("attack", _cells(attack)) for attack in result.attacks]
    return Group(table.grid(_title(result), COLUMNS, lines), *(Text(note) for note in _notes(result)))


def as_csv(result: Score) -> str:
    """Shares are fractions; ``low`` and ``high`` bound the 95 % interval."""
    return csv.lines(
        CSV_COLUMNS,
        (
            (
                attack.name,
                attack.examples,
                attack.originals_correct,
                attack.fooling,
                attack.share,
                *(attack.interval or (None, None)),
            )
            for attack in result.attacks
        ),
    )


def as_markdown(result: Score) -> str:
    """Title, table, what it means."""
    return markdown.page(_title(result), COLUMNS, (_cells(attack) for attack in result.attacks), _notes(result))


def _title(result: Score) -> str:
    model = result.checkpoint["path"] if result.checkpoint else result.model.get("spec") or "model"
    votes = f", {result.votes} votes" if result.votes > 1 else ""
    return f"examples of {result.run} on {model}, linf eps {number(result.threat_model.eps)}, seed {result.seed}{votes}"


def _cells(attack: RescoredAttack) -> tuple[str, ...]:
    counts = (str(count) for count in (attack.examples, attack.originals_correct, attack.fooling))
    return attack.name, *counts, percent(attack.share), span(attack.interval)


def _notes(result: Score) -> Iterator[str]:
    if not result.same_model:
        yield "another model than the run's: the share that transfers, of the examples whose original it gets right"
    elif result.agrees is None:
        yield "the run's own model, which is random: the share that fools it again with fresh draws"
    else:
        yield f"the run's own model: {'every' if result.agrees else 'NOT every'} example fools it again"
