"""Opens the model of a run, asks it once what it is, and recognises it when the run goes on."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from advtool.compute.precision import Precision
from advtool.errors import InputError, is_out_of_memory
from advtool.evaluation.manifest import IDENTITY, Manifest
from advtool.evaluation.shard import ShardRecord
from advtool.target.facts import Facts
from advtool.target.handling import Handled, handled
from advtool.target.identity import ANSWERS, IDENTITY_IMAGES, Identity, agree, answers_of, identify, tensors_by_hash
from advtool.target.making import open_target
from advtool.target.target import Target

ANSWERS_A_SHARD = 4
"""How many images of each shard have their logits kept. They show a difference that only few images have."""

Role = Literal["model", "surrogate"]
SURROGATE = "surrogate.safetensors"


@dataclass(frozen=True)
class Opened:
    """A model that is ready to be attacked."""

    target: Target
    facts: Facts
    handled: Handled
    identity: Identity
    seconds: float
    """about how long an image takes in a pass of a few images"""


@dataclass(frozen=True)
class Begun:
    """What a run folder knows already about one of its models. A new folder knows nothing."""

    folder: Path | None = None
    manifest: Manifest | None = None
    role: Role = "model"
    same_images: bool = True
    """the images are those of the run, so the model's answers to them are compared too"""

    @property
    def facts(self) -> Facts | None:
        """What the run has found out about the model; None if it is new."""
        if self.manifest is None:
            return None
        return self.manifest.facts if self.role == "model" else self.manifest.surrogate_facts

    @property
    def path(self) -> Path | None:
        """Where the run keeps the identity of the model; None in memory."""
        return None if self.folder is None else self.folder / (IDENTITY if self.role == "model" else SURROGATE)

    @cached_property
    def identity(self) -> Identity | None:
        """The identity of the model that the run was begun with; None if it is new."""
        return None if self.path is None or self.manifest is None else Identity.read(self.path)

    def keep(self, identity: Identity) -> None:
        """Write the identity of the model, unless the run has it already."""
        if self.path is not None and not (self.manifest and self.path.exists()):
            identity.write(self.path)

    def refuse(self, difference: str | None) -> None:
        """Refuse a model that differs from the run's.

        Args:
            difference: what differs, in words; None refuses nothing.

        Raises:
            InputError: there is a difference.
        """
        if difference is not None:
            which = "run of another model" if self.role == "model" else "run with another surrogate"
            raise InputError(f"run_dir='{self.folder}' holds a {which} ({difference} differ): name another folder")


@contextmanager
def opened(
    model: nn.Module,
    images: Tensor,
    device: torch.device,
    begun: Begun,
    *,
    eot: int | None = None,
    votes: int | None = None,
    precision: Precision = "auto",
    seed: int = 0,
) -> Iterator[Opened]:
    """Open the model on ``device``. Afterwards it is as it was.

    Args:
        model: float32 (N, C, H, W) in [0, 1] -> logits (N, classes).
        images: the images of the run, float32 (N, C, H, W) in [0, 1], on any device.
        device: where to compute.
        begun: what the run folder knows already.
        eot: draws of a gradient; None takes 1, or 20 for a random model.
        votes: draws of a prediction; None takes 1, or 20 for a random model.
        precision: the precision in which attacks search.
        seed: the seed of the run.

    Raises:
        InputError: the model is no classifier of such images, it is broken, or the run folder knows another model.
    """
    first = images[:IDENTITY_IMAGES].to(device)
    with handled(model, device) as ours:
        tensors, before = tensors_by_hash(model), begun.identity
        known = None if before is None else begun.facts
        if before is not None:
            begun.refuse(before.clash(tensors))
        target, facts = open_target(ours, first, known=known, eot=eot, votes=votes, precision=precision, seed=seed)
        started = time.perf_counter()
        try:
            identity = identify(ours, target, facts, tensors, first)
        except Exception as error:
            if before is None or is_out_of_memory(error):
                raise
            begun.refuse(ANSWERS)  # the run's facts do not fit this model
            raise
        if before is not None:
            begun.refuse(
                before.difference(identity if begun.same_images else identity.model_copy(update={"of_run": None}))
            )
        seconds = (time.perf_counter() - started) / (IDENTITY_IMAGES + len(first))
        yield Opened(target, facts, ours, identity, seconds)


def answers_for_shard(target: Target, x: Tensor, shard: int) -> list[list[float]]:
    """The logits of a few images out of a shard's ``x`` (n, C, H, W), under a random stream of their own."""
    rows = torch.linspace(0, len(x) - 1, min(ANSWERS_A_SHARD, len(x))).round().long()
    answers: list[list[float]] = answers_of(target, x[rows.to(x.device)], "shard", shard).tolist()
    return answers


def recognise(begun: Begun, ours: Opened, clean: Sequence[tuple[ShardRecord | None, Tensor]]) -> None:
    """Compare the answers that finished shards have kept with the model's answers now.

    Args:
        begun: what the run folder knows already.
        ours: the model.
        clean: for each shard, the record of its clean stage and its images; the record is None if it is not finished.

    Raises:
        InputError: the answers differ.
    """
    if ours.identity.fixed is None:  # no seed governs its noise, so answers cannot be compared
        return
    if begun.manifest is None or ours.identity.noise != (kept := begun.identity or ours.identity).noise:
        return
    for shard, (record, x) in enumerate(clean):
        if record is not None and record.answers is not None:
            now = torch.tensor(answers_for_shard(ours.target, x.to(ours.target.device), shard))
            if not agree(torch.tensor(record.answers), now, kept.rounding):
                begun.refuse(f"its answers to images of shard {shard}")
