"""Reads a sweep from its folder again: the points that are finished, and which ones are not."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from advtool.errors import InputError
from advtool.evaluation.finished import HOW_TO_GO_ON, FinishedRun, read_finished
from advtool.evaluation.manifest import FOLLOWING, MANIFEST, differences
from advtool.evaluation.run import RESULT
from advtool.results import PageSweep
from advtool.studies.points import Point, eot_curves, eps_curves
from advtool.studies.sweep import RUN_FOLDER


def is_sweep(folder: Path) -> bool:
    """Whether the folder holds the runs of a sweep, as ``advtool sweep`` or ``sweep_eps(run_dir=...)`` wrote them."""
    return folder.is_dir() and not (folder / MANIFEST).exists() and bool(_runs(folder))


def read_sweep(folder: Path) -> PageSweep:
    """The curves of a sweep, and the points that they lack. One over eps begins at 0, where nothing is attacked.

    Raises:
        InputError: no run is finished, one is damaged, or the runs do not belong together.
    """
    places = sorted(((*_place(path), path) for path in _runs(folder)), key=lambda place: place[1])
    kinds = {over for over, _, _ in places}
    if len(kinds) > 1:
        raise InputError(
            f"'{folder}' holds runs of two sweeps, over {' and over '.join(sorted(kinds))}: name one of them"
        )
    (over,) = kinds
    finished = [(value, read_finished(path)) for _, value, path in places if (path / RESULT).is_file()]
    if not finished:
        raise InputError(f"no run of the sweep '{folder}' is finished: {HOW_TO_GO_ON}")
    _refuse_others(folder, over, finished)
    points = [Point(value, run.result) for value, run in finished]
    missing = sorted({value for _, value, _ in places} - {value for value, _ in finished})
    return PageSweep(str(folder), eps_curves(points, zero=True) if over == "eps" else eot_curves(points), missing)


def _refuse_others(folder: Path, over: str, finished: Sequence[tuple[float, FinishedRun]]) -> None:
    """Refuse runs that differ in more than the value of the sweep."""
    (_, first), *others = finished
    for value, run in others:
        if (differing := differences(_asked(first, over), _asked(run, over))) or run.attacks != first.attacks:
            what = next(iter(differing), "the attacks")
            raise InputError(f"the runs in '{folder}' are not of one sweep: {what} differs at {over} {value:g}")


def _place(path: Path) -> tuple[str, float]:
    """What the sweep is over, and its value in this run."""
    over, _, written = path.name.partition("-")
    value = float(written)
    return over, int(value) if over == "eot" else value


def _asked(run: FinishedRun, over: str) -> dict[str, Any]:
    """All that a run was asked, but for what the sweep is over and what follows from it."""
    configuration = run.manifest.configuration
    settings = {key: value for key, value in configuration.items() if key not in (over, *FOLLOWING)}
    asked = {key: value for key, value in (run.manifest.asked or {}).items() if key != over}
    return settings | asked | {"model": run.result.model.get("fingerprint")}


def _runs(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if re.fullmatch(RUN_FOLDER, path.name)]
