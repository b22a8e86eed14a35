"""Why FGSM hardly changes an image of a LeNet with the first paper's bias, for the story in docs/audit.md.

    ADVTOOL_DATA=folder python benchmarks/apb_gradient.py CHECKPOINT

prints, over the first test images of the checkpoint's data set: the median margin between the two largest logits, the
share of images at which the gradient of the cross entropy is 0 in float32, and the accuracy under FGSM along that
gradient and along the gradient of the margin.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from advtool import checkpoints, models
from advtool.data import first_images, load, to_float

IMAGES = 1000
Loss = Callable[[Tensor, Tensor], Tensor]
"""Of logits (N, classes) and labels (N,), a scalar."""


def margin(logits: Tensor, y: Tensor) -> Tensor:
    """How far the largest other logit is above that of the label, summed."""
    others = logits.scatter(1, y[:, None], -torch.inf).amax(1)
    return (others - logits.gather(1, y[:, None]).squeeze(1)).sum()


def summed_cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    return cross_entropy(logits, y, reduction="sum")


def gradient(model: nn.Module, x: Tensor, y: Tensor, loss: Loss) -> Tensor:
    x = x.clone().requires_grad_()
    (found,) = torch.autograd.grad(loss(model(x), y), x)
    return found


def main(path: Path) -> None:
    card = checkpoints.read_header(path)
    model, eps = models.load_checkpoint(path).eval(), card.threat_model.eps
    split = first_images(load(card.dataset, "test"), IMAGES)
    x, y = to_float(split.images), split.labels
    with torch.no_grad():
        first, second = model(x).topk(2).values.T
    print(f"median margin of the logits: {(first - second).median().item():.0f}")
    for name, loss in (("cross entropy", summed_cross_entropy), ("margin", margin)):
        g = gradient(model, x, y, loss)
        with torch.no_grad():
            right = model((x + eps * g.sign()).clamp(0, 1)).argmax(1) == y
        lost, left = (g == 0).flatten(1).all(1).float().mean(), right.float().mean()
        print(f"{name}: gradient 0 at {100 * lost:.1f} %, FGSM leaves {100 * left:.1f} %")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
