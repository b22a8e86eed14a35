"""From the outcomes of a whole run to its answer and its findings."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from advtool.attacks.suites import Scope
from advtool.evaluation import summary
from advtool.evaluation.diagnostics import findings
from advtool.evaluation.diagnostics.evidence import Evidence
from advtool.evaluation.ledger import Ledger
from advtool.evaluation.shard import Shard
from advtool.evaluation.stages import BASELINE, DIAGNOSED_IMAGES, Stage, diagnosed_of
from advtool.results import CLEAN, Outcomes
from advtool.target.facts import Facts
from advtool.target.inspection import Inspection
from advtool.target.target import Target
from advtool.threat import ThreatModel


def conclude(
    stages: Sequence[Stage],
    ledger: Ledger,
    shards: Sequence[Shard],
    *,
    threat_model: ThreatModel,
    target: Target,
    facts: Facts,
    inspection: Inspection,
) -> dict[str, Any]:
    """The fields of an ``Evaluation`` that follow from the outcomes.

    Args:
        stages: the attacks and probes, in order.
        ledger: what became of every image.
        shards: of the run.
        threat_model: of the run.
        target: the model under attack.
        facts: what is known of it.
        inspection: what its gradient is worth.
    """
    outcomes = ledger.outcomes
    results = [
        summary.attack_result(stage, outcomes, ledger.costs[stage.label])
        for stage in stages
        if stage.probed_eps is None
    ]
    evidence = _evidence(stages, outcomes, shards, threat_model, target, facts, inspection)
    return {
        "clean": summary.clean_accuracy(outcomes.clean),
        "attacks": results,
        "effective_robustness": summary.effective_robustness(results),
        "worst_case": summary.worst_case(outcomes.worst_case),
        "warnings": findings(evidence),
    }


def _evidence(
    stages: Sequence[Stage],
    outcomes: Outcomes,
    shards: Sequence[Shard],
    threat_model: ThreatModel,
    target: Target,
    facts: Facts,
    inspection: Inspection,
) -> Evidence:
    in_cascade = any(stage.scope is not Scope.every for stage in stages)
    seen = slice(0, DIAGNOSED_IMAGES if in_cascade else len(outcomes))
    diagnosed = any(bool(diagnosed_of(outcomes, shard.rows).any()) for shard in shards)
    compared = {Scope.every, Scope.diagnosed} if diagnosed else {Scope.every}
    asked = [stage for stage in stages if stage.scope in compared]
    attacks = [stage for stage in asked if stage.probed_eps is None]
    robust = {stage.label: _survives(outcomes, stage.label)[seen].tolist() for stage in attacks}
    names = {stage.label: stage.name for stage in attacks}
    by_eps = {stage.probed_eps: _survives(outcomes, stage.label)[seen].tolist() for stage in asked if stage.probed_eps}
    lowest, highest = zip(*(shard.x.aminmax() for shard in shards), strict=True)
    return Evidence(
        clean=outcomes.clean[seen].tolist(),
        robust=robust,
        attacks={stage.label: type(stage.attack) for stage in attacks},
        on_examples={label: correct[seen].tolist() for label, correct in outcomes.on_examples.items()},
        by_eps=by_eps | _under_pgd(threat_model.eps, robust, names),
        most_of_a_class=_most_of_a_class(outcomes, seen),
        worst_case=outcomes.worst_case[seen].tolist(),
        in_cascade=in_cascade,
        facts=facts,
        inspection=inspection,
        eot=target.eot,
        votes=target.votes,
        span=(float(min(lowest)), float(max(highest))),
        classes=facts.classes,
    )


def _survives(outcomes: Outcomes, stage: str) -> Tensor:
    """Which images survive the stage, bool (N,). An image that it was not asked about counts as PGD left it.

    So a shard whose diagnostics were left out never speaks for a trick.
    """
    baseline = outcomes.survives(BASELINE) if BASELINE in outcomes.stages else outcomes.clean
    return torch.where(outcomes.asked(stage), outcomes.survives(stage), baseline)


def _under_pgd(eps: float, robust: Mapping[str, list[bool]], names: Mapping[str, str]) -> dict[float, list[bool]]:
    """At the run's own eps: the outcome of PGD as the probes run it, or of the strongest PGD with other settings."""
    outcomes = {label: outcome for label, outcome in robust.items() if names[label] == BASELINE}
    if not outcomes:
        return {}
    return {eps: outcomes.get(BASELINE, min(outcomes.values(), key=sum))}


def _most_of_a_class(outcomes: Outcomes, seen: slice) -> int:
    """How many images are classified right in the class that has most such images; there a prediction is the label."""
    predictions = outcomes.prediction[outcomes.stages.index(CLEAN), seen][outcomes.clean[seen]]
    return int(predictions.bincount().max()) if len(predictions) else 0
