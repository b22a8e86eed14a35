"""Nets that other groups trained: no image that complete verifiers call breakable is certified."""

from pathlib import Path

import pytest

import advtool
from tests.support.strangers import by_eps, instances, net

NETS = ("resnet2b_cifar", "mnistfc_2", "mnistfc_4", "mnistfc_6")


def certified(nets_dir: Path, data_dir: Path, name: str, verdict: str, seconds: float) -> tuple[int, int]:
    """How many instances are certified, and how many there are."""
    chosen = instances(nets_dir, name, verdict)
    if not chosen:
        return 0, 0
    model, found = net(nets_dir, name), 0
    for eps, (x, y) in by_eps(chosen, data_dir).items():
        found += int(advtool.certify(model, x, y, eps=eps, seconds=seconds).certified.sum())
    return found, len(chosen)


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.0, 1.0])
def test_no_breakable_image_is_certified(seconds: float, nets_dir: Path, data_dir: Path) -> None:
    counts = [certified(nets_dir, data_dir, name, "breakable", seconds) for name in NETS]
    assert sum(there for _, there in counts) == 22
    assert [found for found, _ in counts] == [0] * len(NETS)


@pytest.mark.slow
def test_linear_bounds_certify_most_of_the_robust_images(nets_dir: Path, data_dir: Path) -> None:
    counts = [certified(nets_dir, data_dir, name, "robust", 0.0) for name in NETS]
    assert sum(there for _, there in counts) == 77
    assert sum(found for found, _ in counts) >= 51, counts
