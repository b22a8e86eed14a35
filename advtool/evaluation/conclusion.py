"""From the records of a whole run to its answer and its findings."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from advtool.attacks.estimator import EOTClassifier
from advtool.attacks.registry import Scope
from advtool.evaluation import summary
from advtool.evaluation.diagnostics import Evidence, findings
from advtool.evaluation.inspection import Inspection
from advtool.evaluation.stages import DIAGNOSED, Stage, worth_diagnosing
from advtool.evaluation.summary import Records, on_examples, survivors
from advtool.evaluation.worker import CLEAN
from advtool.results import AttackResult


def conclude(
    stages: Sequence[Stage],
    records: Mapping[str, Records],
    x: Tensor,
    *,
    eps: float,
    estimator: EOTClassifier,
    inspection: Inspection,
) -> dict[str, Any]:
    """The fields of an ``Evaluation`` that follow from the records.

    Args:
        stages: the attacks and probes, in order.
        records: of each stage by its label, and of the clean one.
        x: all images of the run, float32 (N, C, H, W).
        eps: radius of the run's ball.
        estimator: the model under test.
        inspection: what it is like.
    """
    standing = survivors(records[CLEAN])
    results: list[AttackResult] = []
    diagnosed = True
    for stage in stages:
        if stage.probed_eps is not None:
            continue
        results.append(summary.attack_result(stage, records[stage.label], standing))
        robust = survivors(records[stage.label])
        standing = [stands and survives for stands, survives in zip(standing, robust, strict=True)]
        if stage.scope is Scope.every:
            diagnosed = worth_diagnosing(standing)
    evidence = _evidence(stages, records, standing, x, eps, estimator, inspection, diagnosed=diagnosed)
    return {
        "clean": summary.clean_accuracy(records[CLEAN]),
        "attacks": results,
        "effective_robustness": summary.effective_robustness(results),
        "worst_case": summary.worst_case(standing),
        "warnings": findings(evidence),
    }


def _evidence(
    stages: Sequence[Stage],
    records: Mapping[str, Records],
    standing: Sequence[bool],
    x: Tensor,
    eps: float,
    estimator: EOTClassifier,
    inspection: Inspection,
    *,
    diagnosed: bool,
) -> Evidence:
    in_cascade = any(stage.scope is not Scope.every for stage in stages)
    seen = slice(0, DIAGNOSED if in_cascade else len(standing))
    low, high = x.aminmax()
    asked = [stage for stage in stages if stage.scope is Scope.every or (stage.scope is Scope.diagnosed and diagnosed)]
    attacks = [stage for stage in asked if stage.probed_eps is None]
    robust = {stage.label: survivors(records[stage.label])[seen] for stage in attacks}
    by_eps = {stage.probed_eps: survivors(records[stage.label])[seen] for stage in asked if stage.probed_eps}
    examples = {stage.label: on_examples(records[stage.label])[seen] for stage in attacks}
    return Evidence(
        clean=survivors(records[CLEAN])[seen],
        robust=robust,
        names={stage.label: stage.name for stage in attacks},
        on_examples={label: correct for label, correct in examples.items() if correct},
        by_eps=by_eps | ({eps: robust["pgd"]} if by_eps and "pgd" in robust else {}),
        most_of_a_class=_most_of_a_class(records[CLEAN], seen),
        worst_case=standing[seen],
        in_cascade=in_cascade,
        inspection=inspection,
        randomness=estimator.randomness,
        eot=estimator.eot,
        votes=estimator.votes,
        span=(float(low), float(high)),
        classes=estimator.nb_classes,
    )


def _most_of_a_class(clean: Records, seen: slice) -> int:
    """Images classified right of the class that has most of them; there a prediction is the label."""
    predictions = [prediction for record in clean for prediction in record.prediction][seen]
    right = zip(predictions, survivors(clean)[seen], strict=True)
    return max(Counter(prediction for prediction, correct in right if correct).values(), default=0)
