"""From the shards of a run to its answer."""

from collections.abc import Sequence
from typing import Any

from advtool.attacks.suites import Scope
from advtool.evaluation.run import Records, on_examples, survivors
from advtool.evaluation.stages import Stage
from advtool.evaluation.statistics import wilson_interval
from advtool.results import AttackResult, CleanAccuracy, EffectiveRobustness, ModelCalls, WorstCase


def clean_accuracy(records: Records) -> CleanAccuracy:
    """The share of images classified right."""
    correct = survivors(records)
    return CleanAccuracy(correct=sum(correct), **_proportion(correct))


def attack_result(stage: Stage, records: Records, standing: Sequence[bool]) -> AttackResult:
    """Robust accuracy under one attack that saw every image; of a later one in a cascade, what it left.

    ``standing`` tells which images had survived every stage before.
    """
    robust = survivors(records)
    left = [stands and survives for stands, survives in zip(standing, robust, strict=True)]
    figures: dict[str, Any] = (
        {"robust": sum(robust), **_proportion(robust)}
        if stage.scope is Scope.every
        else {"total": len(robust), "survivors_in": sum(standing), "survivors_out": sum(left)}
    )
    examples = on_examples(records)
    return AttackResult(
        name=stage.label,
        parameters=stage.attack.parameters(),
        **figures,
        seconds=round(sum(record.seconds for record in records), 3),
        model_calls=ModelCalls(
            forward=sum(record.model_calls.forward for record in records),
            backward=sum(record.model_calls.backward for record in records),
        ),
        accuracy_on_examples=sum(examples) / len(examples) if examples else None,
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


def worst_case(standing: Sequence[bool]) -> WorstCase:
    """The share of images that survive every stage, image by image."""
    return WorstCase(robust=sum(standing), **_proportion(standing))


def _proportion(yes: Sequence[bool]) -> dict[str, Any]:
    return {
        "total": len(yes),
        "accuracy": sum(yes) / len(yes),
        "interval": wilson_interval(sum(yes), len(yes)),
    }
