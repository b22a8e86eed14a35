"""Repeats an evaluation with several seeds: how much does the answer vary with the seed?"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from torch import nn

from advtool import arguments
from advtool.arguments import shown
from advtool.data import as_pairs
from advtool.errors import InputError
from advtool.evaluation.evaluator import evaluate
from advtool.evaluation.observer import Observer
from advtool.results import AttackResult, AttackSpread, Evaluation, SeedsEvaluation, SeedsSummary, Spread

OF_ONE_SEED = {"seed": "leave it out", "run_dir": "name run_dirs, a folder for each"}
"""Arguments of :func:`advtool.evaluate` that several seeds cannot share, and what to do instead."""


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
    """Repeat an evaluation with several seeds. Each seed has a run of its own.

    The images and the model are the same each time. So the spread comes from the random starts of the attacks and from
    the model's own noise. It says nothing about other images or another training.

    Args:
        model: as for :func:`advtool.evaluate`.
        images: as for :func:`advtool.evaluate`.
        labels: class indices (N,); None where ``images`` brings them.
        limit: evaluate the first ``limit`` images; None takes all.
        seeds: at least two integers of at least 0, all different.
        run_dirs: the folder of each seed's run; the same call goes on from the shards in them. None keeps nothing.
        observer: is told of the progress.
        settings: every other argument of :func:`advtool.evaluate`: eps, attacks, votes, ...

    Returns:
        The evaluations, and the mean, standard deviation and range of each accuracy.

    Raises:
        InputError: the seeds are fewer than two or not all different, a seed has no folder of its own, ``seed`` or
            ``run_dir`` is given as well, or :func:`advtool.evaluate` refuses an argument.
    """
    for one, instead in OF_ONE_SEED.items():
        if one in settings:
            raise InputError(f"{one}={shown(settings[one])} goes with one seed: with seeds={shown(seeds)} {instead}")
    seeds = [arguments.seed(f"seed={shown(seed)}", seed) for seed in arguments.listed(f"seeds={shown(seeds)}", seeds)]
    if len(seeds) < 2 or len(set(seeds)) < len(seeds):
        raise InputError(f"seeds={shown(seeds)} must be at least two, all different")
    folders = None if run_dirs is None else _folders(run_dirs)
    if folders is not None and len(set(folders) - {None}) != len(seeds):
        raise InputError(f"run_dirs must name a folder for each of the {len(seeds)} seeds, and all different folders")
    observer = Observer.of(observer)
    images, labels = as_pairs(images, labels, limit)
    evaluations = []
    for number, seed in enumerate(seeds):
        observer.point(f"seed {seed}", number, [1.0] * len(seeds))
        run_dir = None if folders is None else folders[number]
        evaluations.append(evaluate(model, images, labels, seed=seed, run_dir=run_dir, observer=observer, **settings))
    return SeedsEvaluation(seeds=seeds, summary=summarise(evaluations), evaluations=evaluations)


def summarise(evaluations: Sequence[Evaluation]) -> SeedsSummary:
    """The mean, standard deviation and range of each accuracy over evaluations with the same attacks.

    Raises:
        ValueError: there are fewer than two evaluations, or they have different attacks.
    """
    minima = [each.effective_robustness.accuracy for each in evaluations if each.effective_robustness is not None]
    certified = [each.certified.accuracy for each in evaluations if each.certified is not None]
    attacks = zip(*(each.attacks for each in evaluations), strict=True)
    return SeedsSummary(
        clean=Spread(**_spread([each.clean.accuracy for each in evaluations])),
        attacks=[spread for same in attacks for spread in _attack_spread(same)],
        effective_robustness=Spread(**_spread(minima)) if minima else None,
        worst_case=Spread(**_spread([each.worst_case.accuracy for each in evaluations])),
        certified=Spread(**_spread(certified)) if len(certified) == len(evaluations) else None,
    )


def _folders(run_dirs: Any) -> list[Path | None]:
    listed = arguments.listed(f"run_dirs={shown(run_dirs)}", run_dirs)
    return [None if each is None else arguments.path(f"run_dirs={shown(each)}", each) for each in listed]


def _attack_spread(same: Sequence[AttackResult]) -> Iterator[AttackSpread]:
    """The spread of one attack's accuracies; nothing if it saw survivors only."""
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
