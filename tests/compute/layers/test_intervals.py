"""Interval arithmetic through whole graphs: it holds all outputs, and ART's gives the same numbers."""

import numpy as np
import pytest
import torch
from art.estimators.certification.interval.pytorch import ConvertedModel
from torch import Tensor, nn

from advtool.compute.layers import Box, read
from tests.support.networks import NETWORKS, graph_of, graph_of_each, images, randomise


def points(box: Box, count: int) -> Tensor:
    """Random corners of a box of one image, and random points inside."""
    generator = torch.Generator().manual_seed(7)
    where = torch.rand(count, *box.low.shape[1:], generator=generator, dtype=torch.float64)
    where[::2] = where[::2].round()
    return box.low + where * (box.high - box.low)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_box_holds_the_outputs_of_all_points(name: str) -> None:
    graph, x = graph_of_each(name), images(1).double()
    for radius in (0.0, 0.01, 0.3):
        box = Box(x - radius, x + radius)
        found, outputs = graph.interval(box), graph(points(box, 200))
        assert (found.low <= outputs + 1e-9).all()
        assert (found.high >= outputs - 1e-9).all()
        if radius == 0:
            torch.testing.assert_close(found.low, found.high)


def test_art_finds_the_same_intervals(capsys: pytest.CaptureFixture[str]) -> None:
    layers = (nn.Conv2d(2, 4, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(4, 3, 2), nn.ReLU())
    body = randomise(nn.Sequential(*layers, nn.Linear(12, 5), nn.ReLU(), nn.Linear(5, 3)))

    class Flattened(nn.Sequential):
        """ART wants the layers as children, without the flattening between them."""

        def forward(self, x: Tensor) -> Tensor:
            for place, layer in enumerate(self):
                x = layer(x.flatten(1) if place == len(layers) else x)
            return x

    model = Flattened(*body).eval()
    graph, x = graph_of(model, dtype=torch.float32), images(3)
    ours = graph.interval(Box(x - 0.05, x + 0.05))
    theirs = ConvertedModel(model, True, (2, 6, 5))
    theirs.set_forward_mode("abstract")
    found = theirs(np.stack((x - 0.05, x + 0.05), 1)).cpu()
    torch.testing.assert_close(ours.low, found[:, 0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours.high, found[:, 1], rtol=1e-4, atol=1e-5)
    capsys.readouterr()


def test_gradients_of_the_ends_reach_the_weights() -> None:
    """Training by interval bounds differentiates them (Gowal et al. 2019)."""
    model = randomise(nn.Sequential(nn.Conv2d(2, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(24, 3)))
    model.requires_grad_(True)
    x = images(2)
    box = read(model, x[:1]).interval(Box(x - 0.1, x + 0.1))
    gradients = torch.autograd.grad((box.high - box.low).sum(), list(model.parameters()))
    assert all(gradient.abs().sum() > 0 for gradient in (gradients[0], gradients[2]))
    step, before = 1e-3, (box.high - box.low).sum().item()
    with torch.no_grad():
        for parameter, gradient in zip(model.parameters(), gradients, strict=True):
            parameter.sub_(step * gradient)
    after = read(model, x[:1]).interval(Box(x - 0.1, x + 0.1))
    assert (after.high - after.low).sum().item() < before
