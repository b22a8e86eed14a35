"""The smallest eps that breaks each image: how near is the nearest adversarial example?"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from advtool import arguments
from advtool.arguments import shown
from advtool.attacks.nearest import Nearest
from advtool.data import as_indices, as_pairs
from advtool.errors import InputError
from advtool.evaluation import summary
from advtool.evaluation.evaluator import evaluate
from advtool.evaluation.observer import Observer
from advtool.evaluation.uncertainty import quantile_ranks
from advtool.results import (
    EpsQuantile,
    Evaluation,
    ImageEps,
    NearestBy,
    Outcomes,
    PerImageSweep,
    SweepPoint,
)
from advtool.results.sweep import MEDIAN
from advtool.studies.points import Point, certified, common
from advtool.studies.sweep import radius_of
from advtool.target.arithmetic import plain_defaults
from advtool.threat import NORMS, Linf

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@plain_defaults()
def smallest_eps(
    model: nn.Module,
    images: Any,
    labels: Any = None,
    *,
    limit: int | None = None,
    eps: Sequence[float] | None = None,
    attacks: str | Sequence[str] = (Nearest.name,),
    run_dir: Path | str | None = None,
    indices: Sequence[int] | Tensor | None = None,
    observer: Observer | None = None,
    **settings: Any,
) -> PerImageSweep:
    """The smallest eps that breaks each image, and the curve that follows from it.

    One evaluation searches the ball of the largest eps. What an attack finds counts with its own distance, once the
    verifier has accepted it, so each eps is an upper bound of the true one. A misclassified image has eps 0.

    Args:
        model: float32 (N, C, H, W) in [0, 1] -> logits (N, classes), on any device.
        images: as for :func:`advtool.evaluate`.
        labels: class indices (N,); None where ``images`` brings them.
        limit: take the first ``limit`` images; None takes all.
        eps: radii in [0, 1] at which the curve is given; nothing is searched beyond the largest. None gives nine even
            radii up to the largest eps found, and searches as far as there are images.
        attacks: as for :func:`advtool.evaluate`. ``nearest`` and minimum-norm attacks of ART look for near examples;
            others stop at the first that they find.
        run_dir: folder of the evaluation's run. The same call goes on from there. None keeps nothing.
        indices: int (N,), the index of each image in its data set; None counts from 0.
        observer: is told of the progress.
        settings: every other argument of :func:`advtool.evaluate`: seed, eot, votes, device, ...

    Raises:
        InputError: an argument is wrong; the message says what would be right.
    """
    radii = None if eps is None else sorted({radius_of(each) for each in arguments.listed(f"eps={shown(eps)}", eps)})
    if radii is not None and (not radii or radii[-1] == 0):
        raise InputError("eps: the search needs an eps above 0, e.g. 0.3")
    largest = NORMS[Linf.name].largest_eps if radii is None else radii[-1]
    x, y = as_pairs(images, labels, limit)
    evaluation = evaluate(
        model, x, y, eps=largest, attacks=attacks, run_dir=run_dir, indices=indices, observer=observer, **settings
    )
    outcomes = evaluation.outcomes
    smallest = outcomes.smallest_eps
    broken = outcomes.clean & smallest.isfinite()
    if radii is None:
        radii = _even_radii(float(smallest[broken].max()) if broken.any() else largest)
    return PerImageSweep(
        **common(evaluation),
        worst_case=[_point(smallest, outcomes.clean, radius) for radius in radii],
        certified=certified([Point(largest, evaluation)]),
        warnings=[finding.model_copy(update={"value": largest}) for finding in evaluation.warnings],
        eot=evaluation.eot,
        largest=largest,
        misclassified=int((~outcomes.clean).sum()),
        broken=int(broken.sum()),
        unbroken=int(smallest.isinf().sum()),
        median=quantile(smallest, MEDIAN),
        quantiles=[quantile(smallest, share) for share in QUANTILES],
        attacks=_by_attack(evaluation),
        per_image=list(_per_image(outcomes, y, as_indices(indices, len(y)))),
    )


def quantile(smallest: Tensor, share: float) -> EpsQuantile:
    """The smallest eps at which at least ``share`` of the images are broken, with its 95 % interval.

    Args:
        smallest: of each image, float64 (N,); infinite where no example was found.
        share: in (0, 1).
    """
    ordered = [0.0, *smallest.sort().values.tolist(), math.inf]
    low, high = (ordered[rank] for rank in quantile_ranks(share, len(smallest)))
    middle = ordered[math.ceil(share * len(smallest))]
    return EpsQuantile(share=share, eps=_or_none(middle), interval=(_or_none(low), _or_none(high)))


def _or_none(eps: float) -> float | None:
    return eps if math.isfinite(eps) else None


def _even_radii(top: float) -> list[float]:
    return [top * step / 8 for step in range(9)]


def _point(smallest: Tensor, clean: Tensor, radius: float) -> SweepPoint:
    """The images that no example breaks within the radius. At 0 these are the images that are classified right."""
    return SweepPoint(value=radius, **summary.worst_case(clean & (smallest > radius)).model_dump())


def _by_attack(evaluation: Evaluation) -> list[NearestBy]:
    outcomes = evaluation.outcomes
    nearest = outcomes.nearest_stage
    return [
        NearestBy(
            name=attack.name,
            parameters=attack.parameters,
            nearest=int((nearest == outcomes.stages.index(attack.name)).sum()),
            median=quantile(outcomes.smallest_eps_by(attack.name), MEDIAN),
            seconds=attack.seconds,
            model_calls=attack.model_calls,
        )
        for attack in evaluation.attacks
    ]


def _per_image(outcomes: Outcomes, labels: Tensor, indices: Sequence[int]) -> Iterator[ImageEps]:
    stages, predictions = outcomes.nearest_stage, outcomes.prediction
    smallest = outcomes.smallest_eps.tolist()
    for place, (index, label, stage) in enumerate(zip(indices, labels.tolist(), stages.tolist(), strict=True)):
        known = math.isfinite(smallest[place])
        yield ImageEps(
            index=index,
            place=place,
            label=label,
            eps=_or_none(smallest[place]),
            attack=outcomes.stages[stage] if stage else None,
            prediction=int(predictions[stage, place]) if known else None,
        )
