"""What tests of runs share: images, labels by the model's own predictions, and documents without times."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from advtool import documents
from advtool.evaluation.observer import Observer
from tests.support.models import mlp

SHAPE = (1, 4, 4)


class Listener(Observer):
    """Keeps the notes of a run, and how many images stood at the end of each stage."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.standing: dict[str, int] = {}

    def note(self, message: str) -> None:
        self.notes.append(message)

    def finish(self, stage: str, standing: int) -> None:
        self.standing[stage] = standing


def images(count: int = 150, seed: int = 0) -> Tensor:
    return torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(seed))


def labelled(model: nn.Module, count: int = 150) -> tuple[Tensor, Tensor]:
    """Images, and the model's own predictions as labels."""
    x = images(count)
    with torch.no_grad():
        return x, model(x).argmax(1)


def rewrite(path: Path, document: Any) -> None:
    """Put another document into a run, with its seal, as a stranger may."""
    documents.write(path.parent, path.name, json.dumps(document))


def without_times(document: Any) -> Any:
    """A JSON document without any ``seconds``."""
    if isinstance(document, dict):
        return {key: without_times(value) for key, value in document.items() if key != "seconds"}
    return [without_times(value) for value in document] if isinstance(document, list) else document


def two_models_images(count: int = 250) -> tuple[Tensor, Tensor]:
    """Images with labels that ``mlp()`` predicts. A second model gets many of these wrong.

    A smaller ``count`` gives the first ones of the same images.
    """
    x = torch.rand(250, *SHAPE, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        return x[:count], mlp()(x[:count]).argmax(1)
