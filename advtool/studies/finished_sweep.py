"""Reads a sweep from its folder again, once all its runs are finished."""

import re
from pathlib import Path

from advtool.errors import InputError
from advtool.evaluation.finished import read_finished
from advtool.results import Sweep
from advtool.studies.sweep import RUN_FOLDER, Point, eot_curves, eps_curves


def is_sweep(folder: Path) -> bool:
    """Whether the folder holds the runs of a sweep, as ``advtool sweep`` or ``sweep_eps(run_dir=...)`` wrote them."""
    return folder.is_dir() and not (folder / "manifest.json").exists() and bool(_runs(folder))


def read_sweep(folder: Path) -> Sweep:
    """The curves of a sweep. One over eps begins at 0, where nothing is attacked.

    Raises:
        InputError: a run is not finished or damaged, or the runs do not belong together.
    """
    points = []
    for path in _runs(folder):
        over, _, value = path.name.partition("-")
        points.append((over, Point(float(value), read_finished(path).result)))
    points.sort(key=lambda point: point[1].value)
    kinds = {over for over, _ in points}
    questions = {(str(each.evaluation.model), len(each.evaluation.outcomes), each.names) for _, each in points}
    if len(kinds) > 1 or len(questions) > 1:
        raise InputError(f"the runs in '{folder}' differ in more than one value: they are not of one sweep")
    if kinds == {"eps"}:
        return eps_curves([point for _, point in points], zero=True)
    return eot_curves([Point(int(point.value), point.evaluation) for _, point in points])


def _runs(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if re.fullmatch(RUN_FOLDER, path.name)]
