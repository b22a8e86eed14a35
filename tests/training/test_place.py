"""Where a training writes: names that no other output shares, one training at a time, and nothing left behind."""

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from advtool import training
from advtool.checkpoints import Header
from advtool.data import Split
from advtool.errors import InputError
from advtool.training import Observer, Trained, resumption
from advtool.training.place import Place
from advtool.training.prepared import Prepared
from tests.support.trainings import StopsAfter, short

ROOT = Path(__file__).parents[2]
QUICK: dict[str, Any] = {"arch": "cnn", "epochs": 3, "limit": 64, "batch_size": 16}
NAMES = st.lists(
    st.sampled_from([".", "net", ".state", ".partial", ".safetensors", ".bin"]), min_size=1, max_size=4
).map("".join)


def is_output(name: str) -> bool:
    return name.strip(".") != "" and Place.of(Path(name)).output == Path(name)


@given(NAMES.filter(is_output), NAMES.filter(is_output))
def test_different_outputs_share_no_file_and_each_file_names_its_output(one: str, other: str) -> None:
    def files(name: str) -> set[Path]:
        place = Place(Path(name))
        return {place.output, place.partial, place.state}

    assert len(files(one)) == 3
    assert one == other or files(one).isdisjoint(files(other))
    assert {Place.of(file) for file in files(one)} == {Place(Path(one))}


def test_an_output_without_the_suffix_has_files_of_its_own(tmp_path: Path) -> None:
    for name in ("net", "net.safetensors"):
        with pytest.raises(KeyboardInterrupt):
            training.train("digits", "clean", **QUICK, output=tmp_path / name, observer=StopsAfter(2))
    beside = ["net.partial", "net.partial.safetensors", "net.state", "net.state.safetensors"]
    assert sorted(path.name for path in tmp_path.iterdir()) == beside
    training.resume(tmp_path / "net.state")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "net",
        "net.partial.safetensors",
        "net.state.safetensors",
    ]


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("net.partial.safetensors", "net.safetensors"),
        ("net.state.safetensors", "net.safetensors"),
        ("net.state", "net"),
        ("net.partial.state.safetensors", "net.safetensors"),
    ],
)
def test_an_output_with_the_name_of_a_file_beside_another_one_is_refused(
    tiny: Split, tmp_path: Path, name: str, other: str
) -> None:
    with pytest.raises(InputError) as told:
        short(tiny, output=tmp_path / name)
    assert f"mark what lies beside '{tmp_path / other}' while it trains: give another name" in str(told.value)
    assert list(tmp_path.iterdir()) == []


def test_a_device_has_no_files_beside_it_so_it_is_no_output(tiny: Split) -> None:
    with pytest.raises(InputError, match="'/dev/null' is no regular file"):
        short(tiny, output=Path("/dev/null"))


# One training at a time


class Calls(Observer):
    """Does something when the training has begun, and notes the error."""

    def __init__(self, work: Any) -> None:
        self._work, self.told = work, ""

    def started(self, header: Header, batches: int) -> None:
        with pytest.raises(InputError) as error:
            self._work()
        self.told = str(error.value)


def test_a_second_training_of_an_output_is_refused_and_the_first_one_ends_well(tiny: Split, tmp_path: Path) -> None:
    output = tmp_path / "net.safetensors"
    whole = short(tiny, "nfgsm")
    for options in ({}, {"resume": True}, {"pnil": True}):
        second = Calls(lambda options=options: short(tiny, "nfgsm", output=output, **options))
        trained = short(tiny, "nfgsm", output=output, observer=second)
        assert second.told.startswith(f"another process trains '{output}' now: wait for it, or give every training an")
        assert all(torch.equal(trained.model.state_dict()[k], v) for k, v in whole.model.state_dict().items())
        assert list(tmp_path.iterdir()) == [output]


def test_two_links_to_one_output_are_one_place_and_two_outputs_are_two(tiny: Split, tmp_path: Path) -> None:
    output, link = tmp_path / "net.safetensors", tmp_path / "link.safetensors"
    link.symlink_to(output)
    second = Calls(lambda: short(tiny, output=link))
    short(tiny, output=output, observer=second)
    assert "another process trains" in second.told
    with Place(output).alone() as first, Place(tmp_path / "other.safetensors").alone() as other:
        assert (first, other) == (True, True)


def test_a_training_that_goes_on_elsewhere_is_not_resumed(tmp_path: Path) -> None:
    output = tmp_path / "net.safetensors"
    with pytest.raises(KeyboardInterrupt):
        training.train("digits", "clean", **QUICK, output=output, observer=StopsAfter(2))
    before = Place(output).state.read_bytes()
    with Place(output).alone(), pytest.raises(InputError, match="another process trains"):
        training.resume(output)
    assert Place(output).state.read_bytes() == before
    training.resume(output)
    assert list(tmp_path.iterdir()) == [output]


def test_what_another_process_finished_meanwhile_is_not_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state is read before the images, and the other process ends while they load."""
    output = tmp_path / "net.safetensors"
    with pytest.raises(KeyboardInterrupt):
        training.train("digits", "clean", **QUICK, output=output, observer=StopsAfter(2))
    prepare, ended = resumption.prepare, list[Trained]()

    def prepare_slowly(*args: Any, **options: Any) -> Prepared:
        prepared = prepare(*args, **options)
        monkeypatch.undo()
        ended.append(training.resume(output))
        return prepared

    class Told(Observer):
        over: Path | None = None

        def started(self, header: Header, batches: int) -> None:
            pytest.fail("it trains again")

        def nothing_left(self, output: Path) -> None:
            self.over = output

    monkeypatch.setattr(resumption, "prepare", prepare_slowly)
    told = Told()
    assert training.resume(output, observer=told).header == ended[0].header
    assert told.over == output


def test_what_another_process_began_meanwhile_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "net.safetensors"
    with pytest.raises(KeyboardInterrupt):
        training.train("digits", "clean", **QUICK, output=output, observer=StopsAfter(2))
    prepare, place = resumption.prepare, Place(output)

    def prepare_slowly(*args: Any, **options: Any) -> Prepared:
        prepared = prepare(*args, **options)
        monkeypatch.undo()
        with pytest.raises(KeyboardInterrupt):
            training.train("digits", "clean", **QUICK, seed=1, output=output, observer=StopsAfter(2))
        return prepared

    monkeypatch.setattr(resumption, "prepare", prepare_slowly)
    with pytest.raises(InputError, match="another process has begun another training at"):
        training.resume(output)
    assert place.read_state().beginning.header.seed == 1


def test_an_output_whose_links_lead_in_a_circle_is_not_the_one_of_a_training(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        training.train("digits", "clean", **QUICK, output=tmp_path / "net.safetensors", observer=StopsAfter(2))
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(InputError, match="lead in a circle"):
        training.resume(tmp_path / "net.safetensors", output=tmp_path / "circle")


def test_what_killed_writes_left_of_this_output_is_removed(tiny: Split, tmp_path: Path) -> None:
    random = "0123456789abcdef"
    names = ["net[1].safetensors", "net[1].partial.safetensors", "net[1].state.safetensors"]
    others = {tmp_path / f".{name}.{random}" for name in ("net1.safetensors", "other.safetensors")}
    for file in others | {tmp_path / f".{name}.{random}" for name in names}:
        file.write_bytes(b"half of it")
    output = tmp_path / names[0]
    with Place(output).alone():
        with Place(output).alone() as ours:
            assert not ours
        half = tmp_path / f".{names[0]}.{random}"
        half.write_bytes(b"of the one who holds the lock")
        with Place(output).alone():
            assert half.exists()
    short(tiny, epochs=1, output=output)
    assert set(tmp_path.iterdir()) == others | {output}


def test_a_folder_that_nobody_may_list_holds_a_training_all_the_same(
    tiny: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Path, "iterdir", Mock(side_effect=PermissionError(errno.EACCES, "Permission denied")))
        short(tiny, epochs=1, output=tmp_path / "net.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["net.safetensors"]


@pytest.mark.slow
def test_all_ranks_leave_together_with_the_error_where_another_process_trains(tmp_path: Path) -> None:
    output = tmp_path / "net.safetensors"
    with Place(output).alone():
        told = refused_by_two_ranks(output)
    assert told[0].startswith(f"advtool: another process trains '{output}' now")


@pytest.mark.slow
def test_all_ranks_leave_together_with_the_error_where_the_first_cannot_write(tmp_path: Path) -> None:
    """It alone makes the lock, and the folder of a log. A rank that is left alone may wait for hours."""
    output, log = tmp_path / "net.safetensors", tmp_path / "log"
    (lock := tmp_path / ".net.safetensors.lock").mkdir()
    assert refused_by_two_ranks(output)[0] == f"advtool: cannot write '{lock}': Is a directory"
    lock.rmdir()
    log.symlink_to(tmp_path / "nowhere" / "deep")
    assert refused_by_two_ranks(output, "--log-dir", str(log))[0].startswith(f"advtool: TensorBoard's folder '{log}'")
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def refused_by_two_ranks(output: Path, *options: str) -> list[str]:
    """The line of each of two ranks that train together. Both end with code 2, and differ in their numbers alone."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": "2"}
    training = ["--arch", "cnn", "--epochs", "1", "--limit", "64", "--device", "cpu", "--output", str(output)]
    command = [sys.executable, "-m", "advtool", "train", "clean", *training, *options]
    ranks = [
        subprocess.Popen(
            command, cwd=ROOT, env=os.environ | address | {"RANK": rank}, stderr=subprocess.PIPE, text=True
        )
        for rank in ("0", "1")
    ]
    try:
        told = [rank.communicate(timeout=240)[1].strip() for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
            rank.wait()
    assert [rank.returncode for rank in ranks] == [2, 2], told
    assert told[1] == told[0].replace("advtool: ", "advtool: rank 1: "), told
    return told
