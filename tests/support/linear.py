"""Linear models, whose robust accuracy is known in closed form.

An image x of class y survives every perturbation of the ball exactly if, for every other class k,
``(w_y - w_k) x + b_y - b_k > eps * ||w_y - w_k||_1``, as long as the ball lies inside the clip range.
"""

import torch
from torch import Tensor

from tests.support.models import Linear

EPS = 0.03
SHAPE = (1, 6, 6)


def problem(classes: int, seed: int, count: int = 400) -> tuple[Linear, Tensor, Tensor, Tensor]:
    """A linear model, images whose balls lie inside the clip range, labels, and which images are truly robust.

    Images whose robustness hangs on float32 rounding are left out.
    """
    generator = torch.Generator().manual_seed(seed)
    size = SHAPE[1] * SHAPE[2]
    model = Linear(torch.randn(classes, size, generator=generator), torch.zeros(classes))
    x = EPS + (1 - 2 * EPS) * torch.rand(count, *SHAPE, generator=generator)
    with torch.no_grad():
        model.bias -= model(x).mean(0)
        y = model(x).argmax(1)
        y[::10] = (y[::10] + 1) % classes  # the model gets every tenth image wrong
    slack = closed_form_slack(model, x, y)
    decided = slack.abs() > 1e-4  # rounding decides closer images
    return model, x[decided], y[decided], (slack > 0)[decided]


def closed_form_slack(model: Linear, x: Tensor, y: Tensor, eps: float = EPS) -> Tensor:
    """The smallest margin of each image in its ball, float64 (N,); below 0 a perturbation breaks the image."""
    weight, bias = model.weight.detach().double(), model.bias.detach().double()
    difference = weight[y][:, None] - weight  # (N, classes, D)
    margin = torch.einsum("nkd,nd->nk", difference, x.flatten(1).double()) + bias[y][:, None] - bias
    slack = margin - eps * difference.abs().sum(2)
    slack[torch.arange(len(y)), y] = torch.inf
    return slack.amin(1)


def closed_form_smallest_eps(model: Linear, x: Tensor, y: Tensor) -> Tensor:
    """The smallest eps that breaks each image within [0, 1], float64 (N,): 0 if it is misclassified.

    Within eps a pixel moves the margin to class k by ``|w_y - w_k| min(eps, room)``, where the room is the way to the
    end of the clip range. This rises with eps, so bisection finds where it reaches the margin.
    """
    weight, bias, pixels = model.weight.detach().double(), model.bias.detach().double(), x.flatten(1).double()
    difference = weight[y][:, None] - weight  # (N, classes, D)
    margin = torch.einsum("nkd,nd->nk", difference, pixels) + bias[y][:, None] - bias
    margin[torch.arange(len(y)), y] = torch.inf
    room = torch.where(difference > 0, pixels[:, None], 1 - pixels[:, None])
    low, high = torch.zeros(len(y), dtype=torch.float64), torch.ones(len(y), dtype=torch.float64)
    for _ in range(60):
        eps = (low + high) / 2
        moved = (difference.abs() * torch.minimum(room, eps[:, None, None])).sum(2)
        broken = (moved >= margin).any(1)
        low, high = torch.where(broken, low, eps), torch.where(broken, eps, high)
    return torch.where((margin < 0).any(1), 0.0, high)
