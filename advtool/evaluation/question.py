"""The question of a run: which images, and which settings."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from advtool.arguments import shown
from advtool.attacks.doubling import Doubling
from advtool.attacks.pgd import PGD
from advtool.attacks.registry import ATTACKS, AttackSpec
from advtool.attacks.spelling import parse
from advtool.attacks.spsa import SPSA
from advtool.attacks.suites import Scope
from advtool.data import as_indices, as_pairs
from advtool.errors import InputError
from advtool.evaluation import provenance
from advtool.evaluation.settings import Settings
from advtool.results import DatasetInfo
from advtool.threat import ThreatModel


@dataclass(frozen=True)
class Question:
    """The arguments of :func:`advtool.evaluate`, checked."""

    x: Tensor
    """float32 (N, C, H, W) in [0, 1] on the CPU"""
    y: Tensor
    """int64 (N,)"""
    indices: list[int]
    """the index of each image in its data set"""
    dataset: DatasetInfo
    specs: list[AttackSpec]
    settings: Settings
    threat_model: ThreatModel

    @classmethod
    def of(
        cls,
        images: Any,
        labels: Any,
        settings: Settings,
        *,
        limit: int | None = None,
        dataset: DatasetInfo | None = None,
        indices: Sequence[int] | Tensor | None = None,
        surrogate: bool = False,
    ) -> "Question":
        """The arguments of :func:`advtool.evaluate` as a question.

        ``surrogate`` tells whether there is a model to transfer from.

        Raises:
            InputError: an argument is wrong; the message says what would be right.
        """
        if dataset is not None and not isinstance(dataset, DatasetInfo):
            raise InputError(f"dataset={shown(dataset)} must be a DatasetInfo (advtool.results), or None")
        threat_model = ThreatModel.of(settings.eps)
        specs = parse(settings.attacks, surrogate=surrogate)
        if surrogate and not any(spec.needs_surrogate for spec in specs):
            raise InputError("surrogate: no attack of this run uses it; add the attack transfer or audit")
        x, y = as_pairs(images, labels, limit)
        question = cls(
            x=x,
            y=y,
            indices=as_indices(indices, len(x)),
            dataset=dataset or DatasetInfo(name="given", split="given", images=len(x)),
            specs=specs,
            settings=settings,
            threat_model=threat_model,
        )
        question._refuse_idle_settings()
        return question

    def _refuse_idle_settings(self) -> None:
        """Refuse settings that change nothing of this run."""
        settings = self.settings
        if settings.certify_seconds and not self.asks_for_proofs:
            raise InputError(
                f"certify_seconds={settings.certify_seconds:g} is for proofs: ask for them with "
                "certify=True (--certify), or leave this out"
            )
        doubles = any(spec.name == Doubling.name and "spare" not in spec.parameters for spec in self.specs)
        if settings.budget != Settings.budget and not doubles:
            raise InputError(
                f"budget={settings.budget:g} is for the search that doubles, unless that has a spare of its own: add "
                f"the attack audit or {Doubling.name}, or leave this out"
            )
        if settings.planted and all(spec.needs_surrogate for spec in self.specs):
            raise InputError("planted: every attack of this run follows another model; add one, e.g. pgd")

    @property
    def in_cascade(self) -> bool:
        """Whether some of the attacks see survivors only."""
        return any(spec.scope is not Scope.every for spec in self.specs)

    @property
    def asks_for_proofs(self) -> bool:
        """Whether the run is to prove images robust if it can: a cascade is, unless it is told not to."""
        certify = self.settings.certify
        return self.in_cascade if certify is None else certify

    @property
    def asks_for_planted(self) -> bool:
        """Whether the run is to plant adversarial examples: a cascade is, unless it is told not to."""
        planted = self.settings.planted
        return self.in_cascade if planted is None else planted

    @property
    def asked_attacks(self) -> str:
        """The attacks and suites as they were asked for, joined by commas."""
        asked: str | Sequence[str] = self.settings.attacks
        return asked if isinstance(asked, str) else ", ".join(asked)

    @property
    def asked(self) -> dict[str, Any]:
        """The settings that are not the default, as plain JSON data: what one gives to ask again."""
        given = vars(self.settings) | {"eps": self.threat_model.eps}
        attacks = given["attacks"]
        given["attacks"] = (attacks,) if isinstance(attacks, str) else tuple(attacks)
        return {name: value for name, value in given.items() if value != getattr(Settings, name)}

    @cached_property
    def images_id(self) -> str:
        """A fingerprint of the images and their labels."""
        return provenance.tensors(self.x, self.y)

    @property
    def attack_defaults(self) -> dict[str, dict[str, Any]]:
        """The parameters that the settings give an attack, by its name. Parameters in the attack's brackets win."""
        asked = self.settings
        pgd = {"steps": asked.pgd_steps}
        spsa = {"steps": asked.spsa_steps, "samples": asked.spsa_samples, "eot": 1 if asked.eot is None else asked.eot}
        return {name: pgd for name, attack in ATTACKS.items() if issubclass(attack, PGD)} | {SPSA.name: spsa}

    def first(self, count: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """The first ``count`` images and labels, on ``device``."""
        return self.x[:count].to(device), self.y[:count].to(device)
