"""Several processes train one model as one process does."""

import operator
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor

from advtool.errors import InputError
from advtool.ranks import Ranks
from advtool.training.sharing import PartOfNoise, by_the_first, part_of
from tests.support.ranks import CASES, model_of, trained

ROOT = Path(__file__).parents[2]


@given(st.integers(1, 300), st.integers(1, 9))
def test_parts_cover_a_batch_once_and_weigh_as_many_images(images: int, world_size: int) -> None:
    parts = [part_of(images, Ranks(rank=rank, world_size=world_size)) for rank in range(world_size)]
    weighed = [(rows, weight) for rows, weight in parts if weight > 0]
    assert [row for rows, _ in weighed for row in range(images)[rows]] == list(range(images))
    counts = [len(range(images)[rows]) for rows, _ in weighed]
    assert max(counts) - min(counts) <= 1
    assert len(weighed) == min(images, world_size)
    for (_, weight), count in zip(weighed, counts, strict=True):
        assert weight / world_size == pytest.approx(count / images)


def test_noise_of_a_part_is_that_of_the_whole_and_the_streams_go_on_alike() -> None:
    def draws(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        generator = torch.Generator().manual_seed(3)
        torch.manual_seed(5)
        first = torch.empty_like(x).uniform_(-2, 2, generator=generator)
        return first, torch.randn_like(x), torch.randn_like(x) + torch.rand((), generator=generator)

    x = torch.zeros(5, 2, 3)
    whole = draws(x)
    for rows in (slice(0, 2), slice(2, 5), slice(0, 1)):
        with PartOfNoise(5, rows):
            parts = draws(x[rows])
        for part, all_rows in zip(parts, whole, strict=True):
            assert torch.equal(part, all_rows[rows])


@pytest.mark.parametrize("shape", [(4, 3), (1, 3), (5, 3), ()])
def test_noise_that_is_not_of_the_part_is_refused(shape: tuple[int, ...]) -> None:
    """As clean and adversarial images in one batch, or noise for a parameter: its rows are not the images."""
    for draw in (torch.randn_like, Tensor.uniform_):
        with PartOfNoise(5, slice(3, 5)):
            assert draw(torch.zeros(2, 3)).shape == (2, 3)
            with pytest.raises(InputError, match="in one process, without torchrun"):
                draw(torch.zeros(shape))


def test_what_fails_on_the_first_rank_is_told_to_all(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []

    def full_disk() -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("torch.distributed.broadcast_object_list", told.extend)
    with pytest.raises(OSError, match="No space left"):
        by_the_first(full_disk, Ranks(rank=0, world_size=2))
    monkeypatch.setattr(
        "torch.distributed.broadcast_object_list", lambda answer: operator.setitem(answer, slice(2), told)
    )
    with pytest.raises(InputError, match="No space left on device"):
        by_the_first(full_disk, Ranks(rank=1, world_size=2))


@pytest.fixture(scope="module")
def by_two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights of every case, trained by two processes."""
    out = tmp_path_factory.mktemp("ranks")
    told = [out / f"{rank}.err" for rank in range(2)]

    def start(rank: int) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "tests.support.ranks", str(out / "store"), str(rank), "2", str(out)]
        with told[rank].open("w") as errors:
            return subprocess.Popen(command, cwd=ROOT, stderr=errors)

    both = [start(0), start(1)]
    try:
        while any(each.poll() is None for each in both) and not any(each.returncode for each in both):
            time.sleep(0.1)
        assert [each.returncode for each in both] == [0, 0], [each.read_text() for each in told]
    finally:  # a rank that is left alone waits for the other
        for each in both:
            each.kill()
            each.wait()
    return out


@pytest.mark.timeout(1200)  # ten trainings of two processes, which a busy machine seldom runs at the same time
@pytest.mark.parametrize("case", CASES)
def test_two_ranks_with_half_the_batch_each_give_the_weights_of_one(by_two: Path, case: str) -> None:
    one, start = trained(case), model_of(case).state_dict()
    first, second = (load_file(by_two / f"{case}.{rank}") for rank in range(2))
    for name, weights in one.items():
        assert not torch.equal(weights, start[name])
        torch.testing.assert_close(first[name], weights, rtol=0, atol=1e-10)
        assert torch.equal(first[name], second[name])


@pytest.mark.slow
def test_torchrun_trains_one_model_and_prints_its_path_once(tmp_path: Path) -> None:
    """The real launcher and command. In float32 the weights are those of one process to rounding."""
    ask = ["-m", "advtool", "train", "nfgsm", "--arch", "cnn", "--epochs", "2", "--limit", "300", "--device", "cpu"]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]

    def train(*before: str, name: str) -> dict[str, Tensor]:
        command = [*before, *ask, "--output", str(tmp_path / name)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
        assert (done.returncode, done.stdout) == (0, f"{tmp_path / name}\n"), done.stderr
        return load_file(tmp_path / name)

    alone = train(sys.executable, name="one.safetensors")
    for name, weights in train(*launcher, name="two.safetensors").items():
        torch.testing.assert_close(weights, alone[name], rtol=1e-3, atol=1e-3)
    assert not list(tmp_path.glob("*.state.safetensors"))


@pytest.mark.slow
@pytest.mark.parametrize(("dies", "epochs"), [("epoch", [1, 2, 2, 3]), ("end", [1, 2, 3])])
def test_torchrun_restarts_a_rank_that_dies_and_no_finished_epoch_is_repeated(
    dies: str, epochs: list[int], tmp_path: Path
) -> None:
    """In the midst of an epoch, or when the state that a restart needs is gone already."""
    whole, output = tmp_path / "whole.safetensors", tmp_path / "m.safetensors"
    assert launched(whole) == [1, 2, 3]
    assert launched(output, dies) == epochs
    expected, weights = load_file(whole), load_file(output)
    assert all(torch.equal(weights[name], tensor) for name, tensor in expected.items())
    assert sorted(tmp_path.iterdir()) == [output, whole]


def launched(output: Path, *dies: str) -> list[int]:
    """The epochs that two ranks of tests/support/dying_rank.py began. They end well, and print the path once."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--max-restarts=1"]
    command = [*launcher, "-m", "tests.support.dying_rank", str(output), *dies]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as torchrun:
        try:
            printed, told = torchrun.communicate(timeout=240)
        finally:
            torchrun.terminate()  # it ends its ranks
    assert (torchrun.returncode, printed) == (0, f"{output}\n"), told
    assert ("SIGKILL" in told or "exitcode: -9" in told) == bool(dies)
    return [int(line.split()[-1]) for line in told.splitlines() if line.startswith("begins epoch ")]
