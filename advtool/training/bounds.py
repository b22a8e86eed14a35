"""Training by interval bounds: what no example of the ball can break (IBP, Gowal et al. 2019)."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from advtool.compute.layers import Box, LayerGraph, UnknownLayer, read
from advtool.compute.layers.affine import Linear
from advtool.errors import InputError
from advtool.threat import ThreatModel
from advtool.training.recipes import Recipe
from advtool.training.schedule import Phase


def layers_of(model: nn.Module, recipe: Recipe, image: Tensor) -> LayerGraph:
    """The layers of a model as it trains. Their weights are those of the model, so they change with it.

    Args:
        model: maps images like ``image`` to logits.
        recipe: how it is trained, for the message.
        image: float32 (1, C, H, W), on the device of the model.

    Raises:
        InputError: a layer has no bounds, or acts in training in another way than in evaluation.
    """
    try:
        return read(model.train(), image)
    except UnknownLayer as error:
        raise InputError(f"--arch {recipe.arch} does not go with the recipe '{recipe.name}': {error}") from None


def bound_loss(
    model: nn.Module, layers: LayerGraph, x: Tensor, y: Tensor, phase: Phase, threat_model: ThreatModel
) -> Tensor:
    """``kappa L(z, y) + (1 - kappa) L(z_hat, y)`` (Gowal et al. 2019): L is the mean cross entropy of a batch.

    z are the logits of the images, z_hat the :func:`worst_case_logits` at the eps of the ``phase``. In the warm-up
    (kappa 1) only the first term is computed.

    Args:
        model: maps images like ``x`` to logits (N, classes).
        layers: its :func:`layers_of`.
        x: float32 (N, C, H, W) in [0, 1].
        y: labels, int64 (N,).
        phase: gives kappa and eps.
        threat_model: gives the norm and the clip range.

    Returns:
        A scalar with a graph to the parameters.
    """
    clean = cross_entropy(model(x), y)
    if phase.kappa == 1:
        return clean
    z_hat = worst_case_logits(layers, x, y, threat_model.with_eps(phase.eps))
    return phase.kappa * clean + (1 - phase.kappa) * cross_entropy(z_hat, y)


def worst_case_logits(layers: LayerGraph, x: Tensor, y: Tensor, threat_model: ThreatModel) -> Tensor:
    """z_hat of Gowal et al. 2019: for every class j the largest ``z_j - z_y`` that the bounds allow; 0 for the label.

    Cross entropy does not see that z_y was subtracted. A last linear layer is merged with the difference,
    ``(W_j - W_y) z + b_j - b_y``, whose bound is tighter than the difference of the bounds of two logits. Where the
    label has the highest entry, no example in the ball and the clip range has another class.

    Args:
        layers: of a model, see :func:`layers_of`.
        x: float32 (N, C, H, W) in the clip range.
        y: labels, int64 (N,).
        threat_model: gives the box that holds the ball.

    Returns:
        float32 (N, classes) with a graph to the parameters.
    """
    box = Box(*threat_model.box(x))
    *before, last = layers.nodes
    label = y[:, None]
    if not isinstance(last.layer, Linear):
        logits = layers.interval(box)
        return (logits.high - logits.low.gather(1, label)).scatter(1, label, 0.0)
    features = LayerGraph(tuple(before)).interval(box)
    z = last.layer((features.low + features.high) / 2)
    differences = last.layer.weight - last.layer.weight[:, None]  # entry [y, j] is W_j - W_y
    reach = torch.einsum("njf,nf->nj", differences.abs()[y], (features.high - features.low) / 2)
    return z - z.gather(1, label) + reach


@torch.no_grad()
def initialise(model: nn.Module) -> None:
    """Draw weights that keep the size of interval bounds from layer to layer ("IBP initialization", Shi et al. 2021).

    A weight of n inputs is drawn from N(0, 2 pi / n^2) with torch's global generator, and biases are 0. With the usual
    1 / sqrt(n) the bounds of random weights grow by about sqrt(n) in each layer, which costs a long warm-up.
    """
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.normal_(layer.weight, std=math.sqrt(2 * math.pi) / layer.weight[0].numel())
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
