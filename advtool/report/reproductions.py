"""The tables of the papers, a line each: how much of them is done, and their verdicts so far."""

from advtool.report.table import Column, Reader, Row, Table
from advtool.report.units import COUNT, WORDS, decimals
from advtool.results import Reproductions, Standing

HOURS = decimals(1)
COLUMNS = (
    Column("name", "name", WORDS),
    Column("data sets", "data sets", WORDS, Reader.PEOPLE),
    Column("", "datasets", WORDS, Reader.PROGRAM),
    Column("hours", "hours", HOURS),
    Column("rows", "of rows", COUNT, Reader.PEOPLE),
    Column("", "rows_done", COUNT, Reader.PROGRAM),
    Column("", "rows", COUNT, Reader.PROGRAM),
    Column("steps", "of steps", COUNT, Reader.PEOPLE),
    Column("", "steps_done", COUNT, Reader.PROGRAM),
    Column("", "steps", COUNT, Reader.PROGRAM),
    Column("verdicts", "verdicts", WORDS),
)


def table(result: Reproductions) -> Table:
    """What is done is given of how many there are."""
    return Table(
        columns=COLUMNS,
        rows=tuple(Row(_values(each)) for each in result.tables),
        notes=(
            f"scale {result.scale}, in {result.folder}; hours of one core for all of it, about; rows and steps that "
            "are done. A step is a training, an evaluation or a timing; tables share many of them",
        ),
        boxed=False,
    )


def _values(each: Standing) -> dict[str, object]:
    return {
        **vars(each),
        "datasets": " ".join(each.datasets),
        "data sets": ", ".join(each.datasets),
        "of rows": f"{each.rows_done}/{each.rows}",
        "of steps": f"{each.steps_done}/{each.steps}",
        "verdicts": ", ".join(f"{count} {verdict}" for verdict, count in each.verdicts.items()),
    }
