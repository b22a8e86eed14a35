"""One evaluation with several seeds: how much of the answer is the seed's?"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from torch import nn

from advtool import arguments
from advtool.arguments import shown
from advtool.data import as_pairs
from advtool.errors import InputError
from advtool.evaluation import inputs
from advtool.evaluation.evaluator import evaluate
from advtool.evaluation.observer import Observer
from advtool.results import AttackResult, AttackSpread, Evaluation, SeedsEvaluation, SeedsSummary, Spread


def evaluate_seeds(
    model: nn.Module,
    images: Any,
    labels: Any = None,
    *,
    limit: int | None = None,
    seeds: Sequence[int],
    run_dirs: Sequence[Path | str] | None = None,
    observer: Observer | None = None,
    **settings: Any,
) -> SeedsEvaluation:
    """Repeat an evaluation with several seeds, each a run of its own.

    The images and the model are the same each time, so the spread is that of the attacks' random starts and of
    the model's own noise: not of the choice of images, and not of another training.

    Args:
        model: as for :func:`advtool.evaluate`.
        images: as for :func:`advtool.evaluate`.
        labels: class indices (N,); None where ``images`` brings them.
        limit: how many images at most; None takes all.
        seeds: at least two, all different.
        run_dirs: a folder for the run of each seed, from which the same call goes on; None keeps nothing.
        observer: hears of the progress.
        settings: every other argument of :func:`advtool.evaluate`: eps, attacks, votes, ...

    Returns:
        The evaluations, and mean, standard deviation and range over them.

    Raises:
        InputError: fewer than two different seeds, not one folder for each, or what ``evaluate`` refuses.
    """
    seeds = [arguments.seed(f"seed={shown(seed)}", seed) for seed in inputs.as_list("seeds", seeds)]
    if len(seeds) < 2 or len(set(seeds)) < len(seeds):
        raise InputError(f"seeds={shown(seeds)} must be at least two, all different")
    folders = (
        None if run_dirs is None else [inputs.as_folder("run_dirs", f) for f in inputs.as_list("run_dirs", run_dirs)]
    )
    if folders is not None and len(set(folders) - {None}) != len(seeds):
        raise InputError(f"run_dirs must name a folder for each of the {len(seeds)} seeds, all different")
    observer = observer or Observer()
    images, labels = as_pairs(images, labels, limit)
    evaluations = []
    for number, seed in enumerate(seeds):
        observer.point(f"seed {seed}", number, [1.0] * len(seeds))
        run_dir = None if folders is None else folders[number]
        evaluations.append(evaluate(model, images, labels, seed=seed, run_dir=run_dir, observer=observer, **settings))
    return SeedsEvaluation(seeds=seeds, summary=summarise(evaluations), evaluations=evaluations)


def summarise(evaluations: Sequence[Evaluation]) -> SeedsSummary:
    """Mean, standard deviation and range of every accuracy over evaluations with the same attacks.

    Raises:
        ValueError: fewer than two evaluations, or other attacks in one of them.
    """
    minima = [each.effective_robustness.accuracy for each in evaluations if each.effective_robustness is not None]
    attacks = zip(*(each.attacks for each in evaluations), strict=True)
    return SeedsSummary(
        clean=Spread(**_spread([each.clean.accuracy for each in evaluations])),
        attacks=[spread for same in attacks for spread in _attack_spread(same)],
        effective_robustness=Spread(**_spread(minima)) if minima else None,
        worst_case=Spread(**_spread([each.worst_case.accuracy for each in evaluations])),
    )


def _attack_spread(same: Sequence[AttackResult]) -> Iterator[AttackSpread]:
    """Over the results of one attack; nothing if it saw survivors only."""
    accuracies = [attack.accuracy for attack in same if attack.accuracy is not None]
    if accuracies:
        yield AttackSpread(name=same[0].name, **_spread(accuracies))


def _spread(accuracies: list[float]) -> dict[str, float]:
    return {
        "mean": fmean(accuracies),
        "standard_deviation": stdev(accuracies),
        "lowest": min(accuracies),
        "highest": max(accuracies),
    }
