"""Examples that are made once, from another model: our reading of "fixed and precomputed" (Wen & Itti, section 4)."""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from advtool import checkpoints, models, seeding
from advtool.data import Split, to_float
from advtool.errors import InputError
from advtool.threat import ThreatModel
from advtool.training.examples import craft

BATCH_SIZE = 500


class FixedExamples(NamedTuple):
    """FGSM examples of all training images and of all validation images, float32 (N, C, H, W) in [0, 1]."""

    training: Tensor
    validation: Tensor


def precompute(
    checkpoint: Path, training: Split, validation: Split, *, threat_model: ThreatModel, seed: int
) -> FixedExamples:
    """Examples of both splits, on their device, against the model of ``checkpoint`` in eval mode.

    Args:
        checkpoint: holds the other model.
        training: images to train on.
        validation: images that choose the epoch.
        threat_model: the one of this training, whatever the other model was trained for.
        seed: of the other model's own noise, if it has any.

    Raises:
        InputError: the checkpoint cannot be read, or its model takes other images or classes.
    """
    architecture = checkpoints.read_header(checkpoint).architecture
    try:
        models.check_images(architecture, training.shape)
    except InputError as error:
        raise InputError(f"--fixed-examples '{checkpoint}': {error}") from None
    if architecture.classes < len(training.classes):
        raise InputError(
            f"--fixed-examples '{checkpoint}': its model knows {architecture.classes} classes, "
            f"'{training.name}' has {len(training.classes)}"
        )
    device = training.images.device
    model = models.load_checkpoint(checkpoint).to(device)
    with seeding.global_streams(device, seed, "fixed examples"):
        generator = seeding.generator(device, seed, "fixed examples")
        return FixedExamples(*(_examples(model, split, threat_model, generator) for split in (training, validation)))


def _examples(model: nn.Module, split: Split, threat_model: ThreatModel, generator: torch.Generator) -> Tensor:
    batches = zip(split.images.split(BATCH_SIZE), split.labels.split(BATCH_SIZE), strict=True)
    return torch.cat(
        [
            craft(model, to_float(images), y, "fgsm", threat_model=threat_model, generator=generator)
            for images, y in batches
        ]
    )
