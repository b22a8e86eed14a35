"""The balls of the search for the nearest example: between which radii a round looks."""

import torch

from advtool.attacks.candidates import Candidates
from advtool.attacks.nearest import _Balls
from advtool.target.target import Target
from advtool.threat import ThreatModel
from tests.support.models import Linear

EPS, BORDER = 0.2, 0.1


def test_after_a_late_success_a_round_looks_below_it() -> None:
    """A ball that was searched in vain and holds an example after all says nothing of smaller ones."""
    model = Linear(torch.tensor([[0.0], [10.0]]), torch.tensor([0.0, -10 * (0.5 + BORDER)]))  # class 1 above the border
    x, y = torch.full((2, 1, 1, 1), 0.5), torch.zeros(2, dtype=torch.long)
    target = Target(model.requires_grad_(False), input_shape=(1, 1, 1), classes=2)
    balls = _Balls(target, ThreatModel(eps=EPS), 1, x, y, Candidates(x, y, target))
    balls.close(torch.zeros(2))
    balls.close(balls.between())
    assert balls.between().equal(balls.reach), "there is no example yet"
    points = x + torch.tensor([0.15, 0.05]).view(-1, 1, 1, 1)
    balls.meet(points, model(points))
    balls.close(balls.between())
    assert balls.broken.tolist() == [True, False]
    assert BORDER < balls.reach[0] < EPS
    assert balls.between()[0] < balls.reach[0]
    assert balls.between()[1] == balls.reach[1] == torch.tensor(EPS)
    for _ in range(12):
        balls.close(balls.between())
    assert 0 < balls.failed[0] < balls.reach[0], "what failed below the example still counts"
