"""The smallest eps of each image: linear models whose answer is known, laws, quantiles, runs and the command."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from torch import Tensor, nn

import advtool
from advtool.errors import InputError
from advtool.evaluation.uncertainty import quantile_ranks
from advtool.report import FORMATS
from advtool.results import PerImageSweep
from advtool.studies.smallest_eps import quantile
from tests.conftest import Command
from tests.support.linear import closed_form_smallest_eps, problem
from tests.support.models import NoisyInput, mlp
from tests.support.runs import labelled, without_times

QUICK = "nearest(rounds=4, steps=15)"
DIGITS = ("--images", 20, "--attack", "nearest(rounds=2, steps=5)")


def found(result: PerImageSweep) -> Tensor:
    return torch.tensor(
        [math.inf if image.eps is None else image.eps for image in result.per_image], dtype=torch.float64
    )


def quick(model: nn.Module | None = None, count: int = 60, **changes: Any) -> PerImageSweep:
    return advtool.smallest_eps(model or mlp(), *labelled(mlp(), count), attacks=QUICK, **changes)


@pytest.mark.parametrize(("classes", "seed"), [(2, 0), (5, 1)])
def test_a_linear_models_smallest_eps_is_the_closed_form(classes: int, seed: int) -> None:
    model, x, y, _ = problem(classes, seed, count=120)
    truth = closed_form_smallest_eps(model, x, y)
    eps = found(advtool.smallest_eps(model, x, y, attacks="nearest(rounds=6, steps=30)"))
    assert 0.05 < (truth == 0).double().mean() < 0.5, "the problem decides nothing"
    assert torch.equal(eps == 0, truth == 0)
    assert (eps >= truth - 1e-6).all(), "no example is nearer than the nearest"
    assert (eps <= 1.02 * truth + 1e-4).all()


def test_the_curve_counts_the_images_and_the_median_is_where_it_reaches_half() -> None:
    model, x, y, _ = problem(classes=3, seed=2, count=101)
    result = advtool.smallest_eps(model, x, y, attacks=QUICK, eps=[0, 0.01, 0.02, 0.4])
    eps = found(result)
    assert [point.value for point in result.worst_case] == [0, 0.01, 0.02, 0.4]
    assert [point.robust for point in result.worst_case] == [int((eps > e).sum()) for e in (0, 0.01, 0.02, 0.4)]
    assert result.worst_case[0].robust == result.clean.correct == len(x) - result.misclassified
    assert result.median.eps == eps.sort().values[math.ceil(len(x) / 2) - 1]
    low, high = result.median.interval
    assert low is not None
    assert high is not None
    assert low <= result.median.eps <= high
    assert [image.place for image in result.per_image] == list(range(len(x)))
    assert all((image.attack is None) == (image.eps == 0) for image in result.per_image)


def test_no_attack_at_a_fixed_eps_breaks_what_the_list_calls_unbroken_there() -> None:
    eps = found(quick())
    x, y = labelled(mlp(), 60)
    for radius in (0.05, 0.1, 0.2):
        fixed = advtool.evaluate(mlp(), x, y, eps=radius, attacks="apgd-targeted")
        fallen = ~fixed.outcomes.worst_case
        assert 0 < fallen.sum() < len(y), "the radius decides nothing"
        assert (eps[fallen] <= 1.05 * radius).all()
        assert (eps[~fallen] < 0.98 * radius).sum() <= 2, "verified examples that the other attack misses"


def test_nothing_is_searched_beyond_the_largest_eps() -> None:
    far = found(quick())
    bound = far.median().item()
    result = quick(eps=[bound])
    near = found(result)
    assert result.largest == bound
    assert result.unbroken == near.isinf().sum() > 10
    assert (near[near.isfinite()] <= bound + 1e-6).all()
    assert near.isinf()[far > 1.02 * bound].all()
    image = next(image for image in result.per_image if image.eps is None)
    assert (image.attack, image.prediction) == (None, None)
    upper = result.quantiles[-1]
    assert (upper.eps, upper.interval[1]) == (None, None)
    assert "> " in FORMATS["table"](result)


def test_unless_radii_are_asked_for_the_curve_goes_in_eight_steps_to_the_largest_eps_found() -> None:
    result = quick()
    eps = found(result)
    largest = eps[eps.isfinite()].max().item()
    assert [point.value for point in result.worst_case] == pytest.approx([largest * step / 8 for step in range(9)])
    assert result.worst_case[-1].robust == result.unbroken


def test_what_is_proved_at_the_largest_eps_has_a_row() -> None:
    model, x, y, _ = problem(classes=3, seed=1, count=40)
    result = advtool.smallest_eps(model, x, y, eps=[0.01, 0.02], certify=True)
    certified = advtool.evaluate(model, x, y, eps=0.02, attacks="nearest", certify=True).certified
    assert result.certified is not None
    assert certified is not None
    (point,) = result.certified
    assert (point.value, point.robust, point.total) == (0.02, certified.robust, 40)
    assert "certified" in FORMATS["table"](result)
    assert result.to_dict()["certified"][0]["robust"] == certified.robust > 0


@pytest.mark.parametrize("attacks", ["pgd", "audit"])
def test_at_the_largest_eps_the_curve_is_the_worst_case_of_the_run(attacks: str) -> None:
    model, x, y, _ = problem(classes=3, seed=1, count=60)
    truth = closed_form_smallest_eps(model, x, y)
    eps = truth.quantile(0.75).item()  # an audit probes 2 eps too, where more images fall
    quick = {"pgd_steps": 10, "spsa_steps": 5, "certify": False, "planted": False}
    result = advtool.smallest_eps(model, x, y, eps=[eps], attacks=attacks, **quick)
    fixed = advtool.evaluate(model, x, y, eps=eps, attacks=attacks, **quick)
    assert 0 < fixed.worst_case.robust < len(x) / 2, "the radius decides nothing"
    assert result.worst_case[0].robust == result.unbroken == fixed.worst_case.robust
    assert all(image.eps is None or image.eps <= eps for image in result.per_image)


def test_each_example_of_a_random_model_is_verified_by_votes() -> None:
    linear, x, y, _ = problem(classes=2, seed=0, count=40)
    truth = closed_form_smallest_eps(linear, x, y)
    result = advtool.smallest_eps(NoisyInput(linear, 0.02), x, y, attacks=QUICK, eot=5, votes=20)
    eps, right = found(result), truth > 0.01  # the noise misclassifies some that are nearer
    assert right.sum() > 10
    assert (eps[right] > 0.7 * truth[right]).all(), "symmetric noise leaves the border of two classes where it is"
    assert eps[right].isfinite().all()
    assert (eps[right] < truth[right] + 0.06).all()


def test_of_several_attacks_the_nearest_example_counts() -> None:
    x, y = labelled(mlp(), 40)
    result = advtool.smallest_eps(mlp(), x, y, attacks=["fgsm", QUICK], eps=[0.3])
    alone = [found(advtool.smallest_eps(mlp(), x, y, attacks=each, eps=[0.3])) for each in ("fgsm", QUICK)]
    assert torch.equal(found(result), torch.minimum(*alone))
    assert [attack.nearest for attack in result.attacks] == [
        int((alone[0] <= alone[1]).logical_and(alone[0].isfinite()).sum()),
        int((alone[1] < alone[0]).sum()),
    ]


def test_a_resumed_search_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    expected = without_times(quick().to_dict())
    assert without_times(quick(run_dir=tmp_path).to_dict()) == expected
    lines = [json.loads(line) for line in (tmp_path / "images.jsonl").read_text().splitlines()]
    assert [line["attacks"]["nearest(rounds=4, steps=15)"]["distance"] for line in lines] == [
        image["eps"] for image in expected["per_image"]
    ]
    next((tmp_path / "shards").glob("1-*")).unlink()
    assert without_times(quick(run_dir=tmp_path).to_dict()) == expected


def test_the_ranks_of_a_median_are_those_of_the_tables() -> None:
    assert [quantile_ranks(0.5, count) for count in (6, 10, 20, 100)] == [(1, 6), (2, 9), (6, 15), (40, 61)]
    assert quantile_ranks(0.5, 5) == (0, 6)


@settings(max_examples=60)
@given(st.integers(1, 300), st.floats(0.01, 0.99))
def test_the_interval_of_a_quantile_covers_it_with_95_percent(total: int, share: float) -> None:
    low, high = quantile_ranks(share, total)
    assert binom.cdf(high - 1, total, share) - binom.cdf(low - 1, total, share) >= 0.95
    assert low == 0 or binom.cdf(high - 1, total, share) - binom.cdf(low, total, share) <= 0.975 + 1e-9


def test_a_quantile_with_unbroken_images_may_be_unknown() -> None:
    smallest = torch.tensor([0.0, 0.1, 0.2, math.inf, math.inf, math.inf, math.inf], dtype=torch.float64)
    assert quantile(smallest, 0.5).eps is None
    assert quantile(smallest, 0.4).eps == 0.2
    assert quantile(smallest, 0.1).eps == 0


@pytest.mark.parametrize("eps", [[], [0], [0.0, 0], [-0.1], [1.1]])
def test_an_eps_that_cannot_be_searched_is_refused(eps: list[float]) -> None:
    with pytest.raises(InputError, match="eps"):
        quick(eps=eps)


@pytest.mark.slow
def test_the_command_answers_as_python_does(advtool_command: Command, digits_checkpoint: Path) -> None:
    asked = ("sweep", "eps", "--per-image", "--checkpoint", digits_checkpoint, *DIGITS)
    document = json.loads(advtool_command(*asked, "--format", "json").stdout)
    assert (document["schema"], document["over"], document["largest"]) == ("advtool.sweep/1", "image", 1.0)
    assert len(document["per_image"]) == 20
    table = advtool_command(*asked, "--plot", "curve.svg")
    assert max(map(len, table.stdout.splitlines())) <= 80
    assert "median" in table.stdout
    assert "nothing was computed again" in " ".join(table.stderr.split()), "the same question finds its run"
    assert (advtool_command.folder / "curve.svg").read_text().count("<path") > 5
    refused = advtool_command.refused("sweep", "eps", "--per-image", "--eps", "0", "--checkpoint", digits_checkpoint)
    assert "above 0" in refused
