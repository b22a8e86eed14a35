"""From the shards of a run to its answer."""

from collections.abc import Mapping, Sequence
from typing import Any

from advtool.attacks.base import TensorAttack
from advtool.evaluation.run import ShardRecord
from advtool.evaluation.statistics import wilson_interval
from advtool.results import AttackResult, CleanAccuracy, EffectiveRobustness, ModelCalls, WorstCase

Stage = Sequence[ShardRecord]


def clean_accuracy(stage: Stage) -> CleanAccuracy:
    """The share of images classified right."""
    correct = _survivors(stage)
    return CleanAccuracy(correct=sum(correct), **_proportion(correct))


def attack_result(name: str, attack: TensorAttack, stage: Stage) -> AttackResult:
    """Robust accuracy under one attack that saw every image."""
    robust = _survivors(stage)
    examples = [correct for record in stage for correct in record.example_correct or []]
    return AttackResult(
        name=name,
        parameters=attack.parameters(),
        robust=sum(robust),
        **_proportion(robust),
        seconds=round(sum(record.seconds for record in stage), 3),
        model_calls=ModelCalls(
            forward=sum(record.model_calls.forward for record in stage),
            backward=sum(record.model_calls.backward for record in stage),
        ),
        accuracy_on_examples=sum(examples) / len(examples) if examples else None,
    )


def effective_robustness(attacks: Sequence[AttackResult]) -> EffectiveRobustness:
    """The lowest robust accuracy, and the first attack that reached it (Schwinn et al., Min)."""
    seen_all = [
        (attack.accuracy, attack.interval, attack.name)
        for attack in attacks
        if attack.accuracy is not None and attack.interval is not None
    ]
    accuracy, interval, name = min(seen_all, key=lambda attack: attack[0])
    return EffectiveRobustness(accuracy=accuracy, interval=interval, attack=name)


def worst_case(stages: Mapping[str, Stage]) -> WorstCase:
    """The share of images that survive every stage, image by image."""
    robust = [all(survives) for survives in zip(*map(_survivors, stages.values()), strict=True)]
    return WorstCase(robust=sum(robust), **_proportion(robust))


def _survivors(stage: Stage) -> list[bool]:
    return [survives for record in stage for survives in record.survives]


def _proportion(yes: list[bool]) -> dict[str, Any]:
    return {
        "total": len(yes),
        "accuracy": sum(yes) / len(yes),
        "interval": wilson_interval(sum(yes), len(yes)),
    }
