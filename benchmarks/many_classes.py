"""Which other classes should a targeted attack try if there are 100 or 1000?

    ADVTOOL_DATA=folder python benchmarks/many_classes.py CHECKPOINT... [--numbers 2] [--twins 9] [--attack NAME]...

``--numbers K``: images of K digits of MNIST, 14 x 14 pixels each, side by side; 10^K classes, one for each number. A
small CNN learns digit by digit, then its linear layer is turned into one with an output for each number, and all of it
trains on (NFGSM; a minute or two). ``--twins K``: a checkpoint for ten classes, of which each gets K look-alikes: the
same logit, lower by up to 1. No image can reach them, so exactly the same images are robust. Both repeat. Then
as ``single_attacks.py``, without bounds.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from planted import checkpoints
from single_attacks import compare, head, options
from strangers import Subject
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, cross_entropy

from advtool.data import first_images, load, to_float

EPS, BATCH, RATE = 0.1, 128, 2e-3
TRAIN, DIGIT_EPOCHS, NUMBER_EPOCHS = 40_000, 2, 2
ATTACKS = (
    "apgd-targeted(malt=None)",
    "apgd-targeted",
    "apgd-targeted(finalists=3, malt=None)",
    "apgd-targeted(finalists=3)",
)

Loss = Callable[[Tensor, Tensor], Tensor]
"""From logits and the rows of the images to a mean loss."""


class Numbers(NamedTuple):
    """Images (N, 1, 14, 14 K) of K digits, and the digits (N, K)."""

    x: Tensor
    digits: Tensor

    @property
    def y(self) -> Tensor:
        """The number that the digits make, (N,)."""
        places = self.digits.shape[1]
        return (self.digits * torch.tensor([10 ** (places - 1 - place) for place in range(places)])).sum(1)


def numbers(split: str, digits: int, count: int) -> Numbers:
    """Digits drawn at random from a split of MNIST."""
    mnist = load("mnist", split)
    picked = torch.randint(len(mnist.labels), (count, digits), generator=torch.Generator().manual_seed(digits))
    small = avg_pool2d(to_float(mnist.images), 2)
    return Numbers(torch.cat(small[picked].unbind(1), 3), mnist.labels[picked].long())


def trained(data: Numbers) -> nn.Module:
    """A CNN that tells the numbers apart: first digit by digit, then all of it."""
    places = data.digits.shape[1]
    torch.manual_seed(0)
    body = nn.Sequential(
        nn.Conv2d(1, 16, 4, stride=2, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, padding=1, stride=2), nn.ReLU(),
        nn.Flatten(),
    )  # fmt: skip
    features = body(data.x[:1]).shape[1]
    by_digit, digits = nn.Linear(features, 10 * places), data.digits

    def of_digits(logits: Tensor, rows: Tensor) -> Tensor:
        return cross_entropy(logits.view(-1, places, 10).transpose(1, 2), digits[rows])

    fit(nn.Sequential(body, by_digit), data.x, of_digits, DIGIT_EPOCHS)
    model = nn.Sequential(body, nn.Linear(features, 10**places))
    every = torch.cartesian_prod(*[torch.arange(10)] * places).view(-1, places)  # the digits of each number
    pick = (every + 10 * torch.arange(places)).flatten()
    with torch.no_grad():
        model[1].weight.copy_(by_digit.weight[pick].view(-1, places, features).sum(1))
        model[1].bias.copy_(by_digit.bias[pick].view(-1, places).sum(1))
    y = data.y
    fit(model, data.x, lambda logits, rows: cross_entropy(logits, y[rows]), NUMBER_EPOCHS)
    return model.eval().requires_grad_(False)


def fit(model: nn.Module, x: Tensor, loss: Loss, epochs: int) -> None:
    """NFGSM training (de Jorge et al. 2022) with Adam."""
    adam = torch.optim.Adam(model.parameters(), RATE)
    steps = epochs * -(-len(x) // BATCH)
    rate = torch.optim.lr_scheduler.LinearLR(adam, 1.0, 0.05, steps)
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(BATCH):
            noisy = (x[rows] + torch.empty_like(x[rows]).uniform_(-EPS, EPS)).requires_grad_()
            (slope,) = torch.autograd.grad(loss(model(noisy), rows), noisy)
            adam.zero_grad()
            loss(model((noisy + EPS * slope.sign()).detach().clamp(0, 1)), rows).backward()
            adam.step()
            rate.step()


class Twins(nn.Module):
    """Logits (N, 10) and those of the look-alikes, in all (N, 10 + 10 K)."""

    def __init__(self, net: nn.Module, twins: int) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("below", torch.rand(10, twins, generator=torch.Generator().manual_seed(0)))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.net(x)
        return torch.cat((logits, (logits[:, :, None] - self.below).flatten(1)), 1)


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--numbers", type=int, action="append", default=[])
    parser.add_argument("--twins", type=int, action="append", default=[])
    given = parser.parse_args()
    attacks = given.attack or ATTACKS
    print(head(attacks), flush=True)
    subjects = []
    for digits in given.numbers:
        test = numbers("test", digits, given.images)
        model = trained(numbers("train", digits, TRAIN))
        subjects.append((Subject(f"numbers, {10**digits} classes", model, "mnist", EPS), test.x, test.y))
    for net in checkpoints(given.checkpoints, None, tricks=False):
        split = first_images(load(net.dataset, "test"), given.images)
        for twins in given.twins:
            model = Twins(net.model, twins).eval()
            subject = net._replace(name=f"twins of {net.name}, {10 * twins + 10} classes", model=model)
            subjects.append((subject, to_float(split.images), split.labels))
    for subject, x, y in subjects:
        compare(subject, x, y, attacks, after=given.after, seeds=given.seeds, certify=False)


if __name__ == "__main__":
    main()
