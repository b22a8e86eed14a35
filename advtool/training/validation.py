"""The measurements after every epoch, on images that do not train."""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from advtool.compute.layers import LayerGraph
from advtool.compute.precision import autocast, full_precision
from advtool.data import Split, first_images, to_float
from advtool.models.noise import NoiseLevels, input_pnil, noise_levels
from advtool.results import Validated
from advtool.threat import ThreatModel
from advtool.training.bounds import worst_case_logits
from advtool.training.examples import craft
from advtool.training.recipes import Recipe

BATCH_SIZE = 500
PGD_IMAGES = 500
PGD_STEPS = 10
PNIL_DRAWS = 5
"""With a PNIL, PGD sums this many gradients for a step, and a prediction averages this many passes."""

Batch = tuple[Tensor, Tensor]
"""Images float32 (N, C, H, W) in [0, 1], and labels int64 (N,)."""

Attack = Callable[[Tensor, Tensor], Tensor]
"""Makes examples of a batch, like its images."""


def measure(
    model: nn.Module,
    recipe: Recipe,
    split: Split,
    *,
    threat_model: ThreatModel,
    generator: torch.Generator,
    fixed: Tensor | None = None,
    layers: LayerGraph | None = None,
) -> Validated:
    """Measure a model in eval mode, and leave it there.

    Examples are searched in the recipe's precision; accuracies are measured in float32, without TF32. One-step
    examples are of the kind that the recipe trains on (FGSM for PGD training and for bounds). PGD takes 10 steps of
    2.5 eps/10, on 500 fixed images. With a PNIL, :func:`draws_of` draws of its noise go into each gradient of PGD and
    each prediction under PGD.

    Args:
        model: on the device of the split.
        recipe: how it is trained.
        split: validation images.
        threat_model: of the examples.
        generator: of the examples' noise; equal states make the figures of two epochs comparable.
        fixed: examples of all images of the split from another model, float32 (N, C, H, W) in [0, 1].
        layers: of the model, for a recipe by bounds.
    """
    model.eval()
    draws = draws_of(recipe)

    def attack(kind: str, **settings: Any) -> Attack:
        def make(x: Tensor, y: Tensor) -> Tensor:
            with autocast(recipe.precision, x.device):
                return craft(model, x, y, kind, threat_model=threat_model, generator=generator, **settings)

        return make

    pgd_split = pgd_images(split)
    pgd, adversarial_loss = accuracy_and_loss(
        model, _batches(pgd_split, attack("pgd", steps=PGD_STEPS, eot=draws)), draws
    )
    one_step, settings = _one_step(recipe)
    noise = _noise(model, pgd_split)
    return Validated(
        clean=accuracy_and_loss(model, _batches(split))[0],
        one_step=accuracy_and_loss(model, _batches(split, attack(one_step, **settings)))[0],
        pgd=pgd,
        adversarial_loss=adversarial_loss,
        certified=None if layers is None else _certified(layers, split, threat_model),
        fixed=None if fixed is None else accuracy_and_loss(model, _cut(fixed, split.labels))[0],
        noise_centre=noise and noise.centre,
        noise_border=noise and noise.border,
    )


def pgd_images(split: Split) -> Split:
    """The images on which PGD runs: a fixed part of a validation split, at most 500, on the split's device."""
    return first_images(split, PGD_IMAGES)


def draws_of(recipe: Recipe) -> int:
    """How many gradients PGD sums and how many passes a prediction under PGD averages: 5 with a PNIL, else 1."""
    return PNIL_DRAWS if recipe.pnil else 1


@torch.no_grad()
def accuracy_and_loss(model: nn.Module, batches: Iterable[Batch], draws: int = 1) -> tuple[float, float]:
    """Accuracy in [0, 1] and mean cross entropy in nats, over all images of one or more batches.

    With several ``draws`` a prediction is the mean softmax of that many passes, as in an evaluation with votes.
    """
    counts = torch.stack([_count(_predict(model, x, draws), y) for x, y in batches])
    images, correct, loss = counts.sum(dim=0).tolist()
    return correct / images, loss / images


def _one_step(recipe: Recipe) -> tuple[str, dict[str, Any]]:
    """The kind of one-step examples and its settings. A model overfits to the examples that it trains on."""
    settings = recipe.example_settings
    if recipe.by_bounds or "steps" in settings:
        return "fgsm", {}
    return recipe.examples, {"eot": recipe.eot, **settings}


@torch.no_grad()
@full_precision()
def _certified(layers: LayerGraph, split: Split, threat_model: ThreatModel) -> float:
    """The share of the images whose label is highest in the worst-case logits, without a tie."""
    z_hats = ((worst_case_logits(layers, x, y, threat_model), y[:, None]) for x, y in _batches(split))
    proved = [(z_hat.scatter(1, label, -torch.inf) < 0).all(1).sum() for z_hat, label in z_hats]
    return torch.stack(proved).sum().item() / len(split)


def _noise(model: nn.Module, split: Split) -> NoiseLevels | None:
    layer = input_pnil(model)
    return None if layer is None else noise_levels(layer, to_float(split.images))


@full_precision()
def _predict(model: nn.Module, x: Tensor, draws: int) -> Tensor:
    """Logits (N, classes), or the log of the mean softmax over several draws."""
    if draws == 1:
        logits: Tensor = model(x)
        return logits
    answers = torch.stack([model(x).log_softmax(1) for _ in range(draws)])
    return answers.logsumexp(0) - math.log(draws)


def _count(logits: Tensor, y: Tensor) -> Tensor:
    """float64 (3,): images, right answers, summed loss. They stay on the device, so that nobody waits for a GPU."""
    correct = (logits.argmax(dim=1) == y).sum()
    return torch.stack([torch.ones_like(y).sum(), correct, cross_entropy(logits, y, reduction="sum")]).double()


def _batches(split: Split, attack: Attack | None = None) -> Iterator[Batch]:
    for images, y in _cut(split.images, split.labels):
        x = to_float(images)
        yield (x if attack is None else attack(x, y)), y


def _cut(images: Tensor, labels: Tensor) -> Iterator[Batch]:
    return zip(images.split(BATCH_SIZE), labels.split(BATCH_SIZE), strict=True)
