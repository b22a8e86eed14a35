"""The stages of a run: which attack works on which images, where images are proved robust, and where one plants."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from advtool.arguments import LARGEST_NUMBER, SMALLEST_NUMBER
from advtool.attacks.base import TensorAttack
from advtool.attacks.doubling import Doubling
from advtool.attacks.pgd import PGD
from advtool.attacks.registry import AttackSpec, build, draws_in_a_cascade
from advtool.attacks.suites import Scope
from advtool.evaluation.known_noise import KnownNoise
from advtool.evaluation.planting.planting import PLANTED_IMAGES, Planting
from advtool.evaluation.proof import Proof
from advtool.results import Outcome, Outcomes
from advtool.target.target import Target
from advtool.threat import ThreatModel

MASKING_MIN_DROP = 0.05
"""The smallest drop of accuracy between two attacks that earns a masking code."""
DIAGNOSED_IMAGES = 200
"""How many of the first images a cascade's diagnostics attack in full."""
CHECKED_FALLEN = 20
"""For how many fallen images of a shard the bounds are asked at most, as a check: proving one of them is an error.

These are among the first ``DIAGNOSED_IMAGES`` of the run, and no more than stand in the shard.
"""
BASELINE = PGD.name
"""The attack that others are compared with, in the settings of the run. PGD in other settings has another label."""
PASSES_OF_A_GRADIENT = 3
"""How many forward passes take about as long as one gradient."""
DRAWS_OF_A_PROBE, STEPS_OF_A_PROBE = 4, 20
"""A probe of a random model takes a quarter of the draws, and so many steps at most."""
QUICK_PASSES = 50 * PASSES_OF_A_GRADIENT
"""What a quick attack costs at most, in forward passes of an image: as much as PGD with its usual 50 steps."""


@dataclass(frozen=True)
class AttackStage:
    """One attack of a run. ``probed_eps`` marks a probe at another eps, which does not count for the worst case."""

    label: str
    name: str
    attack: TensorAttack
    scope: Scope
    probed_eps: float | None = None
    spares_certified: bool = True
    """its ball lies in the ball of the run, so what is proved robust there need not be attacked"""

    def __str__(self) -> str:
        """The label, and which images it sees."""
        return f"{self.label} on {self.scope}"

    @property
    def parameters(self) -> dict[str, Any]:
        """What defines the attack beside the threat model."""
        return self.attack.parameters()

    @property
    def passes(self) -> float:
        """About what it costs at most for an image, in forward passes. A gradient counts as several."""
        return self.attack.most_queries * (PASSES_OF_A_GRADIENT if self.attack.follows_gradient else 1)

    @property
    def is_quick(self) -> bool:
        """Whether it takes so little time on every image that proofs can wait for it."""
        return self.scope is Scope.every and self.passes <= QUICK_PASSES


Stage = AttackStage | Proof | KnownNoise | Planting


def asked_of(stage: Stage, outcomes: Outcomes, rows: slice) -> Tensor:
    """Which images at ``rows`` the stage works on, bool (n,). ``outcomes`` must hold every earlier stage there."""
    if isinstance(stage, Proof):
        return _to_prove(outcomes, rows)
    if isinstance(stage, Planting):
        return torch.arange(rows.start, rows.start + len(outcomes.clean[rows])) < PLANTED_IMAGES
    if isinstance(stage, KnownNoise):
        return torch.ones_like(outcomes.clean[rows])
    asked = _in_scope(stage, outcomes, rows)
    # A one-step attack makes its example of every image, so its answer costs nothing: it checks the proofs.
    return asked & ~outcomes.certified[rows] if stage.spares_certified and not stage.attack.one_step else asked


def _to_prove(outcomes: Outcomes, rows: slice) -> Tensor:
    """The images that stand, and as a check a few that fell (``CHECKED_FALLEN``), bool (n,)."""
    standing, clean = outcomes.standing_before(Proof.label)[rows], outcomes.clean[rows]
    first = torch.arange(rows.start, rows.start + len(clean)) < DIAGNOSED_IMAGES
    fallen = clean & ~standing & first
    checked = min(CHECKED_FALLEN, int(standing.sum()))
    return standing | (fallen & (fallen.cumsum(0) <= checked))


def _in_scope(stage: AttackStage, outcomes: Outcomes, rows: slice) -> Tensor:
    clean = outcomes.clean[rows]
    if stage.scope is Scope.every:
        return clean
    standing = outcomes.standing_before(stage.label)[rows]
    if stage.scope is Scope.survivors:
        return standing
    diagnosed = diagnosed_of(outcomes, rows)
    return diagnosed if stage.probed_eps is not None else standing | diagnosed


def standing_of(stage: Stage, outcomes: Outcomes) -> Tensor:
    """Which images stand in the stage, as its progress counts them, bool (N,).

    In a cascade an image that fell earlier does not stand. In a probe those stand that survived it, and those that it
    spared since they are certified. Of proofs the images are counted that are proved, of planted examples those that
    are found, of known noise those that always hold.
    """
    if isinstance(stage, Proof):
        return outcomes.certified
    if isinstance(stage, Planting):
        return outcomes.of(stage.label) == Outcome.found
    if isinstance(stage, KnownNoise):
        return outcomes.of(stage.label) == Outcome.missed
    if stage.probed_eps is not None:
        spared = torch.arange(len(outcomes)) < (DIAGNOSED_IMAGES if stage.spares_certified else 0)
        return (outcomes.of(stage.label) == Outcome.robust) | (outcomes.certified & spared)
    before = outcomes.clean if stage.scope is Scope.every else outcomes.standing_before(stage.label)
    return before & (outcomes.of(stage.label) != Outcome.fallen)


def diagnosed_of(outcomes: Outcomes, rows: slice) -> Tensor:
    """Which images of the shard at ``rows`` a cascade's diagnostics attack in full, bool (n,).

    These are the first images of the run. A shard is left out if fewer of its images survive PGD than the smallest
    drop that earns a masking code: no attack can beat PGD by that much.
    """
    clean = outcomes.clean[rows]
    first = torch.arange(rows.start, rows.start + len(clean)) < DIAGNOSED_IMAGES
    if BASELINE in outcomes.stages:
        left = outcomes.survives(BASELINE)[rows][first]
        if left.sum() < MASKING_MIN_DROP * len(left):
            return torch.zeros_like(clean)
    return clean & first


def in_cascade(specs: Sequence[AttackSpec]) -> bool:
    """Whether some of the attacks see survivors only."""
    return any(spec.scope is not Scope.every for spec in specs)


def plan(
    specs: Sequence[AttackSpec],
    target: Target,
    threat_model: ThreatModel,
    *,
    defaults: Mapping[str, Mapping[str, Any]],
    surrogate: Target | None,
) -> list[AttackStage]:
    """The attacks of a run, and for a cascade the probes of its diagnostics.

    Args:
        specs: the attacks that were asked for.
        target: the model under test.
        threat_model: what the attacker may do.
        defaults: by the name of an attack, the parameters that the run gives it.
        surrogate: the model to transfer from, if there is one.

    Raises:
        InputError: a parameter is out of range.
    """
    stages = [
        AttackStage(
            label=spec.label,
            name=spec.name,
            attack=build(spec, target, threat_model, defaults=defaults.get(spec.name, {}), surrogate=surrogate),
            scope=spec.scope,
        )
        for spec in specs
    ]
    if in_cascade(specs):
        stages += [
            AttackStage(
                label=f"{PGD.name} at eps {radius:g}",
                name=PGD.name,
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


def with_budget(
    stages: Sequence[AttackStage], specs: Sequence[AttackSpec], budget: float, images: int
) -> list[AttackStage]:
    """The attacks; the search that doubles goes on while all cost at most ``budget`` times as much as with two rounds.

    Args:
        stages: the attacks of a run.
        specs: the attacks as they were asked for: one that says how long it may go on keeps to that.
        budget: at least 1.
        images: how many a shard has.
    """
    kept = {spec.label for spec in specs if "spare" in spec.parameters}
    spare = (budget - 1) * images * sum(stage.passes for stage in stages) / PASSES_OF_A_GRADIENT
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
    attacks: Sequence[AttackStage], proof: Proof | None, known_noise: KnownNoise | None, planting: Planting | None
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
    """The radii that a cascade probes: half and twice eps, and half the range. Accuracy must fall between them."""
    return sorted({eps / 2, min(2 * eps, 1.0), 0.5} - {eps})
