"""The models that can be named: our architectures, and the kinds of MODEL."""

from collections.abc import Iterator

from advtool.report.table import Column, Reader, Row, Table
from advtool.report.units import COUNT, WORDS
from advtool.results import Models

COLUMNS = (
    Column("", "kind", WORDS, Reader.PROGRAM),
    Column("for", "given", WORDS, Reader.PEOPLE),
    Column("name", "name", WORDS),
    Column("what it is", "what", WORDS),
    Column("needs", "needs", WORDS, Reader.PEOPLE),
    Column("", "source", WORDS, Reader.PROGRAM),
    Column("", "smallest_side", COUNT, Reader.PROGRAM),
    Column("", "weights", WORDS, Reader.PROGRAM),
    Column("", "takes_arguments", WORDS, Reader.PROGRAM),
    Column("", "extra", WORDS, Reader.PROGRAM),
    Column("", "installed", WORDS, Reader.PROGRAM),
)
WEIGHTS = {
    "inside": "with its weights",
    "file": "random weights, or --weights FILE",
    "file or default": "random weights, or --weights FILE or DEFAULT",
}


def table(models: Models) -> Table:
    """First what ``--arch`` takes, then what stands for MODEL."""
    absent = [kind.extra for kind in models.kinds if not kind.installed]
    notes = (f"an extra is installed by pip install 'advtool[{absent[0]}]'",) if absent else ()
    return Table(columns=COLUMNS, rows=tuple(_rows(models)), notes=notes, boxed=False)


def _rows(models: Models) -> Iterator[Row]:
    for each in models.architectures:
        needs = f"{each.smallest_side}x{each.smallest_side} pixels"
        yield Row({**vars(each), "kind": "architecture", "given": "--arch", "what": each.purpose, "needs": needs})
    for kind in models.kinds:
        needs = "" if kind.extra is None else f"{kind.extra}: {'installed' if kind.installed else 'absent'}"
        words = f"{kind.what}; {WEIGHTS[kind.weights]}"
        values = {"kind": "model", "given": "MODEL", "name": kind.written, "what": words, "needs": needs}
        yield Row({**vars(kind), **values})
