"""The stages of a run: which it has, and in which order."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from advtool.arguments import LARGEST_NUMBER, SMALLEST_NUMBER
from advtool.attacks.doubling import Doubling
from advtool.attacks.pgd import PGD
from advtool.attacks.registry import build, draws_in_a_cascade
from advtool.attacks.suites import Scope
from advtool.evaluation.attack_stage import PASSES_OF_A_GRADIENT, AttackStage
from advtool.evaluation.known_noise import KnownNoiseStage
from advtool.evaluation.planting.planting import Planting
from advtool.evaluation.proof import Proof
from advtool.evaluation.question import Question
from advtool.evaluation.stage import Stage
from advtool.target.target import Target
from advtool.threat import ThreatModel

DRAWS_OF_A_PROBE, STEPS_OF_A_PROBE = 4, 20
"""A probe of a random model takes a quarter of the draws, and so many steps at most."""


def plan(question: Question, target: Target, *, surrogate: Target | None) -> list[AttackStage]:
    """The attacks of a run, and for a cascade the probes of its diagnostics.

    Args:
        question: which attacks are asked for, with which settings.
        target: the model under test.
        surrogate: the model to transfer from, if there is one.

    Raises:
        InputError: a parameter is out of range.
    """
    threat_model, defaults = question.threat_model, question.attack_defaults
    stages = [
        AttackStage(
            label=spec.label,
            attack=build(spec, target, threat_model, defaults=defaults.get(spec.name, {}), surrogate=surrogate),
            scope=spec.scope,
        )
        for spec in question.specs
    ]
    if question.in_cascade:
        stages += [
            AttackStage(
                label=f"{PGD.name} at eps {radius:g}",
                attack=_probe(target, threat_model.with_eps(radius), defaults[PGD.name]),
                scope=Scope.diagnosed,
                probed_eps=radius,
                spares_certified=radius <= threat_model.eps,
            )
            for radius in probed(threat_model.eps)
        ]
    return stages


def _probe(target: Target, threat_model: ThreatModel, defaults: Mapping[str, Any]) -> PGD:
    if not target.randomised:
        return PGD(target, threat_model, **defaults)
    draws = draws_in_a_cascade(PGD, target.eot, part=DRAWS_OF_A_PROBE)
    steps = min(STEPS_OF_A_PROBE, defaults["steps"])
    return PGD(target, threat_model, **{**defaults, "eot": draws, "steps": steps})


def with_budget(stages: Sequence[AttackStage], question: Question, images: int) -> list[AttackStage]:
    """The attacks; the search that doubles goes on while all cost at most ``budget`` times as much as with two rounds.

    Args:
        stages: the attacks of a run.
        question: has the budget. An attack that was asked for with how long it may go on keeps to that.
        images: how many a shard has.
    """
    kept = {spec.label for spec in question.specs if "spare" in spec.parameters}
    spare = (question.settings.budget - 1) * images * sum(stage.passes for stage in stages) / PASSES_OF_A_GRADIENT
    return [_extended(stage, spare) if stage.label not in kept else stage for stage in stages]


def _extended(stage: AttackStage, spare: float) -> AttackStage:
    """The stage; a search that doubles may cost ``spare`` gradients more than its first rounds, all images together."""
    attack = stage.attack
    if not isinstance(attack, Doubling):
        return stage
    units = max(SMALLEST_NUMBER, min(spare / (attack.queries_a_unit * attack.eot), LARGEST_NUMBER))
    parameters = {**attack.parameters(), "spare": units}
    return replace(stage, attack=Doubling(attack.target, attack.threat_model, **parameters))


def in_order(
    attacks: Sequence[AttackStage], proof: Proof | None, known_noise: KnownNoiseStage | None, planting: Planting | None
) -> list[Stage]:
    """The stages of a run. Proofs stand before the first attack that is not quick.

    Known noise and planted examples stand after all.
    """
    last = [stage for stage in (known_noise, planting) if stage is not None]
    if proof is None:
        return [*attacks, *last]
    quick = next((place for place, stage in enumerate(attacks) if not stage.is_quick), len(attacks))
    return [*attacks[:quick], proof, *attacks[quick:], *last]


def moot(stages: Sequence[AttackStage], few: tuple[Tensor, Tensor]) -> tuple[str, ...]:
    """The labels of a cascade's attacks that are not worth their time on this model.

    Args:
        stages: all attacks of the run.
        few: some images, float32 (N, C, H, W), and labels, int64 (N,), on the device of the model.
    """
    cascaded = [stage for stage in stages if stage.scope is not Scope.every]
    return tuple(stage.label for stage in cascaded if stage.attack.is_moot(*few))


def probed(eps: float) -> list[float]:
    """The radii that a cascade probes: half and twice eps, and half the range. Accuracy must fall between them.

    Radii that are written alike are one: a stage is known by its label.
    """
    radii = {f"{radius:g}": radius for radius in (eps / 2, min(2 * eps, 1.0), 0.5)}
    radii.pop(f"{eps:g}", None)
    return sorted(radii.values())
