"""Linear models, whose robust accuracy is known in closed form.

An image of class y survives every perturbation of the ball exactly if for every other class k
``(w_y - w_k) x + b_y - b_k > eps * ||w_y - w_k||_1``, as long as the clip range is out of reach.
"""

import torch
from torch import Tensor

from tests.support.models import Linear

EPS = 0.03
SHAPE = (1, 6, 6)


def problem(classes: int, seed: int, count: int = 400) -> tuple[Linear, Tensor, Tensor, Tensor]:
    """A linear model, images out of the clip range's reach, labels, and which images are truly robust."""
    generator = torch.Generator().manual_seed(seed)
    size = SHAPE[1] * SHAPE[2]
    model = Linear(torch.randn(classes, size, generator=generator), torch.zeros(classes))
    x = EPS + (1 - 2 * EPS) * torch.rand(count, *SHAPE, generator=generator)
    with torch.no_grad():
        model.bias -= model(x).mean(0)
        y = model(x).argmax(1)
        y[::10] = (y[::10] + 1) % classes  # some that the model gets wrong
    slack = closed_form_slack(model, x, y)
    decided = slack.abs() > 1e-4  # float32 may fall on either side of a tie
    return model, x[decided], y[decided], (slack > 0)[decided]


def closed_form_slack(model: Linear, x: Tensor, y: Tensor, eps: float = EPS) -> Tensor:
    """By how much each image (N,) resists every perturbation of the ball; below 0 it falls."""
    weight, bias = model.weight.detach().double(), model.bias.detach().double()
    difference = weight[y][:, None] - weight  # (N, classes, D)
    margin = torch.einsum("nkd,nd->nk", difference, x.flatten(1).double()) + bias[y][:, None] - bias
    slack = margin - eps * difference.abs().sum(2)
    slack[torch.arange(len(y)), y] = torch.inf
    return slack.amin(1)
