"""A run as the page shows it: what the template needs, section by section."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from advtool.report import titles, to_table
from advtool.report.evaluation import warning
from advtool.report.page import curves, facts, warned
from advtool.report.page.margins import margins
from advtool.report.page.pictures import pictures
from advtool.report.sentence import sentence
from advtool.report.table import Column, Reader, Row, Table
from advtool.report.units import COUNT, INTERVAL, SHARE, WORDS
from advtool.results import ClassAccuracy, Evaluation, PageRun

MANY_CLASSES = 20
WEAKEST_CLASSES = 10
"""Of many classes so many stand in view; the table of all is folded."""
CLASS_COLUMNS = (
    Column("class", "name", WORDS),
    Column("images", "images", COUNT),
    Column("clean", "clean", SHARE),
    Column("worst case", "worst_case", SHARE),
    Column("95 % interval", "interval", INTERVAL),
)


@dataclass(frozen=True)
class Share:
    """A part of a run's images in the bar at the top."""

    name: str
    style: str
    images: int
    percent: float


@dataclass(frozen=True)
class Checked:
    """The items of one of the checklists."""

    name: str
    rows: Sequence[Row]


class RunView:
    """A run as the page shows it.

    Args:
        run: the run.
        number: of the run on the page, from 1.
    """

    def __init__(self, run: PageRun, number: int) -> None:
        result, table, items = run.result, to_table(run.result), to_table(run.checklist)
        told = set(map(warning, result.warnings))
        self.id, self.name, self.title = f"run-{number}", run.name, titles.name(result)
        self.sentence = sentence(result)
        self.shares = _shares(result)
        self.table = table
        self.notes = [note for note in table.notes if note not in told]
        self.warnings = warned.of_run(result)
        self.probed, self.diagnosed = curves.probed(result.diagnostics), result.diagnostics
        self.classes, self.all_classes = _classes(run)
        self.margins = margins(result.outcomes)
        names = _Names(enumerate(result.dataset.classes or ()))
        self.examples = [pictures(each, names) for each in run.examples]
        self.broken = result.clean.correct - result.worst_case.robust
        self.checklist_columns = [column for column in items.columns_for(Reader.PAGE) if column.name != "list"]
        self.checklists = [
            Checked(f"{source}: {name}", list(rows))
            for (source, name), rows in groupby(items.rows, key=lambda row: (row.values["source"], row.values["list"]))
        ]
        self.checklist = items
        self.command = run.command
        self.attacks, self.sources = facts.attacks(result), facts.sources(result)


class _Names(dict[int, str]):
    """The names of classes by label; a class without a name is called by its number, and -1 is no class."""

    def __missing__(self, label: int) -> str:
        return str(label) if label >= 0 else "no class, its scores are not finite"


def _shares(result: Evaluation) -> list[Share]:
    """All images in four parts that exclude one another."""
    total, proved = result.clean.total, result.certified.robust if result.certified else 0
    standing = "survive every attack" if result.certified is None else "undecided: survive, but are not proved"
    counts = {
        ("proved robust", "certified"): proved,
        (standing, "survive"): result.worst_case.robust - proved,
        ("broken by an attack", "broken"): result.clean.correct - result.worst_case.robust,
        ("wrong without an attack", "wrong"): total - result.clean.correct,
    }
    return [Share(name, style, count, 100 * count / total) for (name, style), count in counts.items() if count]


def _classes(run: PageRun) -> tuple[Table, Table | None]:
    """The accuracies class by class. Of many classes: those of the lowest worst case, and all."""
    names = _Names(enumerate(run.result.dataset.classes or ()))
    every = tuple(_class_row(each, names) for each in run.classes)
    if len(every) <= MANY_CLASSES:
        return Table(title="Accuracy by class", columns=CLASS_COLUMNS, rows=every), None
    weakest = sorted(every, key=lambda row: (row.values["worst_case"], row.values["clean"]))[:WEAKEST_CLASSES]
    return (
        Table(title=f"The {WEAKEST_CLASSES} classes of lowest worst case", columns=CLASS_COLUMNS, rows=tuple(weakest)),
        Table(title=f"All {len(every)} classes", columns=CLASS_COLUMNS, rows=every),
    )


def _class_row(each: ClassAccuracy, names: dict[int, str]) -> Row:
    values = {
        "name": names[each.label],
        "images": each.clean.total,
        "clean": each.clean.accuracy,
        "worst_case": each.worst_case.accuracy,
        "interval": each.worst_case.interval,
    }
    return Row(values)
