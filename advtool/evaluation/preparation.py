"""Prepares a run: opens the models, plans the stages, and finds the folder."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from advtool.checkpoints import now
from advtool.errors import InputError
from advtool.evaluation import provenance
from advtool.evaluation.attack_stage import PASSES_OF_A_GRADIENT, AttackStage
from advtool.evaluation.known_noise import KnownNoiseStage
from advtool.evaluation.manifest import PASS, SURROGATE_PASS, Decision, Manifest, read_begun
from advtool.evaluation.planting.planter import BOUNDARY_POINTS, GRADIENT_STEPS
from advtool.evaluation.planting.planting import Planting
from advtool.evaluation.proof import Proof
from advtool.evaluation.question import Question
from advtool.evaluation.recognition import Begun, Opened, opened
from advtool.evaluation.run import Run
from advtool.evaluation.shard import shard_size
from advtool.evaluation.stage import Stage
from advtool.evaluation.stages import in_order, moot, plan, with_budget
from advtool.evaluation.worker import Worker
from advtool.target.scores import refuse_missing_classes
from advtool.target.target import Target

PLANNING_IMAGES = 8
"""The first images of a run: each attack of a cascade is asked whether it is moot there, and bounds what they cost."""
AS_WRITTEN = {"path", "classes_file", "input_size"}
"""Fields of a data set that tell how the user named it. The images themselves are the question, not their place."""


@dataclass(frozen=True)
class Prepared:
    """A run that is ready to begin."""

    question: Question
    ours: Opened
    """the model under test"""
    surrogate: Opened | None
    """the model to transfer from, if there is one"""
    begun: Begun
    """what the folder knows already"""
    stages: list[Stage]
    moot: tuple[str, ...]
    """labels of the attacks that the cascade leaves out on this model"""
    certification: Decision | None
    """whether images are proved robust; None if nobody asked"""
    images_a_shard: int

    @property
    def attacks(self) -> list[AttackStage]:
        """The stages that attack, probes included."""
        return [stage for stage in self.stages if isinstance(stage, AttackStage)]

    @property
    def known_noise(self) -> KnownNoiseStage | None:
        """The stage that attacks fixed fields of noise; None if the run has none."""
        return next((stage for stage in self.stages if isinstance(stage, KnownNoiseStage)), None)

    @property
    def planting(self) -> Planting | None:
        """The stage that attacks copies of the model; None if the run has none."""
        return next((stage for stage in self.stages if isinstance(stage, Planting)), None)

    def begin_run(self, *, save_adversarial: bool = False) -> Run:
        """Begin the run, or open it with the shards that are finished. Its model is noted last (:func:`read_begun`).

        Args:
            save_adversarial: keep the verified examples there too.

        Raises:
            InputError: the folder holds a run of another question, or nobody may write there.
        """
        manifest = Manifest(
            configuration=self._configuration(),
            environment=self._environment(),
            facts=self.ours.facts,
            surrogate_facts=None if self.surrogate is None else self.surrogate.facts,
            moot=self.moot,
            certification=self.certification,
            created=now(),
            asked=self.question.asked,
        )
        kept = [stage.label for stage in self.attacks if not stage.is_probe] if save_adversarial else []
        run = Run(self.begun.folder, manifest, keep_examples=kept)
        run.put_image_ids(lambda: provenance.image_ids(self.question.x, self.question.y))
        if self.surrogate is not None:
            replace(self.begun, role="surrogate").keep(self.surrogate.identity)
        self.begun.keep(self.ours.identity)
        for key, target in self.targets.items():
            target.batch_size = run.manifest.passes.get(key, target.batch_size)
        return run

    def worker(self) -> Worker:
        """The worker that computes the shards."""
        question = self.question
        return Worker(
            self.ours.target, question.x, question.y, seed=question.settings.seed, images_a_shard=self.images_a_shard
        )

    @property
    def targets(self) -> dict[str, Target]:
        """The models, by the name in the environment that tells how many images go through each at once."""
        return {PASS: self.ours.target} | ({} if self.surrogate is None else {SURROGATE_PASS: self.surrogate.target})

    def _environment(self) -> dict[str, Any]:
        """The machine, the versions and the batch plan, as plain JSON data."""
        passes = {key: target.batch_size for key, target in self.targets.items()}
        return provenance.environment(self.ours.target, self.ours.facts) | passes

    def _configuration(self) -> dict[str, Any]:
        question, target = self.question, self.ours.target
        return {
            "code": provenance.code(),
            "surrogate": self.surrogate is not None,
            "images": question.images_id,
            "dataset": question.dataset.model_dump(exclude=AS_WRITTEN),
            **question.threat_model.model_dump(),
            "attacks": {stage.label: stage.parameters for stage in self.stages},
            "stages": [str(stage) for stage in self.stages],
            "certify": question.settings.certify,
            "planted": question.settings.planted,
            "budget": question.settings.budget,
            "seed": question.settings.seed,
            "eot": target.eot,
            "votes": target.votes,
            "precision": question.settings.precision,
            "images_a_shard": self.images_a_shard,
        }


@contextmanager
def prepared(
    model: nn.Module,
    question: Question,
    device: torch.device,
    *,
    surrogate: nn.Module | None = None,
    folder: Path | None = None,
) -> Iterator[Prepared]:
    """Open the models and plan the run. Afterwards the models are as they were.

    Args:
        model: float32 (N, C, H, W) in [0, 1] -> logits (N, classes).
        question: what is asked of the model.
        device: where to compute.
        surrogate: a model to transfer from; None if no attack needs one.
        folder: where the run lives; None keeps nothing.

    Raises:
        InputError: a model is broken or does not fit the images, the folder belongs to another model, or a parameter
            is out of range.
    """
    manifest = None if folder is None else read_begun(folder)
    same = manifest is None or manifest.configuration.get("images") == question.images_id
    begun = Begun(folder, manifest, same_images=same)
    with ExitStack() as stack:
        ours = stack.enter_context(_opened(model, question, device, begun, votes=question.settings.votes))
        refuse_missing_classes(question.y, ours.target.classes)
        theirs = None
        if surrogate is not None:
            theirs = stack.enter_context(_surrogate(surrogate, ours, question, replace(begun, role="surrogate")))
        with ours.target.streams(question.settings.seed, "plan"):
            planned = plan(question, ours.target, surrogate=None if theirs is None else theirs.target)
            few = question.first(PLANNING_IMAGES, device)
            left_out = moot(planned, few) if manifest is None else manifest.moot
            attacks = [stage for stage in planned if stage.label not in left_out]
            size = _shard_size(attacks, ours, device) if manifest is None else manifest.images_a_shard
            attacks = with_budget(attacks, question, min(size, len(question.x)))
            proof = Proof(ours.target, few[0], question.threat_model, question.settings.certify_seconds)
            decision = _decide(proof, attacks, question) if manifest is None else manifest.certification
        proves = decision is not None and decision.reason is None
        planting = _planting(question, attacks, ours.target.eot)
        stages = in_order(attacks, proof if proves else None, _known_noise(question, ours.target), planting)
        ours.handled.state.restore()
        yield Prepared(question, ours, theirs, begun, stages, left_out, decision, size)


def _shard_size(attacks: Sequence[AttackStage], ours: Opened, device: torch.device) -> int:
    return shard_size([stage.attack for stage in attacks], ours.facts.bytes_an_image, device.type)


def _decide(proof: Proof, attacks: Sequence[AttackStage], question: Question) -> Decision | None:
    """Whether to prove images robust; None if nobody asks for it."""
    if not question.asks_for_proofs:
        return None
    return proof.decide(sum(stage.passes for stage in attacks), insisted=question.settings.certify is True)


def _known_noise(question: Question, target: Target) -> KnownNoiseStage | None:
    """The stage that attacks fixed fields of noise: in a cascade, on a random model."""
    if not (target.randomised and question.in_cascade):
        return None
    return KnownNoiseStage(question.threat_model, question.settings.pgd_steps)


def _planting(question: Question, attacks: Sequence[AttackStage], eot: int) -> Planting | None:
    """The stage that attacks copies of the model with all ``attacks`` that can; None if nobody asks for it."""
    if not question.asks_for_planted:
        return None
    passes = {stage.label: stage.passes for stage in attacks}
    able = [spec for spec in question.specs if spec.label in passes and not spec.needs_surrogate]
    specs = sorted(able, key=lambda spec: passes[spec.label])
    to_plant = eot * (BOUNDARY_POINTS + GRADIENT_STEPS * PASSES_OF_A_GRADIENT)
    to_attack = sum(passes[spec.label] for spec in specs)
    return Planting(question.threat_model, specs, question.attack_defaults, to_plant + to_attack)


def _opened(
    model: nn.Module, question: Question, device: torch.device, begun: Begun, *, votes: int | None
) -> AbstractContextManager[Opened]:
    return opened(
        model,
        question.x,
        device,
        begun,
        eot=question.settings.eot,
        votes=votes,
        precision=question.settings.precision,
        seed=question.settings.seed,
    )


@contextmanager
def _surrogate(model: nn.Module, ours: Opened, question: Question, begun: Begun) -> Iterator[Opened]:
    """The model to transfer from. A complaint about it names the surrogate, not the model under test."""
    with ExitStack() as stack:
        try:
            theirs = stack.enter_context(_opened(model, question, ours.target.device, begun, votes=None))
        except InputError as error:
            raise InputError(f"surrogate: {error}") from None
        if theirs.target.classes != ours.target.classes:
            raise InputError(
                f"surrogate: it tells {theirs.target.classes} classes apart and the model {ours.target.classes}: "
                "name a surrogate that was trained for the same task"
            )
        yield theirs
