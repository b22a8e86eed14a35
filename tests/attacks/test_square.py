"""Square: where its squares lie, how large they are, and which points it tries."""

import math

import pytest
import torch
from torch import Tensor, nn

import advtool
from advtool.attacks.base import no_report
from advtool.attacks.registry import build
from advtool.attacks.spelling import parse
from advtool.attacks.square import Square, _windows
from advtool.attacks.suites import LONG_SQUARE, SUITES, Scope
from advtool.errors import InputError
from advtool.results import AttackResult
from advtool.target.facts import Randomness
from advtool.target.scores import BARELY_FALLEN
from advtool.target.target import Target
from advtool.threat import ThreatModel
from tests.support.linear import EPS, problem
from tests.support.models import mlp

PAPERS = {0: 1, 10: 2, 50: 4, 200: 8, 500: 16, 1000: 32, 2000: 64, 4000: 128, 6000: 256, 8000: 512}
"""Section 5 of Andriushchenko et al.: after so many of 10,000 queries p is divided by this."""


def square(shape: tuple[int, int, int] = (1, 28, 28), **options: object) -> Square:
    return Square(Target(mlp(shape), input_shape=shape, classes=4), ThreatModel(eps=0.1), **options)


@pytest.mark.parametrize(("height", "width"), [(28, 28), (32, 32), (4, 4), (1, 1), (20, 30), (3, 40)])
def test_the_schedule_is_the_papers(height: int, width: int) -> None:
    attack = square(queries=10_000)
    for query in [*range(1, 600), *range(600, 10_000, 17), 1000, 1001, 2000, 2001, 8000, 8001, 9999]:
        divisor = max(divided for after, divided in PAPERS.items() if query > after)
        side = min(height, width, max(1, round(math.sqrt(0.8 / divisor * height * width))))
        assert attack._side(query, height, width) == side, query


class Silent(nn.Module):
    """It answers an image with a margin of 2, and not at all as often as its pixel is bright."""

    def forward(self, x: Tensor) -> Tensor:
        silent = torch.rand(len(x)) < x.flatten(1)[:, 0]
        return torch.where(silent[:, None], torch.nan, torch.tensor([2.0, 0.0]))


def test_draws_that_answer_decide_the_margin_of_a_point_that_some_leave_unanswered() -> None:
    target = Target(Silent(), input_shape=(1, 1, 1), classes=2, randomness=Randomness.each_image, eot=64)
    x = torch.tensor([0.0, 0.5, 1.0]).view(-1, 1, 1, 1)
    margins = Square(target, ThreatModel(eps=0.1), eot=64).noisy_margins(x, torch.zeros(3, dtype=torch.long))
    assert margins.tolist() == [2, 2, BARELY_FALLEN]


def test_a_smaller_budget_runs_through_the_same_schedule() -> None:
    short, long = square(queries=500), square(queries=10_000)
    assert [short._side(query, 28, 28) for query in range(500)] == [
        long._side(20 * query, 28, 28) for query in range(500)
    ]


class Checkerboard(nn.Module):
    """Two classes, told apart by the finest pattern there is: squares of more than a pixel hardly move its margin."""

    def __init__(self) -> None:
        super().__init__()
        rows, columns = torch.meshgrid(torch.arange(28), torch.arange(28), indexing="ij")
        self.pattern = ((rows + columns) % 2 * 2 - 1).float()

    def forward(self, x: Tensor) -> Tensor:
        score = 40 * ((x - 0.5) * self.pattern).mean((1, 2, 3))
        return torch.stack([score, -score], 1)

    def images(self, count: int, of_reach: float) -> Tensor:
        """Images (``count``, 1, 28, 28) of class 0, that share of what a ball of 0.1 can move away from class 1."""
        x = 0.2 + 0.6 * torch.rand(count, 1, 28, 28, generator=torch.Generator().manual_seed(0))
        score = ((x - 0.5) * self.pattern).mean((1, 2, 3), keepdim=True)
        return x + (0.1 * of_reach - score) * self.pattern


def left(attack: str, of_reach: float) -> AttackResult:
    """What an attack leaves of 40 images."""
    model = Checkerboard()
    x, y = model.images(40, of_reach), torch.zeros(40, dtype=torch.long)
    return advtool.evaluate(model, x, y, eps=0.1, attacks=attack).attacks[0]


PATIENT, TIRELESS = "square(patience=5)", "square"


@pytest.mark.parametrize("of_reach", [0.13, 0.17, 0.19])
def test_the_audits_patience_gives_up_no_image_that_falls_late(of_reach: float) -> None:
    """Progress on the checkerboard is slow until the squares are small, and then fast."""
    assert f"({PATIENT.removeprefix('square(').removesuffix(')')}," in LONG_SQUARE
    assert left(PATIENT, of_reach).robust <= left(TIRELESS, of_reach).robust + 1


def test_the_audits_patience_saves_passes_on_what_is_out_of_reach_and_says_so() -> None:
    patient, tireless = left(PATIENT, 0.5), left(TIRELESS, 0.5)
    assert patient.robust == tireless.robust == 40
    assert patient.model_calls.forward < tireless.model_calls.forward / 2
    assert (patient.given_up, tireless.given_up) == (40, None)


def test_no_image_that_had_all_its_queries_counts_as_given_up() -> None:
    """The last forecast would fall on the last query: 8, 16, 32, 64."""
    model = Checkerboard()
    target = Target(model, input_shape=(1, 28, 28), classes=2)
    attack = Square(target, ThreatModel(eps=0.1), queries=64, patience=1e6)
    found = attack.search(
        model.images(40, 0.5), torch.zeros(40, dtype=torch.long), torch.Generator().manual_seed(0), no_report
    )
    complete = found.queries == 64
    assert complete.any()
    assert torch.equal(found.given_up, ~complete)


def test_no_square_that_the_diagnostics_compare_gives_images_up() -> None:
    compared = [name for name, scope in SUITES["audit"].items() if scope is not Scope.survivors]
    assert "square" in compared
    assert not [name for name in compared if "patience" in name]


@pytest.mark.parametrize(
    ("height", "width", "side"), [(5, 5, 1), (5, 5, 3), (5, 5, 5), (2, 7, 2), (6, 3, 1), (1, 1, 1)]
)
def test_windows_are_squares_of_the_image_and_reach_all_of_it(height: int, width: int, side: int) -> None:
    windows = _windows((1, 3000), height, width, side, torch.Generator().manual_seed(0)).squeeze(0)
    assert windows.shape == (3000, 1, height, width)
    assert (windows.sum((1, 2, 3)) == side * side).all()
    rows, columns = windows.amax(3).squeeze(1), windows.amax(2).squeeze(1)
    assert (rows.sum(1) == side).all()
    assert (columns.sum(1) == side).all()
    assert len(windows.flatten(1).unique(dim=0)) == (height - side + 1) * (width - side + 1)
    firsts = rows.int().argmax(1).bincount(minlength=height - side + 1)
    assert len(firsts) == height - side + 1
    assert firsts.min() > 0.7 * firsts.max(), "every place is as likely"


def tried(queries: int = 60) -> tuple[Tensor, Tensor]:
    """Images (N, C, H, W), and the points (queries, N, C, H, W) that Square tried; no image falls."""
    points: list[Tensor] = []

    class Recorder(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            points.append(x.clone())
            lead = 100 + x.flatten(1).sum(1)
            return torch.stack((lead, torch.zeros_like(lead)), 1)

    target = Target(Recorder(), input_shape=(3, 6, 8), classes=2)
    x = torch.rand(10, 3, 6, 8, generator=torch.Generator().manual_seed(0))
    Square(target, ThreatModel(eps=0.3), queries=queries, together=1).search(
        x, torch.zeros(10, dtype=torch.long), torch.Generator().manual_seed(1), no_report
    )
    return x, torch.stack(points)


def test_every_point_is_a_corner_of_the_ball_cut_to_the_clip_range() -> None:
    x, points = tried()
    assert len(points) == 60
    low, high = (x - 0.3).clamp(0, 1), (x + 0.3).clamp(0, 1)
    assert ((points == low) | (points == high)).all()
    assert (points == low).any()
    assert (points == high).any()


def test_it_starts_from_vertical_stripes() -> None:
    x, points = tried(1)
    signs = (points[0] - x).sign()
    assert torch.equal(signs, signs[:, :, :1].expand_as(signs))
    assert 0.3 < (signs > 0).float().mean() < 0.7


def test_a_point_differs_from_the_best_so_far_in_one_square_and_one_sign_a_channel() -> None:
    x, points = tried()
    value = points.flatten(2).sum(2)  # the model's margin but for a constant
    for query in range(1, len(points)):
        best = points[value[:query].argmin(0), torch.arange(len(x))]
        for image in range(len(x)):
            changed = points[query, image] != best[image]
            rows, columns = changed.any(0).any(1).nonzero(), changed.any(0).any(0).nonzero()
            if len(rows):
                assert max(rows[-1] - rows[0], columns[-1] - columns[0]) < 6
            for channel in range(3):
                moved = (points[query, image, channel] - x[image, channel])[changed[channel]].sign()
                assert len(moved.unique()) <= 1


@pytest.mark.parametrize(("classes", "allowed"), [(2, 0.01), (4, 0.03)])
def test_it_nearly_reaches_the_closed_form_without_a_gradient(classes: int, allowed: float) -> None:
    model, x, y, robust = problem(classes=classes, seed=2, count=200)
    result = advtool.evaluate(model, x, y, eps=EPS, attacks=["square(queries=600)"])
    truth = int(robust.sum())
    assert truth <= result.attacks[0].robust <= truth + allowed * len(x)
    assert result.attacks[0].model_calls.backward == 0


@pytest.mark.parametrize("text", ["square(queries=0)", "square(area=0)", "square(area=1.5)", "square(eot=0)"])
def test_bad_parameters_are_refused(text: str) -> None:
    with pytest.raises(InputError, match=text.removesuffix(")").removeprefix("square(").partition("=")[0]):
        build(parse([text])[0], square().estimator, ThreatModel(eps=0.1), defaults={})
