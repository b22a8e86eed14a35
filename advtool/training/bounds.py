"""Training by interval bounds: what no example of the ball can break (IBP, Gowal et al. 2019)."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from advtool.threat import ThreatModel
from advtool.training.schedule import Phase


def bound_loss(model: nn.Module, x: Tensor, y: Tensor, phase: Phase, threat_model: ThreatModel) -> Tensor:
    """``kappa L(z, y) + (1 - kappa) L(z_hat, y)``, equation 12 of Gowal et al.: L is the mean cross entropy.

    z are the logits of the images, z_hat the :func:`worst_case_logits` at the eps of the ``phase``. In the warm-up
    (kappa 1) only the first term is computed.

    Args:
        model: maps images like ``x`` to logits (N, classes).
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
    z_hat = worst_case_logits(model, x, y, threat_model.with_eps(phase.eps))
    return phase.kappa * clean + (1 - phase.kappa) * cross_entropy(z_hat, y)


def worst_case_logits(model: nn.Module, x: Tensor, y: Tensor, threat_model: ThreatModel) -> Tensor:
    """z_hat of Gowal et al., equations 9 to 11: for every class the highest of ``z_j - z_y`` that bounds allow.

    The last layer is bounded together with the difference (``W_j - W_y``), which is tighter than the difference of
    bounds. The label's own entry is 0. Where it is the highest, no example in the ball and the clip range has another
    class.

    Returns:
        float32 (N, classes) with a graph to the parameters.
    """
    low, high = (x - threat_model.eps).clamp(*threat_model.clip), (x + threat_model.eps).clamp(*threat_model.clip)
    layers = list(model)
    for layer in layers[:-1]:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            centre, radius = (low + high) / 2, (high - low) / 2
            middle = layer(centre)
            if isinstance(layer, nn.Conv2d):
                reach = nn.functional.conv2d(radius, layer.weight.abs(), None, layer.stride, layer.padding)
            else:
                reach = nn.functional.linear(radius, layer.weight.abs())
            low, high = middle - reach, middle + reach
        else:
            low, high = layer(low), layer(high)
    last = layers[-1]
    z = last((low + high) / 2)
    differences = (last.weight - last.weight[:, None]).abs()[y]
    return z - z.gather(1, y[:, None]) + torch.einsum("njf,nf->nj", differences, (high - low) / 2)


@torch.no_grad()
def initialise(model: nn.Module) -> None:
    """Draw weights that keep the size of interval bounds from layer to layer (Shi et al. 2021, section 3.2).

    A weight of n inputs is drawn from N(0, 2 pi / n²) with torch's global generator, and biases are 0. With the usual
    1 / sqrt(n) the bounds of random weights grow with sqrt(n) in each layer, which costs a long warm-up.
    """
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.normal_(layer.weight, std=math.sqrt(2 * math.pi) / layer.weight[0].numel())
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
