"""From the records of a whole run to its answer and its findings."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from advtool.attacks.suites import Scope
from advtool.evaluation import summary
from advtool.evaluation.diagnostics import findings
from advtool.evaluation.diagnostics.evidence import Evidence
from advtool.evaluation.run import CLEAN, Records, on_examples, survivors
from advtool.evaluation.stages import BASELINE, DIAGNOSED, Cascade, Stage
from advtool.results import AttackResult
from advtool.target.facts import Facts
from advtool.target.inspection import Inspection
from advtool.target.target import Target


def conclude(
    stages: Sequence[Stage],
    records: Mapping[str, Records],
    x: Tensor,
    *,
    eps: float,
    target: Target,
    facts: Facts,
    inspection: Inspection,
) -> dict[str, Any]:
    """The fields of an ``Evaluation`` that follow from the records.

    Args:
        stages: the attacks and probes, in order.
        records: of each stage by its label, and of the clean one.
        x: all images of the run, float32 (N, C, H, W).
        eps: radius of the run's ball.
        target: the model under test.
        facts: what is known of it.
        inspection: what its gradient is worth.
    """
    cascade = Cascade(survivors(records[CLEAN]))
    results: list[AttackResult] = []
    for stage in stages:
        if stage.probed_eps is None:
            results.append(summary.attack_result(stage, records[stage.label], cascade.standing))
        cascade.note(stage, survivors(records[stage.label]))
    evidence = _evidence(stages, records, cascade, x, eps, target, facts, inspection)
    return {
        "clean": summary.clean_accuracy(records[CLEAN]),
        "attacks": results,
        "effective_robustness": summary.effective_robustness(results),
        "worst_case": summary.worst_case(cascade.standing),
        "warnings": findings(evidence),
    }


def _evidence(
    stages: Sequence[Stage],
    records: Mapping[str, Records],
    cascade: Cascade,
    x: Tensor,
    eps: float,
    target: Target,
    facts: Facts,
    inspection: Inspection,
) -> Evidence:
    in_cascade = any(stage.scope is not Scope.every for stage in stages)
    seen = slice(0, DIAGNOSED if in_cascade else len(cascade.clean))
    low, high = x.aminmax()
    compared = {Scope.every, Scope.diagnosed} if cascade.diagnose else {Scope.every}
    asked = [stage for stage in stages if stage.scope in compared]
    attacks = [stage for stage in asked if stage.probed_eps is None]
    robust = {stage.label: survivors(records[stage.label])[seen] for stage in attacks}
    names = {stage.label: stage.name for stage in attacks}
    by_eps = {stage.probed_eps: survivors(records[stage.label])[seen] for stage in asked if stage.probed_eps}
    examples = {stage.label: on_examples(records[stage.label])[seen] for stage in attacks}
    return Evidence(
        clean=cascade.clean[seen],
        robust=robust,
        attacks={stage.label: type(stage.attack) for stage in attacks},
        on_examples={label: correct for label, correct in examples.items() if correct},
        by_eps=by_eps | _under_pgd(eps, robust, names),
        most_of_a_class=_most_of_a_class(records[CLEAN], seen),
        worst_case=cascade.standing[seen],
        in_cascade=in_cascade,
        facts=facts,
        inspection=inspection,
        eot=target.eot,
        votes=target.votes,
        span=(float(low), float(high)),
        classes=facts.classes,
    )


def _under_pgd(eps: float, robust: Mapping[str, list[bool]], names: Mapping[str, str]) -> dict[float, list[bool]]:
    """At the run's own eps: of PGD as the probes run it, or of the strongest PGD with other settings."""
    outcomes = {label: outcome for label, outcome in robust.items() if names[label] == BASELINE}
    if not outcomes:
        return {}
    return {eps: outcomes.get(BASELINE, min(outcomes.values(), key=sum))}


def _most_of_a_class(clean: Records, seen: slice) -> int:
    """Images classified right of the class that has most of them; there a prediction is the label."""
    predictions = [prediction for record in clean for prediction in record.prediction][seen]
    right = zip(predictions, survivors(clean)[seen], strict=True)
    return max(Counter(prediction for prediction, correct in right if correct).values(), default=0)
