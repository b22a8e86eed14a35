"""Sweeps: the same evaluation at several eps, or with several counts of EOT samples, each in a run of its own."""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from advtool import arguments
from advtool.arguments import shown
from advtool.data import as_pairs
from advtool.errors import InputError
from advtool.evaluation.evaluator import evaluate
from advtool.evaluation.observer import Observer
from advtool.evaluation.recognition import Begun, opened
from advtool.files import make_folder, refuse_links
from advtool.results import EotSweep, EpsSweep, Evaluation
from advtool.studies.points import Point, eot_curves, eps_curves
from advtool.target.arithmetic import plain_defaults
from advtool.target.handling import home_of
from advtool.threat import ThreatModel

EOT_DRAWS = (1, 2, 5, 10, 20, 50, 100)
"""The usual counts of EOT samples. Schwinn et al. (5.1) call a hundred more than sufficient."""
RUN_FOLDER = re.compile(r"(?:eps|eot)-[0-9]+(?:\.[0-9]+)?(?:e-[0-9]+)?")
"""The folder of a run, in that of its sweep."""


@plain_defaults()
def sweep_eps(
    model: nn.Module,
    images: Any,
    labels: Any = None,
    *,
    limit: int | None = None,
    eps: Sequence[float],
    attacks: str | Sequence[str] = ("fgsm", "pgd"),
    run_dir: Path | str | None = None,
    observer: Observer | None = None,
    **settings: Any,
) -> EpsSweep:
    """Robust accuracy against the radius of the ball (Wen & Itti, figure 3a; Schwinn et al., figure 5).

    Each eps has an evaluation and a run of its own. At eps 0 nothing is attacked: the accuracy is the clean accuracy.

    Args:
        model: float32 (N, C, H, W) in [0, 1] -> logits (N, classes), on any device.
        images: as for :func:`advtool.evaluate`.
        labels: class indices (N,); None where ``images`` brings them.
        limit: evaluate the first ``limit`` images; None takes all.
        eps: radii in [0, 1], fractions of the pixel range, in any order; at least one is above 0. :func:`eps_grid`
            gives usual ones.
        attacks: as for :func:`advtool.evaluate`.
        run_dir: folder that keeps a run ``eps-E`` for each eps. The same call goes on from there, also with more
            radii. None keeps nothing.
        observer: is told of the progress.
        settings: every other argument of :func:`advtool.evaluate`: seed, eot, votes, pgd_steps, device, ...

    Returns:
        The curves, in ascending order of eps.

    Raises:
        InputError: an argument is wrong; the message says what would be right.
    """
    radii = sorted({radius_of(radius) for radius in arguments.listed(f"eps={shown(eps)}", eps)})
    attacked = [radius for radius in radii if radius > 0]
    if not attacked:
        raise InputError("eps: a sweep needs at least one eps above 0, e.g. 0,0.1,0.2")
    ask = partial(evaluate, model, *as_pairs(images, labels, limit), attacks=attacks, **settings)
    return eps_curves(_points("eps", attacked, ask, run_dir, Observer.of(observer)), zero=radii[0] == 0)


@plain_defaults()
def sweep_eot(
    model: nn.Module,
    images: Any,
    labels: Any = None,
    *,
    limit: int | None = None,
    draws: Sequence[int] = EOT_DRAWS,
    eps: float = 8 / 255,
    attacks: str | Sequence[str] = ("pgd",),
    seed: int = 0,
    device: torch.device | str | None = None,
    run_dir: Path | str | None = None,
    observer: Observer | None = None,
    **settings: Any,
) -> EotSweep:
    """Robust accuracy against the EOT samples of a gradient (Schwinn et al., figure 4), and how many are enough.

    The votes of a prediction are the same at every count. A count is enough if the accuracy falls by less than
    ``MAX_FALL`` from it to every larger count, with paired 95 % confidence, and if every larger count passes too. The
    result proposes the smallest such count. It never proposes the largest count, since nothing is known beyond it.

    Args:
        model: a random model, as for :func:`sweep_eps`.
        images: as for :func:`advtool.evaluate`.
        labels: class indices (N,); None where ``images`` brings them.
        limit: evaluate the first ``limit`` images; None takes all.
        draws: counts of EOT samples, at least two, in any order.
        eps: radius of the L-infinity ball, in (0, 1].
        attacks: as for :func:`advtool.evaluate`.
        seed: seeds every random stream.
        device: where to compute; None computes where the model is.
        run_dir: folder that keeps a run ``eot-N`` for each count. The same call goes on from there, also with more
            counts. None keeps nothing.
        observer: is told of the progress.
        settings: every other argument of :func:`advtool.evaluate`: votes, pgd_steps, dataset, ...

    Returns:
        The curves, in ascending order of the counts.

    Raises:
        InputError: an argument is wrong, or the model is deterministic.
    """
    listed = arguments.listed(f"draws={shown(draws)}", draws)
    counts = sorted({arguments.count(f"draws={shown(count)}", count) for count in listed})
    seed = arguments.seed(f"seed={shown(seed)}", seed)
    if len(counts) < 2:
        raise InputError("draws: a sweep compares at least two counts, e.g. (1, 10, 100)")
    images, labels = as_pairs(images, labels, limit)
    _refuse_deterministic(model, images, seed=seed, device=device)
    ask = partial(evaluate, model, images, labels, eps=eps, attacks=attacks, seed=seed, device=device, **settings)
    return eot_curves(_points("eot", counts, ask, run_dir, Observer.of(observer)))


def radius_of(eps: Any) -> float:
    """The eps of a point: 0, which attacks nothing, or an eps of an evaluation."""
    return 0.0 if arguments.number(eps) == 0 else ThreatModel.of(eps).eps


def eps_grid(eps: float) -> list[float]:
    """Nine evenly spaced radii from 0 to twice ``eps``, or to 1 if that is smaller."""
    top = min(1.0, 2 * eps)
    return [round(top * step / 8, 12) for step in range(9)]


def _points(
    over: Literal["eps", "eot"],
    values: Sequence[float],
    ask: Callable[..., Evaluation],
    run_dir: Path | str | None,
    observer: Observer,
) -> list[Point]:
    """The evaluation at each value, in a run of its own. ``ask`` evaluates, given the value, a run and an observer."""
    folder = None if run_dir is None else _folder(over, run_dir)
    places = [None if folder is None else folder / f"{over}-{value!r}" for value in values]
    costs = values if over == "eot" else [1.0] * len(values)
    points = []
    for number, (value, place) in enumerate(zip(values, places, strict=True)):
        observer.point(f"{over} {value:g}", number, costs)
        points.append(Point(value, ask(**{over: value}, run_dir=place, observer=observer)))
        if number == 0:  # not before: a sweep that is refused leaves nothing behind
            _make(filter(None, places))
    return points


def _folder(over: str, run_dir: Path | str) -> Path:
    """The folder of the sweep, if it holds nothing else."""
    folder = arguments.path(f"run_dir={shown(run_dir)}", run_dir)
    if folder.exists():
        inside = [path.name for path in folder.iterdir()] if folder.is_dir() else [folder.name]
        strangers = [name for name in inside if not (re.fullmatch(RUN_FOLDER, name) and name.startswith(over))]
        if strangers:
            raise InputError(f"run_dir='{folder}' exists and is no sweep over {over}: name a new or empty folder")
        refuse_links(folder)
    return folder


def _make(places: Iterable[Path]) -> None:
    """Make the folders of all points: an empty one tells a reader what a stopped sweep was still to evaluate."""
    for place in places:
        try:
            make_folder(place)
        except OSError as error:
            raise InputError(f"cannot write '{place}': {error.strerror or error}") from None


def _refuse_deterministic(model: nn.Module, x: Tensor, *, seed: int, device: torch.device | str | None) -> None:
    place = home_of(model) if device is None else arguments.device(device)
    with opened(model, x, place, Begun(), seed=seed) as ours:
        randomised = ours.target.randomised
    if not randomised:
        raise InputError(
            "the model is deterministic, so all draws of its gradient are equal: 1 EOT sample is enough, and there is "
            "nothing to sweep ('advtool sweep eps' sweeps over eps)"
        )
