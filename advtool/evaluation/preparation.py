"""Everything that a run needs before its first shard: the models opened, the stages planned, the folder found."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from advtool.errors import InputError
from advtool.evaluation import provenance
from advtool.evaluation.question import Question
from advtool.evaluation.recognition import Begun, Opened, opened
from advtool.evaluation.run import Known, Run, read_manifest
from advtool.evaluation.shard import shard_size
from advtool.evaluation.stages import Stage, moot, plan
from advtool.evaluation.worker import Worker

ASKED_IMAGES = 8
"""By so many images an attack is asked whether it has anything to do on this model."""


@dataclass(frozen=True)
class Prepared:
    """A run that could begin."""

    question: Question
    ours: Opened
    other: Opened | None
    """the surrogate"""
    begun: Begun
    stages: list[Stage]
    moot: tuple[str, ...]
    """attacks that a cascade leaves out on this model"""
    images_a_shard: int

    def run(self, *, save_adversarial: bool = False) -> Run:
        """Its folder, with what is finished.

        Raises:
            InputError: the folder holds a run of another question, or cannot be written.
        """
        run = Run(
            self.begun.folder,
            self._configuration(),
            self.environment(),
            known=Known(self.ours.facts, None if self.other is None else self.other.facts, self.moot),
            keep_examples=[s.label for s in self.stages if s.probed_eps is None] if save_adversarial else [],
        )
        self.begun.keep(self.ours.identity)
        if self.other is not None:
            replace(self.begun, role="surrogate").keep(self.other.identity)
        run.put_image_ids(lambda: provenance.image_ids(self.question.x, self.question.y))
        self.ours.target.batch_size = run.manifest.environment["images_a_pass"]
        return run

    def worker(self) -> Worker:
        """Who computes its shards."""
        question = self.question
        return Worker(
            self.ours.target, question.x, question.y, seed=question.settings.seed, images_a_shard=self.images_a_shard
        )

    def environment(self) -> dict[str, Any]:
        """Where it is computed."""
        return provenance.environment(self.ours.target, self.ours.facts)

    def _configuration(self) -> dict[str, Any]:
        question, target = self.question, self.ours.target
        return {
            "code": provenance.code(),
            "surrogate": self.other is not None,
            "images": question.images_id,
            "dataset": question.dataset.model_dump(),
            "eps": question.settings.eps,
            "attacks": {stage.label: stage.attack.parameters() for stage in self.stages},
            "stages": [f"{stage.label} on {stage.scope}" for stage in self.stages],
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
    """Open the models and plan the run; the models are left as they were afterwards.

    Args:
        model: the user's.
        question: what is asked of it.
        device: where to compute.
        surrogate: a model to transfer from.
        folder: of the run; None keeps nothing.

    Raises:
        InputError: a model is broken, does not fit the images or is another than the run's, or a parameter is out
            of range.
    """
    manifest = None if folder is None else read_manifest(folder)
    same = manifest is None or manifest.configuration.get("images") == question.images_id
    begun = Begun(folder, manifest, same_images=same)
    with ExitStack() as stack:
        ours = stack.enter_context(_opened(model, question, device, begun, votes=question.settings.votes))
        if int(question.y.max()) >= ours.target.classes:
            raise InputError(
                f"labels go up to {int(question.y.max())}, but the model has {ours.target.classes} classes "
                f"(0 to {ours.target.classes - 1}): do they begin at 1, is it another data set's model, or does "
                "--classes name outputs that it lacks?"
            )
        other = None
        if surrogate is not None:
            other = stack.enter_context(_surrogate(surrogate, ours, question, replace(begun, role="surrogate")))
        with ours.target.streams(question.settings.seed, "plan"):
            planned = plan(
                question.specs,
                ours.target,
                question.threat_model,
                defaults=question.of_attacks,
                surrogate=None if other is None else other.target,
            )
            left_out = moot(planned, question.first(ASKED_IMAGES, device)) if manifest is None else manifest.moot
        stages = [stage for stage in planned if stage.label not in left_out]
        ours.handled.state.restore()
        size = shard_size([stage.attack for stage in stages], ours.facts.bytes_an_image, device.type)
        yield Prepared(question, ours, other, begun, stages, left_out, size)


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
    """The model to transfer from; what is wrong with it is said of it, not of the model under test."""
    with ExitStack() as stack:
        try:
            other = stack.enter_context(_opened(model, question, ours.target.device, begun, votes=None))
        except InputError as error:
            raise InputError(f"surrogate: {error}") from None
        if other.target.classes != ours.target.classes:
            raise InputError(
                f"surrogate: it tells {other.target.classes} classes apart and the model {ours.target.classes}: "
                "name one that was trained for the same task"
            )
        yield other
