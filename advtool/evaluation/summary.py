"""The accuracies of a run, counted from its outcomes."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from advtool.attacks.suites import Scope
from advtool.evaluation.attack_stage import AttackStage
from advtool.evaluation.ledger import Cost
from advtool.evaluation.uncertainty import wilson_interval
from advtool.results import (
    AttackResult,
    Certified,
    CleanAccuracy,
    Diagnostics,
    EffectiveRobustness,
    EpsPoint,
    KnownNoise,
    Outcome,
    Outcomes,
    Planted,
    SingleDraw,
    WorstCase,
)
from advtool.target.inspection import Inspection


def clean_accuracy(right: Tensor) -> CleanAccuracy:
    """The clean accuracy. ``right`` tells which images are classified right, bool (N,)."""
    return CleanAccuracy(correct=int(right.sum()), **_proportion(right))


def attack_result(stage: AttackStage, outcomes: Outcomes, cost: Cost, *, given_up: int) -> AttackResult:
    """The robust accuracy under an attack that saw every image; the survivors of a later attack in a cascade."""
    left = stage.standing(outcomes)
    if stage.scope is Scope.every:
        figures = {"robust": int(left.sum()), **_proportion(left)}
    else:
        met = int(outcomes.standing_before(stage.label).sum())
        figures = {"total": len(outcomes), "survivors_in": met, "survivors_out": int(left.sum())}
    examples = outcomes.on_examples.get(stage.label)
    return AttackResult(
        name=stage.label,
        parameters=stage.parameters,
        **figures,
        seconds=round(cost.seconds, 3),
        model_calls=cost.model_calls,
        accuracy_on_examples=None if examples is None else int(examples.sum()) / len(examples),
        given_up=given_up or None,
    )


def effective_robustness(attacks: Sequence[AttackResult]) -> EffectiveRobustness | None:
    """The lowest robust accuracy, and the first attack that reached it (Schwinn et al., Min).

    None if no attack saw every image.
    """
    seen_all = [
        (attack.accuracy, attack.interval, attack.name)
        for attack in attacks
        if attack.accuracy is not None and attack.interval is not None
    ]
    if not seen_all:
        return None
    accuracy, interval, name = min(seen_all, key=lambda attack: attack[0])
    return EffectiveRobustness(accuracy=accuracy, interval=interval, attack=name)


def worst_case(standing: Tensor) -> WorstCase:
    """The worst case. ``standing`` tells which images survive every attack, bool (N,)."""
    return WorstCase(robust=int(standing.sum()), **_proportion(standing))


def certified(proved: Tensor, methods: Sequence[str], cost: Cost) -> Certified:
    """How many images are proved robust.

    Args:
        proved: which images are, bool (N,).
        methods: the bounds that were used; none if no image was left to prove.
        cost: of the proofs.
    """
    return Certified(
        robust=int(proved.sum()),
        **_proportion(proved),
        method=" and ".join(methods) or "none",
        seconds=round(cost.seconds, 3),
    )


def single_draw(outcomes: Outcomes, right: Tensor, draws: int) -> SingleDraw:
    """How often a single draw is right, at each image's point of lowest margin.

    Args:
        outcomes: of the N images.
        right: how many of the draws are right at the candidate of each stage, int64 (S, N).
        draws: how many were asked at each point.
    """
    share = right.gather(0, outcomes.weakest_stage[None]).double().mean().item() / draws
    total = len(outcomes)
    # the interval for one draw of each image: that of their mean is no wider
    return SingleDraw(draws=draws, total=total, accuracy=share, interval=wilson_interval(round(share * total), total))


def known_noise(held: Tensor, attack: str, cost: Cost) -> KnownNoise:
    """The accuracy under an attack that knows the noise.

    Args:
        held: whether each image held in each field, bool (N, fields).
        attack: the label of the attack.
        cost: of the stage.
    """
    return KnownNoise(
        fields=held.shape[1],
        robust=held.sum(0).tolist(),
        total=len(held),
        accuracy=held.double().mean().item(),
        attack=attack,
        seconds=round(cost.seconds, 3),
    )


def planted(outcomes: Tensor, found_by: dict[str, int], attack: str, cost: Cost) -> Planted | None:
    """How many planted examples were found; None if none could be planted.

    Args:
        outcomes: of the stage, uint8 (N,).
        found_by: how many each attack found, by its label.
        attack: the attacks as they were asked for.
        cost: of the stage.
    """
    found, missed = (int((outcomes == outcome).sum()) for outcome in (Outcome.found, Outcome.missed))
    if not found + missed:
        return None
    return Planted(found=found, total=found + missed, attack=attack, found_by=found_by, seconds=round(cost.seconds, 3))


def diagnostics(clean: Sequence[bool], by_eps: Mapping[float, Sequence[bool]], inspection: Inspection) -> Diagnostics:
    """What a cascade asked of its diagnosed images.

    Args:
        clean: which are classified right without an attack, (N,).
        by_eps: by eps, which of those that were probed survive PGD, (n,); the run's own eps alone says nothing that
            the attacks do not.
        inspection: what the gradient of the model is worth.
    """
    points = [
        EpsPoint(eps=eps, robust=sum(robust), accuracy=sum(robust) / len(robust))
        for eps, robust in sorted(by_eps.items())
    ]
    probed = points if len(points) > 1 else []
    images = len(next(iter(by_eps.values()))) if probed else len(clean)
    return Diagnostics(images=images, by_eps=probed, **inspection.model_dump(exclude={"ends_ignored"}))


def _proportion(yes: Tensor) -> dict[str, Any]:
    count, total = int(yes.sum()), len(yes)
    return {"total": total, "accuracy": count / total, "interval": wilson_interval(count, total)}
