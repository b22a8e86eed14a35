"""Reads what the page of ``advtool report`` shows."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from advtool import arguments
from advtool.arguments import shown
from advtool.errors import InputError
from advtool.evaluation.by_class import by_class
from advtool.evaluation.checklist.checklist import checklist
from advtool.evaluation.checklist.commands import Commands
from advtool.evaluation.engine import SHOWN_IMAGES
from advtool.evaluation.examples import SHOWN
from advtool.evaluation.finished import FinishedRun, Labelled, read_finished
from advtool.results import CLEAN, Page, PagePair, PageRun, ShownExample
from advtool.studies.comparison import compare_finished
from advtool.studies.finished_sweep import is_sweep, read_sweep


def read_page(*folders: Path | str) -> Page:
    """Read finished runs and sweeps, and compare the first run with each of the others.

    Args:
        folders: of finished runs, or of sweeps, which hold a run for each value; at least one.

    Raises:
        InputError: a folder holds neither, a run is not finished, or one is named twice.
    """
    paths = [arguments.path(f"run {shown(folder)}", folder) for folder in folders]
    if not paths:
        raise InputError("no run given: name a folder that 'advtool eval' wrote")
    if twice := next((path for place, path in enumerate(paths) if path.resolve() in _resolved(paths[:place])), None):
        raise InputError(f"'{twice}' is named twice: name each run once")
    sweeps = [path for path in paths if is_sweep(path)]
    runs = [read_finished(path) for path in paths if path not in sweeps]
    return Page(
        runs=[_run(run) for run in runs],
        sweeps=[read_sweep(path) for path in sweeps],
        pairs=[_pair(runs[0], other) for other in runs[1:]],
    )


def _resolved(paths: Sequence[Path]) -> set[Path]:
    return {path.resolve() for path in paths}


def _run(run: FinishedRun) -> PageRun:
    labelled, asked = run.labelled(), run.manifest.asked
    surrogate = bool(run.manifest.configuration.get("surrogate"))
    return PageRun(
        name=str(run.folder),
        result=run.result,
        checklist=checklist(run.result),
        command=None if asked is None else Commands(run.result).again(asked, surrogate=surrogate),
        classes=by_class(run.result.outcomes, labelled.labels),
        examples=list(islice(_examples(run, labelled), SHOWN_IMAGES)),
    )


def _examples(run: FinishedRun, labelled: Labelled) -> Iterator[ShownExample]:
    outcomes = run.result.outcomes
    clean = outcomes.stages.index(CLEAN)
    for attack, parts in run.examples(SHOWN).items():
        stage = outcomes.stages.index(attack)
        for part in parts:
            for place, original, image in zip(part.places.tolist(), part.originals, part.images, strict=True):
                yield ShownExample(
                    index=labelled.indices[place],
                    label=labelled.labels[place],
                    attack=attack,
                    clean_prediction=int(outcomes.prediction[clean, place]),
                    prediction=int(outcomes.prediction[stage, place]),
                    original=original,
                    image=image,
                )


def _pair(a: FinishedRun, b: FinishedRun) -> PagePair:
    try:
        return PagePair(str(a.folder), str(b.folder), compare_finished(a, b))
    except InputError as error:
        return PagePair(str(a.folder), str(b.folder), str(error))
