"""Reads a sweep from its folder again, once all its runs are finished."""

import re
from pathlib import Path
from typing import Any

from advtool.errors import InputError
from advtool.evaluation.finished import FinishedRun, read_finished
from advtool.evaluation.manifest import FOLLOWING, differences
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
    runs = [(*_place(path), read_finished(path)) for path in _runs(folder)]
    runs.sort(key=lambda run: run[1])
    kinds = {over for over, _, _ in runs}
    if len(kinds) > 1:
        raise InputError(
            f"'{folder}' holds runs of two sweeps, over {' and over '.join(sorted(kinds))}: name one of them"
        )
    (over, _, first), *others = runs
    for _, value, run in others:
        if (differing := differences(_asked(first, over), _asked(run, over))) or run.attacks != first.attacks:
            what = next(iter(differing), "the attacks")
            raise InputError(f"the runs in '{folder}' are not of one sweep: {what} differs at {over} {value:g}")
    points = [Point(value, run.result) for _, value, run in runs]
    if kinds == {"eps"}:
        return eps_curves(points, zero=True)
    return eot_curves([Point(int(point.value), point.evaluation) for point in points])


def _place(path: Path) -> tuple[str, float]:
    """What the sweep is over, and its value in this run."""
    over, _, value = path.name.partition("-")
    return over, float(value)


def _asked(run: FinishedRun, over: str) -> dict[str, Any]:
    """All that a run was asked, but for what the sweep is over and what follows from it."""
    configuration = run.manifest.configuration
    settings = {key: value for key, value in configuration.items() if key not in (over, *FOLLOWING)}
    asked = {key: value for key, value in (run.manifest.asked or {}).items() if key != over}
    return settings | asked | {"model": run.result.model.get("fingerprint")}


def _runs(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if re.fullmatch(RUN_FOLDER, path.name)]
