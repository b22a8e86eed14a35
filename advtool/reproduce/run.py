"""One table from its name to its finished result and files."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from advtool.checkpoints import now
from advtool.data.catalogue import KNOWN
from advtool.errors import InputError, near_match
from advtool.evaluation import provenance
from advtool.reproduce.laboratory import Laboratory, Measured, hash_of
from advtool.reproduce.observer import Observer
from advtool.reproduce.plan import Model, Plan, Question
from advtool.reproduce.registry import Reproduction
from advtool.reproduce.scale import Scale
from advtool.reproduce.verdict import together
from advtool.results import Provenance, Reproduced


def reproduce(
    table: Reproduction,
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
        table: from :func:`advtool.reproduce.registry.find`.
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
    chosen = list(dict.fromkeys(datasets)) or list(table.default_datasets(scale))
    _make(folder)
    plan = table.plan(scale, chosen)
    place = torch.device(device)
    measured = Laboratory(folder, place, data_dir, observer or Observer()).carry_out(plan)
    content = table.tabulate(measured, scale, chosen)
    return Reproduced(
        name=table.name,
        title=table.title,
        paper=table.paper,
        claim=table.claim,
        rule=table.rule,
        label_columns=list(content.label_columns),
        columns=list(content.columns),
        rows=list(content.rows),
        verdict=together(row.verdict for row in content.rows),
        panels=list(content.panels),
        notes=list(content.notes),
        provenance=Provenance(
            command=command,
            scale=scale,
            cuts=[*plan.cuts, *_other_images(table, chosen)],
            datasets=chosen,
            seeds=_seeds(plan),
            models=_models(measured),
            environment=provenance.machine(place),
            date=now(),
        ),
    )


def _make(folder: Path) -> None:
    """Before hours of work, not after."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--run-dir '{folder}': cannot be made ({error.strerror})") from None


def _other_images(table: Reproduction, chosen: Sequence[str]) -> Iterator[str]:
    """Where the data sets are not the paper's."""
    if missing := [name for name in table.datasets if name not in chosen]:
        yield f"no {', '.join(missing)}"
    if others := [name for name in chosen if name not in table.datasets]:
        yield f"{', '.join(others)}, which the paper does not have"


def _seeds(plan: Plan) -> list[int]:
    timed = {model.seed for timing in plan.timings for model in timing.models}
    return sorted(timed | {step.seed for step in plan.steps() if isinstance(step, Model | Question)})


def _models(measured: Measured) -> dict[str, str]:
    return {model.name: hash_of(path) for model, path in measured.files.items()}
