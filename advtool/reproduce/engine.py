"""One table from its lines to its finished result: what is measured, the rows, the verdicts, the panels."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from advtool.checkpoints import SUFFIX, now
from advtool.data.catalogue import KNOWN
from advtool.errors import InputError, near_match
from advtool.evaluation import gains, provenance
from advtool.files import sha256
from advtool.reproduce.cuts import cuts
from advtool.reproduce.drawings import panels
from advtool.reproduce.laboratory import Laboratory, Measured
from advtool.reproduce.observer import Observer
from advtool.reproduce.registry import Scale
from advtool.reproduce.steps import CERTIFIED_EPS, Asked, Step, Timing
from advtool.reproduce.table import Gain, Line, Table
from advtool.reproduce.verdict import together
from advtool.results import CERTIFIED, Column, Provenance, Reproduced, Row


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

    Several tables may share a ``folder``. ``datasets`` are names that :func:`advtool.data.load` knows, by default the
    table's own; ``data_dir`` is their cache, and ``command`` is for the provenance.

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
    rows = [table.judged(_row(line, measured)) for line in lines]
    columns = columns_of(lines)
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
        panels=[*panels(table, rows, columns), *(each for line in lines for each in table.pictures(measured, line))],
        notes=[*table.notes, *of_proofs(lines), *choices(lines, measured), *_reuse(measured)],
        provenance=Provenance(
            command=command,
            scale=scale,
            cuts=all_cuts(table, scale, chosen),
            datasets=chosen,
            seeds=sorted({model.seed for line in lines for model in line.models}),
            models={path.name.removesuffix(SUFFIX): sha256(path) for path in measured.files.values()},
            environment=provenance.machine(place),
            date=now(),
            reused=measured.reused,
        ),
    )


def steps(lines: Sequence[Line]) -> list[Step]:
    """Each thing once, in an order in which it can be done; timings last, when nothing else runs."""
    every = dict.fromkeys(step for line in lines for step in line.steps())
    return sorted(every, key=lambda step: isinstance(step, Timing))


def columns_of(lines: Sequence[Line]) -> list[Column]:
    """The columns that any line has, in the order in which they come up."""
    cells = {name: cell for line in lines for name, cell in line.cells.items() if not cell.hidden}
    return [Column(name=name, unit=cell.unit) for name, cell in cells.items()]


def all_cuts(table: Table, scale: Scale, chosen: Sequence[str]) -> list[str]:
    """In what a result is less than the paper's protocol."""
    missing = [name for name in table.datasets if name not in chosen]
    others = [name for name in chosen if name not in table.datasets]
    return [
        *table.differs,
        *cuts(table.all_lines(scale, chosen), table.all_lines(Scale.paper, chosen)),
        *([f"no {', '.join(missing)}"] if missing else []),
        *([f"{', '.join(others)}, which the paper does not have"] if others else []),
    ]


def of_proofs(lines: Sequence[Line]) -> Iterator[str]:
    """What the column ``certified`` says, if there is one."""
    asked = [CERTIFIED in line.cells for line in lines]
    if any(asked):
        blank = "" if all(asked) else f" Asked for up to eps {CERTIFIED_EPS:g}, and blank elsewhere."
        yield (
            "Certified: images that bounds prove to have no adversarial example, so robust accuracy lies between it "
            f"and what the attacks leave.{blank}"
        )


def choices(lines: Sequence[Line], measured: Measured) -> Iterator[str]:
    """What a search or another choice by validation found."""
    for line in lines:
        for model in line.members(measured):
            name = measured.files[model].name.removesuffix(SUFFIX) if model in measured.files else model.name
            if line.chosen_by or name != model.name:
                yield f"{', '.join(line.labels)}: {name}"


def _row(line: Line, measured: Measured) -> Row:
    """The figures and the evidence of a line; it is not judged yet."""
    models, figures = line.members(measured), {}
    for name, cell in line.cells.items():
        if not cell.hidden:
            stated = {key: getattr(cell, key) for key in ("paper", "paper_deviation", "paper_significant")}
            figures[name] = cell.figure(measured, models).model_copy(update=stated)
    evidence = {
        name: each.estimate(measured) if isinstance(each, Gain) else gains.of_figure(figures[each])
        for name, each in line.evidence.items()
    }
    return Row(labels=list(line.labels), figures=figures, codes=_codes(line, measured), evidence=evidence)


def _codes(line: Line, measured: Measured) -> list[str]:
    """Masking codes that the audit raised for half of the line's models or more."""
    models, found = line.members(measured), Counter[str]()
    audits = {question for question in line.questions if "audit" in question.settings.attacks}
    for model in models:
        warnings = [each for audit in audits for each in measured.answers[Asked(model, audit)].warnings]
        found.update({each.code for each in warnings if each.kind == "masking"})
    return sorted(code for code, count in found.items() if 2 * count >= len(models))


def _reuse(measured: Measured) -> Iterator[str]:
    """What an earlier call had finished, by where and when."""
    parts = Counter("a time and a machine that were not noted" for each in measured.reused if not each.date)
    for each in measured.reused:
        if each.date:
            where = "{device}, {threads} threads, torch {torch}".format_map(each.environment)
            parts[f"{each.date:%Y-%m-%d}, {where}"] += 1
    yield from (f"{count} parts were finished before: {where}" for where, count in parts.items())
