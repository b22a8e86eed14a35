"""The answer of a finished run: accuracies and findings, made of its outcomes."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from advtool.attacks.doubling import Doubling
from advtool.attacks.suites import Scope
from advtool.evaluation import summary
from advtool.evaluation.diagnosed import BASELINE, DIAGNOSED_IMAGES, diagnosed_of
from advtool.evaluation.diagnostics import findings
from advtool.evaluation.diagnostics.evidence import Evidence
from advtool.evaluation.ledger import Ledger
from advtool.evaluation.preparation import Prepared
from advtool.evaluation.shard import Shard
from advtool.results import CERTIFIED, CLEAN, KNOWN_NOISE, PLANTED, Outcome, Outcomes, Planted
from advtool.target.inspection import Inspection


def conclude(ready: Prepared, shards: Sequence[Shard], ledger: Ledger, inspection: Inspection) -> dict[str, Any]:
    """The fields of an ``Evaluation`` that follow from the outcomes.

    Args:
        ready: the run, as it was prepared.
        shards: all shards of the run.
        ledger: the outcome of every image in every stage, and what each stage has cost.
        inspection: what the gradient of the model is worth.
    """
    outcomes = ledger.outcomes
    results = [
        summary.attack_result(stage, outcomes, ledger.costs[stage.label], given_up=ledger.given_up[stage.label])
        for stage in ready.attacks
        if not stage.is_probe
    ]
    planted = _planted(ready, ledger)
    evidence = _evidence(ready, shards, ledger, inspection, planted)
    diagnosed = summary.diagnostics(evidence.clean, evidence.by_eps, inspection) if evidence.in_cascade else None
    return {
        "clean": summary.clean_accuracy(outcomes.clean),
        "attacks": results,
        "effective_robustness": summary.effective_robustness(results),
        "worst_case": summary.worst_case(outcomes.worst_case),
        **_certified(ledger),
        **_random(ready, ledger),
        "planted": planted,
        "diagnostics": diagnosed,
        "warnings": findings(evidence),
    }


def _certified(ledger: Ledger) -> dict[str, Any]:
    """What is proved, and how many images are neither broken nor proved robust; nothing if the run does not certify."""
    outcomes = ledger.outcomes
    if CERTIFIED not in outcomes.stages:
        return {}
    return {
        "certified": summary.certified(outcomes.certified, ledger.methods, ledger.costs[CERTIFIED]),
        "undecided": int((outcomes.worst_case & ~outcomes.certified).sum()),
    }


def _random(ready: Prepared, ledger: Ledger) -> dict[str, Any]:
    """What else is known of a random model; nothing of another one."""
    target, stage = ready.ours.target, ready.known_noise
    if not target.randomised:
        return {}
    found: dict[str, Any] = {"single_draw": summary.single_draw(ledger.outcomes, ledger.draws_right, target.votes)}
    if stage is not None:
        found["known_noise"] = summary.known_noise(ledger.fields_held, stage.attack, ledger.costs[KNOWN_NOISE])
    return found


def _planted(ready: Prepared, ledger: Ledger) -> Planted | None:
    """How many planted examples the attacks found; None if none was planted."""
    if ready.planting is None:
        return None
    return summary.planted(
        ledger.outcomes.of(PLANTED), ledger.found_by, ready.question.asked_attacks, ledger.costs[PLANTED]
    )


def _evidence(
    ready: Prepared, shards: Sequence[Shard], ledger: Ledger, inspection: Inspection, planted: Planted | None
) -> Evidence:
    outcomes = ledger.outcomes
    cascade = ready.question.in_cascade
    seen = slice(0, DIAGNOSED_IMAGES if cascade else len(outcomes))
    probed = _probed(outcomes, shards)[seen]
    compared = {Scope.every, Scope.diagnosed} if probed.any() else {Scope.every}
    asked = [stage for stage in ready.attacks if stage.scope in compared]
    attacks = [stage for stage in asked if not stage.is_probe]
    robust = {stage.label: _survives(outcomes, stage.label)[seen] for stage in asked}
    by_eps = {stage.probed_eps: robust[stage.label] for stage in asked if stage.probed_eps is not None}
    over_eps = probed if by_eps else torch.ones_like(probed)
    pgd = [robust[stage.label] for stage in attacks if stage.attack.name == BASELINE]
    if pgd:  # as the probes run it, or the strongest with other settings
        by_eps[ready.question.threat_model.eps] = robust.get(BASELINE, min(pgd, key=torch.sum))
    target, facts = ready.ours.target, ready.ours.facts
    lowest, highest = ready.question.x.aminmax()
    return Evidence(
        clean=outcomes.clean[seen].tolist(),
        robust={stage.label: robust[stage.label].tolist() for stage in attacks},
        attacks={stage.label: type(stage.attack) for stage in attacks},
        on_examples={label: correct[seen].tolist() for label, correct in outcomes.on_examples.items()},
        by_eps={eps: survives[over_eps].tolist() for eps, survives in by_eps.items()},
        most_of_a_class=_most_of_a_class(outcomes, seen, over_eps),
        worst_case=outcomes.worst_case[seen].tolist(),
        unanswered=int(outcomes.unanswered.sum()),
        taken_late=_taken_late(ready, ledger)[seen].tolist(),
        in_cascade=cascade,
        not_certifiable=_not_certifiable(ready),
        planted=planted,
        unplantable=ledger.unplantable if ready.question.settings.planted else (),
        facts=facts,
        inspection=inspection,
        eot=target.eot,
        votes=target.votes,
        pixel_range=(float(lowest), float(highest)),
        classes=facts.classes,
    )


def _not_certifiable(ready: Prepared) -> str | None:
    decision = ready.certification
    return decision.reason if decision is not None and ready.question.settings.certify else None


def _probed(outcomes: Outcomes, shards: Sequence[Shard]) -> Tensor:
    """The images of the shards that a cascade's diagnostics attack in full, bool (N,)."""
    probed = torch.zeros(len(outcomes), dtype=torch.bool)
    for shard in shards:
        probed[shard.rows] = diagnosed_of(outcomes, shard.rows).any()
    return probed


def _survives(outcomes: Outcomes, stage: str) -> Tensor:
    """Which images survive the stage, bool (N,). An image that the stage did not see counts as PGD left it.

    So neither a shard without diagnostics nor a certified image, which no attack sees, ever speaks for a trick.
    """
    baseline = outcomes.survives(BASELINE) if BASELINE in outcomes.stages else outcomes.clean
    return torch.where(outcomes.asked(stage), outcomes.survives(stage), baseline)


def _taken_late(ready: Prepared, ledger: Ledger) -> Tensor:
    """Which images only the last round of a search took, although the search could have gone on, bool (N,)."""
    doubling = {stage.label for stage in ready.attacks if isinstance(stage.attack, Doubling)}
    others = [stage.label for stage in ready.attacks if not stage.is_probe and stage.label not in doubling]
    taken = [ledger.outcomes.of(label) == Outcome.fallen for label in others]
    return ledger.late & ~torch.stack(taken).any(0) if taken else ledger.late


def _most_of_a_class(outcomes: Outcomes, seen: slice, counted: Tensor) -> int:
    """How many images are classified right in the class that has most such images; ``counted``: bool (n,) of those
    that are seen.
    """
    right = outcomes.clean[seen] & counted
    predictions = outcomes.prediction[outcomes.stages.index(CLEAN), seen][right]  # are the labels
    return int(predictions.bincount().max()) if len(predictions) else 0
