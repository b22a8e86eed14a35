"""One table from its lines to its finished result: what is measured, the rows, the verdicts, the panels."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from advtool.checkpoints import now
from advtool.data.catalogue import KNOWN
from advtool.errors import InputError, near_match
from advtool.evaluation import provenance
from advtool.reproduce.cuts import cuts
from advtool.reproduce.drawings import panels
from advtool.reproduce.laboratory import Laboratory, Measured, hash_of
from advtool.reproduce.observer import Observer
from advtool.reproduce.registry import Scale
from advtool.reproduce.steps import Asked, Step, Timing
from advtool.reproduce.table import Counted, Line, Table
from advtool.reproduce.verdict import together
from advtool.results import Column, Provenance, Reproduced, Row


def reproduce(
    table: Table,
    scale: Scale,
    *,
    folder: Path,
    datasets: Sequence[str] = (),
    device: torch.device | str = "cpu",
    data_dir: Path | None = None,
    command: str = "",
    observer: Observer | None = None,
) -> Reproduced:
    """Train and evaluate what a table needs, and fill it; what ``folder`` holds already is not computed again.

    Args:
        table: from :func:`advtool.reproduce.registry.find`, or one of your own.
        scale: how much is spent.
        folder: keeps models and evaluations; several tables may share it.
        datasets: names that :func:`advtool.data.load` knows; none: the table's own.
        device: where to compute.
        data_dir: the cache of data sets.
        command: for the provenance.
        observer: hears of the progress.

    Raises:
        InputError: a data set is unknown or cannot be read, or the folder cannot be written.
    """
    for dataset in datasets:
        if dataset not in KNOWN:
            raise InputError(f"--dataset '{dataset}': no such data set{near_match(dataset, KNOWN)}")
    chosen = list(dict.fromkeys(datasets)) or list(table.other_datasets.get(scale, table.datasets))
    try:
        folder.mkdir(parents=True, exist_ok=True)  # before hours of work, not after
    except OSError as error:
        raise InputError(f"--run-dir '{folder}': cannot be made ({error.strerror})") from None
    lines, place = table.all_lines(scale, chosen), torch.device(device)
    measured = Laboratory(folder, place, data_dir, observer or Observer()).carry_out(steps(lines))
    rows = [table.judged(measured_row(line, measured)) for line in lines]
    columns = columns_of(lines)
    pictures = table.pictures or (lambda *_: [])
    return Reproduced(
        name=table.name,
        title=table.title,
        paper=table.paper,
        claim=table.claim,
        rule=table.printed_rule,
        label_columns=list(table.label_columns),
        columns=columns,
        rows=rows,
        verdict=together(row.verdict for row in rows),
        panels=[*panels(table, rows, columns), *(each for line in lines for each in pictures(measured, line))],
        notes=[*table.notes, *_reuse(measured)],
        provenance=Provenance(
            command=command,
            scale=scale,
            cuts=all_cuts(table, scale, chosen),
            datasets=chosen,
            seeds=seeds(lines),
            models={model.name: hash_of(path) for model, path in measured.files.items()},
            environment=provenance.machine(place),
            date=now(),
            reused=measured.reused,
        ),
    )


def steps(lines: Sequence[Line]) -> list[Step]:
    """Each thing once, in an order in which it can be done; timings last, when nothing else runs."""
    every = dict.fromkeys(step for line in lines for step in line.steps())
    return sorted(every, key=lambda step: isinstance(step, Timing))


def seeds(lines: Sequence[Line]) -> list[int]:
    """Of all trainings and evaluations."""
    models = [model for line in lines for model in line.models]
    timed = [model for step in steps(lines) if isinstance(step, Timing) for model in step.models]
    asked = [step.question.settings.seed for step in steps(lines) if isinstance(step, Asked)]
    return sorted({*asked, *(model.seed for model in (*models, *timed))})


def columns_of(lines: Sequence[Line]) -> list[Column]:
    """The columns that any line has, in the order in which they come up."""
    cells = {name: cell for line in lines for name, cell in line.cells.items() if not cell.hidden}
    return [Column(name=name, unit=cell.unit) for name, cell in cells.items()]


def measured_row(line: Line, measured: Measured) -> Row:
    """The figures and the evidence of a line; it is not judged yet."""
    models = line.members(measured)
    cells = {name: cell for name, cell in line.cells.items() if not cell.hidden}
    stated = ("paper", "paper_deviation", "paper_significant")
    figures = {
        name: cell.ours(measured, models).model_copy(update={key: getattr(cell, key) for key in stated})
        for name, cell in cells.items()
    }
    evidence = {name: each.estimate(measured) for name, each in line.evidence.items()}
    return Row(labels=list(line.labels), figures=figures, codes=frequent_codes(line, measured), evidence=evidence)


def frequent_codes(line: Line, measured: Measured) -> list[str]:
    """Masking codes that the audit raised for half of the line's models or more."""
    models = line.members(measured)
    asked = {question for cell in line.cells.values() if isinstance(cell, Counted) for question in cell.questions}
    audits = [question for question in asked if "audit" in question.settings.attacks]
    found = Counter(
        code
        for model in models
        for code in {
            warning.code
            for audit in audits
            for warning in measured.answers[Asked(model, audit)].warnings
            if warning.kind == "masking"
        }
    )
    return sorted(code for code, count in found.items() if 2 * count >= len(models))


def all_cuts(table: Table, scale: Scale, chosen: Sequence[str]) -> list[str]:
    """In what a result is less than the paper's protocol."""
    lines = [table.all_lines(each, chosen) for each in (scale, Scale.paper)]
    return [*table.differs, *cuts(*lines), *_other_images(table, chosen)]


def _other_images(table: Table, chosen: Sequence[str]) -> Iterator[str]:
    if missing := [name for name in table.datasets if name not in chosen]:
        yield f"no {', '.join(missing)}"
    if others := [name for name in chosen if name not in table.datasets]:
        yield f"{', '.join(others)}, which the paper does not have"


def _reuse(measured: Measured) -> Iterator[str]:
    """What an earlier call had finished, by where and when."""
    found = Counter(
        f"{each.date:%Y-%m-%d}, {each.environment['device']}, {each.environment['threads']} threads, "
        f"torch {each.environment['torch']}"
        if each.date
        else "a time and a machine that were not noted"
        for each in measured.reused
    )
    yield from (f"{count} parts were finished before: {where}" for where, count in found.items())
