"""The tables of the papers, a line each: how much of them is done, and their verdicts so far."""

from collections.abc import Iterator

from advtool.report.table import Column, Reader, Row, Table
from advtool.report.units import COUNT, WORDS, decimals
from advtool.results import Reproductions, Standing, notation

HOURS = decimals(1)
CAPPED = ("smoke", "cpu")
"""Scales at which every table has the same hours, which it takes at most."""
STEPS = (
    "Rows and steps: what is done, of how many. A step is a training, an evaluation or a timing; tables share many of "
    "them. Verdicts are counted by rows."
)


def table(result: Reproductions) -> Table:
    """What is done is given of how many there are; the titles stand above."""
    return Table(
        facts=tuple((each.name, each.title) for each in result.tables),
        columns=tuple(_columns(result)),
        rows=tuple(Row(_values(each)) for each in result.tables),
        notes=(f"Scale {result.scale}, in {result.folder}. {_duration(result)}", *_left(result), STEPS),
        boxed=False,
    )


def _columns(result: Reproductions) -> Iterator[Column]:
    differ = result.scale not in CAPPED and any(each.hours is not None for each in result.tables)
    yield Column("name", "name", WORDS)
    yield Column("", "title", WORDS, Reader.PROGRAM)
    yield Column("data sets", "data sets", WORDS, Reader.PEOPLE)
    yield Column("", "datasets", WORDS, Reader.PROGRAM)
    yield Column("hours", "hours", HOURS, Reader.ALL if differ else Reader.PROGRAM)
    yield Column("rows", "of rows", COUNT, Reader.PEOPLE)
    yield Column("", "rows_done", COUNT, Reader.PROGRAM)
    yield Column("", "rows", COUNT, Reader.PROGRAM)
    yield Column("steps", "of steps", COUNT, Reader.PEOPLE)
    yield Column("", "steps_done", COUNT, Reader.PROGRAM)
    yield Column("", "steps", COUNT, Reader.PROGRAM)
    yield Column("rows by verdict", "verdicts", WORDS)


def _duration(result: Reproductions) -> str:
    """What the hours mean; where they are all the same, this says them."""
    known = [each.hours for each in result.tables if each.hours is not None]
    if not known:
        return "Nobody has measured how long it takes."
    if result.scale in CAPPED:
        return f"Each table takes at most {notation.counted(round(60 * max(known)), 'minute')} of one core."
    unknown = "; blank: nobody has measured it" if len(known) < len(result.tables) else ""
    return f"Hours of one core, about, without what an earlier table shares: {HOURS.write(sum(known))} in all{unknown}."


def _left(result: Reproductions) -> Iterator[str]:
    """What is not finished, once something is."""
    left = {each.name: each.rows - each.rows_done for each in result.tables if each.rows_done < each.rows}
    if not left:
        yield "Every row is finished."
    elif any(each.rows_done for each in result.tables):
        names = ", ".join(f"{name} ({notation.counted(rows, 'row')})" for name, rows in left.items())
        yield f"Not finished: {names}."


def _values(each: Standing) -> dict[str, object]:
    return {
        **vars(each),
        "datasets": " ".join(each.datasets),
        "data sets": ", ".join(each.datasets),
        "of rows": f"{each.rows_done}/{each.rows}",
        "of steps": f"{each.steps_done}/{each.steps}",
        "verdicts": ", ".join(f"{count} {verdict}" for verdict, count in each.verdicts.items()),
    }
