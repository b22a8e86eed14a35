"""Tables from their lines to their results: what is measured, the rows, the verdicts, the panels."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch

from advtool import locks
from advtool.checkpoints import now
from advtool.errors import InputError
from advtool.evaluation import provenance
from advtool.reproduce import notes
from advtool.reproduce.catalogue import Scale, hours
from advtool.reproduce.cuts import cuts
from advtool.reproduce.drawings import panels
from advtool.reproduce.laboratory import Laboratory
from advtool.reproduce.lines import Gain, Line
from advtool.reproduce.measured import Measured
from advtool.reproduce.observer import Observer
from advtool.reproduce.steps import Asked, Learned, Model, Step, Timing
from advtool.reproduce.table import Table, check_datasets
from advtool.results import (
    Column,
    Figure,
    Provenance,
    Reproduced,
    Reproductions,
    Row,
    Standing,
)

STATED = {"paper", "paper_deviation", "paper_significant"}
"""The fields of a figure that are the paper's."""


def reproduce(table: Table, scale: Scale, **options: Any) -> Reproduced:
    """One table; :func:`reproduce_all` names the options and the errors."""
    return reproduce_all([table], scale, **options)[0]


def reproduce_all(
    tables: Sequence[Table],
    scale: Scale,
    *,
    folder: Path,
    datasets: Sequence[str] = (),
    device: torch.device | str = "cpu",
    data_dir: Path | None = None,
    command: str = "",
    seconds: float | None = None,
    observer: Observer | None = None,
) -> list[Reproduced]:
    """Train and evaluate what tables need, and fill them; what ``folder`` holds already is not computed again.

    A model that several tables ask is trained once, and asked everything before the next one is trained.

    Args:
        tables: to fill, in this order.
        scale: how much is spent.
        folder: of everything that is kept; several calls may share it, at the same time too if their data sets differ.
        datasets: names that :func:`advtool.data.load` knows; none: each table's own.
        device: where to train and evaluate.
        data_dir: the cache of data sets.
        command: for the provenance.
        seconds: after so many nothing more is begun, and the rows that are not finished stay blank.
        observer: hears of every step.

    Raises:
        InputError: a data set is unknown or cannot be read, the folder cannot be written, or another process works on a
            data set in it.
    """
    plans = _plans(tables, scale, datasets)
    try:
        folder.mkdir(parents=True, exist_ok=True)  # before hours of work, not after
    except OSError as error:
        raise InputError(f"--run-dir '{folder}': cannot be made ({error.strerror})") from None
    place = torch.device(device)
    laboratory = Laboratory(folder, place, data_dir, observer or Observer(), command=command, seconds=seconds)
    with _alone(folder, [] if seconds == 0 else sorted({name for plan in plans for name in plan.datasets})):
        measured = laboratory.carry_out(steps([line for plan in plans for line in plan.lines]))
    made = Provenance(
        command=command,
        scale=scale,
        cuts=[],
        datasets=[],
        seeds=[],
        models={},
        environment=provenance.machine(place),
        date=now(),
    )
    return [_filled(plan, measured, made) for plan in plans]


@contextmanager
def _alone(folder: Path, datasets: Sequence[str]) -> Iterator[None]:
    """Hold the locks of data sets in a folder: two processes would write the same parts and states."""
    with ExitStack() as held:
        for name in datasets:
            if not held.enter_context(locks.alone(folder / "parts" / f".{name}.lock")):
                raise InputError(
                    f"--run-dir '{folder}': another advtool works on {name} there; wait for it, or give another "
                    "--dataset or folder"
                )
        yield


def standing(
    tables: Sequence[Table],
    scale: Scale,
    *,
    folder: Path,
    datasets: Sequence[str] = (),
    device: torch.device | str = "cpu",
    data_dir: Path | None = None,
) -> Reproductions:
    """How much of each table is done in ``folder``, which may be absent; the arguments are those of
    :func:`reproduce_all`.

    Raises:
        InputError: an argument is wrong, or ``folder`` is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--run-dir '{folder}': is no folder")
    laboratory = Laboratory(folder, torch.device(device), data_dir, Observer(), seconds=0)
    plans = _plans(tables, scale, datasets)
    measured = laboratory.carry_out(steps([line for plan in plans for line in plan.lines]))
    parts = [_standing(plan, scale, measured) for plan in plans]
    return Reproductions(scale=scale, folder=str(folder), tables=parts)


class _Plan(NamedTuple):
    """A table, and the lines that it has on some data sets."""

    table: Table
    datasets: list[str]
    lines: list[Line]


def _plans(tables: Sequence[Table], scale: Scale, datasets: Sequence[str]) -> list[_Plan]:
    chosen = [(table, _chosen(table, scale, datasets, is_alone=len(tables) == 1)) for table in tables]
    return [_Plan(table, names, table.all_lines(scale, names)) for table, names in chosen]


def _standing(plan: _Plan, scale: Scale, measured: Measured) -> Standing:
    table, datasets, lines = plan
    rows = [_shown(table, line, measured) for line in lines]
    needed = [measured.actual(step) for step in steps(lines)]
    return Standing(
        name=table.name,
        title=table.title,
        datasets=datasets,
        hours=hours(table.name, scale, datasets),
        rows=len(rows),
        rows_done=sum(row.left is None for row in rows),
        steps=len(needed),
        steps_done=len(needed) - len(measured.left.intersection(needed)),
        verdicts=dict(Counter(row.verdict for row in rows if row.verdict)),
    )


def _chosen(table: Table, scale: Scale, datasets: Sequence[str], *, is_alone: bool) -> list[str]:
    """The data sets of a table: those that were asked for; its own if none was.

    Several tables are asked for together, and not all of them have the same data sets. So a table that is not alone
    leaves out what is not its own, unless nothing would be left.
    """
    check_datasets(datasets)
    own = table.datasets_at(scale)
    common = [name for name in own if name in datasets]
    return common if common and not is_alone else list(dict.fromkeys(datasets)) or list(own)


def _filled(plan: _Plan, measured: Measured, made: Provenance) -> Reproduced:
    table, datasets, lines = plan
    rows = [_judged(table, line, measured) for line in lines]
    columns, own = columns_of(lines), [measured.actual(step) for step in steps(lines)]
    reused = [measured.reused[step] for step in own if step in measured.reused]
    hashes = {step.name: measured.hashes[step] for step in own if isinstance(step, Model) and step in measured.hashes}
    finished = [line for line in lines if not notes.left_of(line, measured)]
    return Reproduced(
        name=table.name,
        title=table.title,
        paper=table.paper,
        claim=table.claim,
        rule=table.printed_rule,
        label_columns=list(table.label_columns),
        columns=columns,
        rows=rows,
        verdict=None if any(row.left for row in rows) else table.overall(rows),
        panels=[*panels(table, rows, columns), *(each for line in finished for each in table.pictures(measured, line))],
        notes=[
            *table.notes,
            *notes.of_proofs(lines),
            *notes.of_choices(lines, measured),
            *notes.of_sources(lines, measured),
            *notes.of_precision(finished, measured),
            *notes.of_reuse(reused),
        ],
        provenance=made.model_copy(
            update={
                "cuts": cuts(table, Scale(made.scale), datasets),
                "datasets": datasets,
                "seeds": sorted({model.seed for line in finished for model in line.models}),
                "models": hashes,
                "reused": reused,
            }
        ),
    )


def steps(lines: Sequence[Line]) -> list[Step]:
    """Each thing once, in an order in which it can be done: the shortest trainings first, each with its questions.

    Timings come last, when nothing else runs.
    """
    every = dict.fromkeys(step for line in lines for step in line.steps())
    trained = sorted((step for step in every if isinstance(step, Model)), key=lambda model: model.epochs)
    models = dict.fromkeys(each for model in trained for each in (*model.needed, model))
    asked = [step for step in every if isinstance(step, Asked | Learned)]
    of_models = (step for model in models for step in (model, *(each for each in asked if each.model == model)))
    return [*of_models, *(step for step in every if isinstance(step, Timing))]


def columns_of(lines: Sequence[Line]) -> list[Column]:
    """The columns that any line has, in the order in which they come up."""
    cells = {name: cell for line in lines for name, cell in line.cells.items() if not cell.hidden}
    return [Column(name=name, unit=cell.unit) for name, cell in cells.items()]


def _judged(table: Table, line: Line, measured: Measured) -> Row:
    return table.judged(_row(line, measured))


def _shown(table: Table, line: Line, measured: Measured) -> Row:
    """As :func:`_judged`. A verdict may read images; where these are absent, the row has none, and no figures."""
    try:
        return _judged(table, line, measured)
    except InputError:
        return Row(labels=list(line.labels), figures={})


def _row(line: Line, measured: Measured) -> Row:
    """The figures and the evidence of a line; it is not judged yet."""
    figures = {
        name: Figure(paper=cell.paper, paper_deviation=cell.paper_deviation, paper_significant=cell.paper_significant)
        for name, cell in line.cells.items()
        if not cell.hidden
    }
    if left := notes.left_of(line, measured):
        return Row(labels=list(line.labels), figures=figures, left=left)
    models = line.members(measured)
    for name, stated in figures.items():
        ours = line.cells[name].figure(measured, models)
        figures[name] = ours.model_copy(update=stated.model_dump(include=STATED))
    others = [other for evidence in line.evidence.values() for other in evidence.lines]
    if left := next(filter(None, (notes.left_of(other, measured) for other in others)), None):
        return Row(labels=list(line.labels), figures=figures, left=f"another row that it is judged by: {left}")
    gain = line.evidence.get("gain")
    if line.star and isinstance(gain, Gain):
        starred = {"significant": gain.is_significant(measured, line.star.alpha)}
        figures[line.star.column] = figures[line.star.column].model_copy(update=starred)
    beside = line.evidence.get("baseline's gap")
    return Row(
        labels=list(line.labels),
        figures=figures,
        codes=_codes(line, measured),
        baseline_codes=_codes(beside.lines[0], measured) if beside else [],
        evidence={name: each.estimate(measured, figures) for name, each in line.evidence.items()},
    )


def _codes(line: Line, measured: Measured) -> list[str]:
    """Masking codes that the audit raised for half of the line's models or more."""
    models, found = line.members(measured), Counter[str]()
    audits = {question for question in line.questions if "audit" in question.settings.attacks}
    for model in models:
        warnings = [each for audit in audits for each in measured.answers[Asked(model, audit)].warnings]
        found.update({each.code for each in warnings if each.kind == "masking"})
    return sorted(code for code, count in found.items() if 2 * count >= len(models))
