"""What a training starts from, and what tells it from others."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from advtool.checkpoints import Header
from advtool.compute.layers import LayerGraph
from advtool.data import Split, cache_dir
from advtool.settings import checked
from advtool.threat import ThreatModel
from advtool.training.fixed import FixedExamples
from advtool.training.recipes import Recipe
from advtool.training.settings import Settings
from advtool.training.state import Arguments, Beginning, fingerprint


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What a training starts from: a new model, images and fixed examples on one device, and the header.

    The layers of the model are there if its bounds train.
    """

    recipe: Recipe
    header: Header
    model: nn.Module
    training: Split
    validation: Split
    fixed: FixedExamples | None
    layers: LayerGraph | None

    @property
    def threat_model(self) -> ThreatModel:
        """What the attacker may do."""
        return self.header.threat_model


def beginning_of(
    prepared: Prepared, output: Path, data_dir: Path | None, settings: Mapping[str, Any] | None
) -> Beginning:
    """What tells this training from others; ``settings`` that were asked for are None if it has images of its own."""
    header = prepared.header
    asked = None
    if settings is not None:
        given = checked(Settings, {name: value for name, value in settings.items() if value is not None})
        asked = Arguments(
            data=header.dataset,
            recipe=prepared.recipe.name,
            eps=header.threat_model.eps,
            seed=header.seed,
            limit=header.recipe["limit"],
            data_dir=_absolute(cache_dir(data_dir)),
            # The device decides what "auto" is.
            settings=json.loads(json.dumps(given | {"precision": prepared.recipe.precision}, default=_absolute)),
        )
    images = fingerprint(prepared.training, prepared.validation)
    return Beginning(output=output.name, header=header, images=images, arguments=asked)


def _absolute(path: Path) -> str:
    return str(path.resolve())
