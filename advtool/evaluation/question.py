"""What is asked of a model: on which images, against which attacks, how hard."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from advtool.arguments import shown
from advtool.attacks.pgd import PGD
from advtool.attacks.registry import ATTACKS, AttackSpec
from advtool.attacks.spelling import parse
from advtool.attacks.spsa import SPSA
from advtool.compute.precision import Precision, check_precision
from advtool.data import as_indices, as_pairs
from advtool.errors import InputError
from advtool.evaluation import inputs
from advtool.results import DatasetInfo


@dataclass(frozen=True)
class Question:
    """The arguments of :func:`advtool.evaluate`, checked."""

    x: Tensor
    """float32 (N, C, H, W) in [0, 1] on the CPU"""
    y: Tensor
    """int64 (N,)"""
    indices: list[int]
    """of each image in its data set"""
    dataset: DatasetInfo
    specs: list[AttackSpec]
    eps: float
    defaults: dict[str, dict[str, Any]]
    """parameters of attacks that the run has options for, by the attack's name"""
    eot: int | None
    votes: int | None
    seed: int
    precision: Precision

    @classmethod
    def of(
        cls,
        images: Any,
        labels: Any = None,
        *,
        limit: int | None = None,
        eps: float = 8 / 255,
        attacks: str | Sequence[str] = ("fgsm", "pgd", "spsa"),
        seed: int = 0,
        eot: int | None = None,
        votes: int | None = None,
        pgd_steps: int = 50,
        spsa_steps: int = 100,
        spsa_samples: int = 128,
        precision: Precision = "auto",
        dataset: DatasetInfo | None = None,
        indices: Sequence[int] | Tensor | None = None,
        transfers: bool = False,
    ) -> "Question":
        """The question that the arguments of :func:`advtool.evaluate` ask.

        ``transfers`` tells whether there is a surrogate.

        Raises:
            InputError: one of them is not as it must be.
        """
        check_precision(precision)
        if dataset is not None and not isinstance(dataset, DatasetInfo):
            raise InputError(f"dataset={shown(dataset)} must be a DatasetInfo (advtool.results), or None")
        seed = inputs.as_seed(seed)
        eot, votes = inputs.as_count_or_none("eot", eot), inputs.as_count_or_none("votes", votes)
        pgd = {"steps": inputs.as_count("pgd_steps", pgd_steps)}
        spsa = {
            "steps": inputs.as_count("spsa_steps", spsa_steps),
            "samples": inputs.as_count("spsa_samples", spsa_samples, 2),
            "eot": 1 if eot is None else eot,
        }
        specs = parse(attacks, surrogate=transfers)
        if transfers and not any(spec.needs_surrogate for spec in specs):
            raise InputError("--surrogate: no attack of this run uses it; add --attack transfer or --attack audit")
        eps = inputs.as_eps(eps)
        x, y = as_pairs(images, labels, limit)
        return cls(
            x=x,
            y=y,
            indices=as_indices(indices, len(x)),
            dataset=dataset or DatasetInfo(name="given", split="given", images=len(x)),
            specs=specs,
            eps=eps,
            defaults={name: pgd for name, attack in ATTACKS.items() if issubclass(attack, PGD)} | {SPSA.name: spsa},
            eot=eot,
            votes=votes,
            seed=seed,
            precision=precision,
        )

    def few(self, device: torch.device, count: int = 8) -> tuple[Tensor, Tensor]:
        """The first images and labels, on ``device``."""
        return self.x[:count].to(device), self.y[:count].to(device)
