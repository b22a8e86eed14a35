"""The answer of a run: accuracies and findings, made of its outcomes."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from advtool.attacks.doubling import Doubling
from advtool.attacks.suites import Scope
from advtool.evaluation import per_image, summary
from advtool.evaluation.attack_stage import AttackStage
from advtool.evaluation.diagnosed import BASELINE, DIAGNOSED_IMAGES, diagnosed_of
from advtool.evaluation.diagnostics import findings
from advtool.evaluation.diagnostics.evidence import Evidence
from advtool.evaluation.ledger import Ledger
from advtool.evaluation.preparation import Prepared
from advtool.evaluation.shard import Shard
from advtool.results import (
    CERTIFIED,
    CLEAN,
    KNOWN_NOISE,
    PLANTED,
    Certified,
    Evaluation,
    KnownNoise,
    Outcome,
    Outcomes,
    Planted,
)
from advtool.target.inspection import Inspection


def conclude(
    ready: Prepared,
    shards: Sequence[Shard],
    ledger: Ledger,
    inspection: Inspection,
    *,
    checkpoint: dict[str, Any] | None,
    origin: dict[str, Any],
    environment: dict[str, Any],
) -> Evaluation:
    """The answer of a run.

    Args:
        ready: the run, as it was prepared.
        shards: all shards of the run.
        ledger: the outcome of every image in every stage, and what each stage has cost.
        inspection: what the gradient of the model is worth.
        checkpoint: the card of the checkpoint that the model comes from, if it is one of ours.
        origin: where the model comes from, for the result's ``model``.
        environment: the machine, the versions and the batch plan.
    """
    outcomes, question, target = ledger.outcomes, ready.question, ready.ours.target
    results = [
        summary.attack_result(stage, outcomes, ledger.costs[stage.label], given_up=ledger.given_up[stage.label])
        for stage in ready.attacks
        if not stage.is_probe
    ]
    certified, planted = _certified(ledger), _planted(ready, ledger)
    evidence = _evidence(ready, shards, ledger, inspection, planted)
    lines = partial(per_image.lines, outcomes, question.y, question.indices, classes=question.dataset.classes)
    return Evaluation(
        checkpoint=checkpoint,
        model=origin,
        dataset=question.dataset,
        threat_model=question.threat_model,
        seed=question.settings.seed,
        eot=target.eot,
        votes=target.votes,
        clean=summary.clean_accuracy(outcomes.clean),
        attacks=results,
        effective_robustness=summary.effective_robustness(results),
        worst_case=summary.worst_case(outcomes.worst_case),
        certified=certified,
        undecided=None if certified is None else int((outcomes.worst_case & ~outcomes.certified).sum()),
        single_draw=summary.single_draw(outcomes, ledger.draws_right, target.votes) if target.randomised else None,
        known_noise=_known_noise(ready, ledger),
        planted=planted,
        diagnostics=summary.diagnostics(evidence.clean, evidence.by_eps, inspection) if evidence.in_cascade else None,
        warnings=findings(evidence),
        environment=environment,
    ).with_outcomes(outcomes, lines)


def _certified(ledger: Ledger) -> Certified | None:
    """What is proved; None if the run does not certify."""
    if CERTIFIED not in ledger.outcomes.stages:
        return None
    return summary.certified(ledger.outcomes.certified, ledger.methods, ledger.costs[CERTIFIED])


def _known_noise(ready: Prepared, ledger: Ledger) -> KnownNoise | None:
    """What is left if the attacker knows the noise; None if nobody tried."""
    if ready.known_noise is None:
        return None
    return summary.known_noise(ledger.fields_held, ready.known_noise.attack, ledger.costs[KNOWN_NOISE])


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
    over_eps = probed if any(stage.is_probe for stage in asked) else torch.ones_like(probed)
    by_eps = _by_eps(asked, robust, ready.question.threat_model.eps)
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
    )


def _by_eps(stages: Sequence[AttackStage], robust: Mapping[str, Tensor], eps: float) -> dict[float, Tensor]:
    """Which images survive PGD, by eps: of each probe, and of the run's own ``eps`` if PGD ran there."""
    by_eps = {stage.probed_eps: robust[stage.label] for stage in stages if stage.probed_eps is not None}
    pgd = [robust[stage.label] for stage in stages if not stage.is_probe and stage.attack.name == BASELINE]
    if pgd:  # as the probes run it, or the strongest with other settings
        by_eps[eps] = robust.get(BASELINE, min(pgd, key=torch.sum))
    return by_eps


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
    """How many images of one class are classified right, for the class with most of them.

    ``counted``, bool (n,), tells which of the ``seen`` images count.
    """
    right = outcomes.clean[seen] & counted
    predictions = outcomes.prediction[outcomes.stages.index(CLEAN), seen][right]  # they are right, so these are labels
    return int(predictions.bincount().max()) if len(predictions) else 0
