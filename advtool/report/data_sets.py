"""The data sets that have a name: their size, whether they are cached, where they come from."""

from dataclasses import asdict, dataclass
from typing import Any

from advtool.data import Entry
from advtool.report.table import Column, Row, Table, Unit
from advtool.report.units import COUNT, WORDS

COLUMNS = (
    Column("Data set", "name", WORDS),
    Column("Train", "train", COUNT),
    Column("Test", "test", COUNT),
    Column("Shape", "shape", Unit(lambda shape: "x".join(map(str, shape)), words=True)),
    Column("Cached", "cached", Unit(lambda _: "yes", blank="no", words=True)),
    Column("Source", "source", WORDS),
    Column("Licence", "licence", WORDS),
)


@dataclass(frozen=True)
class DataSets:
    """What ``advtool data list`` shows. ``to_dict`` is its JSON, a list."""

    entries: list[Entry]

    def to_dict(self) -> list[dict[str, Any]]:
        """An object for each data set."""
        return [
            {**asdict(entry), "shape": list(entry.shape), "cached": entry.cached and str(entry.cached)}
            for entry in self.entries
        ]


def table(result: DataSets) -> Table:
    """A line for each data set, without lines between the columns."""
    return Table(columns=COLUMNS, rows=tuple(Row(vars(entry)) for entry in result.entries), boxed=False)
