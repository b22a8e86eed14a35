"""Checkpoints: exact round trips, damage told in words, and no file ever half written."""

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import advtool
from advtool import checkpoints, models, tensor_files
from advtool.checkpoints import Architecture, Header
from advtool.errors import InputError
from advtool.report import card
from advtool.results import Figures
from advtool.threat import ThreatModel
from tests.support.locked import lock


def header(**changes: object) -> Header:
    values = {
        "architecture": Architecture(name="cnn", input_shape=(1, 28, 28), classes=10),
        "dataset": "digits",
        "recipe": {"name": "both", "learning_rate": 1e-3, "limit": None},
        "threat_model": ThreatModel(eps=8 / 255),
        "seed": 3,
        "date": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "versions": {"torch": "2"},
        "metrics": {"history": [{"epoch": 1, "loss": 0.1}]},
    }
    return Header(**(values | changes))


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    checkpoints.write(path, header(), models.build(header().architecture).state_dict())
    return path


def test_round_trip_is_exact(tmp_path: Path) -> None:
    tensors = models.build(Architecture(name="resnet11", input_shape=(3, 8, 8), classes=2)).state_dict()
    path = tmp_path / "deep" / "er" / "model.safetensors"
    checkpoints.write(path, header(), tensors)
    read_header, read = checkpoints.read(path)
    assert read_header == header() == checkpoints.read_header(path)
    assert read.keys() == tensors.keys()
    assert all(torch.equal(read[name], tensor) and read[name].dtype == tensor.dtype for name, tensor in tensors.items())


def test_load_checkpoint_is_public_and_in_eval_mode(written: Path) -> None:
    model = advtool.load_checkpoint(str(written))
    assert not model.training
    assert model(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


def test_load_checkpoint_names_the_file_whose_tensors_do_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "odd.safetensors"
    checkpoints.write(path, header(), {"linear.weight": torch.zeros(2)})
    with pytest.raises(InputError, match=r"odd\.safetensors.*'cnn'"):
        advtool.load_checkpoint(path)


@pytest.mark.parametrize("kept", [0, 4, 9, 400, -1])
def test_truncated_file(written: Path, kept: int) -> None:
    written.write_bytes(written.read_bytes()[:kept])
    with pytest.raises(InputError, match=r"model\.safetensors.*damaged"):
        checkpoints.read(written)


def test_foreign_safetensors_file(tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(2)}, tmp_path / "foreign.safetensors")
    with pytest.raises(InputError, match="without an advtool header"):
        checkpoints.read_header(tmp_path / "foreign.safetensors")


def test_malformed_header_names_the_place(tmp_path: Path) -> None:
    text = header().model_dump_json(by_alias=True).replace('"seed":3', '"seed":"three"')
    save_file({"w": torch.zeros(2)}, tmp_path / "bad.safetensors", metadata={"advtool": text})
    with pytest.raises(InputError, match="at 'seed'"):
        checkpoints.read_header(tmp_path / "bad.safetensors")


@pytest.mark.parametrize("protocol", [2, 4])
def test_pickles_are_refused_unread(tmp_path: Path, protocol: int) -> None:
    (tmp_path / "plain.pt").write_bytes(pickle.dumps({"weight": [1.0]}, protocol=protocol))
    torch.save({"weight": torch.zeros(2)}, tmp_path / "zip.pt")
    for name in ("plain.pt", "zip.pt"):
        with pytest.raises(InputError, match=f"{name}' is a pickle.*refused"):
            checkpoints.read(tmp_path / name)


def test_absent_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        checkpoints.read(tmp_path / "none.safetensors")
    with pytest.raises(InputError, match="that is a folder"):
        checkpoints.read(tmp_path)


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_behind(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = written.read_bytes()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("advtool.files.os.fsync", full)
    with pytest.raises(InputError, match=r"cannot write .*model\.safetensors.*No space left"):
        checkpoints.write(written, header(seed=4), {"w": torch.ones(3)})
    assert written.read_bytes() == before
    assert list(written.parent.iterdir()) == [written]


def test_newest_goes_by_the_date_in_the_header(tmp_path: Path) -> None:
    for name, year in (("a", 2026), ("b", 2027), ("c", 2025)):
        date = datetime(year, 1, 1, tzinfo=UTC)
        checkpoints.write(tmp_path / f"{name}.safetensors", header(date=date), {"w": torch.ones(1)})
    (tmp_path / "broken.safetensors").write_bytes(b"no checkpoint")
    assert checkpoints.newest(tmp_path) == tmp_path / "b.safetensors"


def test_a_checkpoint_that_may_not_be_read_is_no_newest_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "locked"):
        checkpoints.write(tmp_path / f"{name}.safetensors", header(), {"w": torch.ones(1)})
    lock(tmp_path / "locked.safetensors", monkeypatch)
    assert checkpoints.newest(tmp_path) == tmp_path / "a.safetensors"
    with pytest.raises(InputError, match=r"cannot read '.*locked\.safetensors' \(Permission denied\)"):
        checkpoints.read_header(tmp_path / "locked.safetensors")


def test_newest_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no checkpoint found"):
        checkpoints.newest(tmp_path)


def test_equal_checkpoints_are_equal_files(tmp_path: Path, digits_checkpoint: Path) -> None:
    """With its checksums a header has several texts, which safetensors writes in any order."""
    for name in map(str, range(6)):
        checkpoints.write(tmp_path / name, *checkpoints.read(digits_checkpoint))
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


@pytest.mark.parametrize("recipe", [{}, {"name": 3}])
def test_a_recipe_without_a_name_is_a_malformed_header(tmp_path: Path, recipe: dict[str, object]) -> None:
    path = tmp_path / "model.safetensors"
    checkpoints.write(path, header().model_copy(update={"recipe": recipe}), {})
    with pytest.raises(InputError, match=r"malformed advtool header \(at 'recipe'\)"):
        checkpoints.read_header(path)


def test_a_card_leaves_out_what_was_not_measured() -> None:
    figures = Figures(epoch=1, loss=0.1, seconds=2.0, clean=0.5, one_step=0.2, pgd=0.1, adversarial_loss=3.0)
    full = {"epoch": 1, "clean_accuracy": 0.5, "history": [asdict(figures)]}
    shown = card.table(card.Card("m", header(metrics=full)))
    assert dict(shown.facts)["kept epoch"] == "1"
    assert dict(shown.facts)["validation"] == "clean 50.0 %"
    assert "white box" not in dict(shown.facts)
    measured = ["clean", "one_step", "pgd", "adversarial_loss"]
    assert [column.name for column in shown.columns] == ["epoch", "loss", *measured, "seconds", "kept"]


@pytest.mark.parametrize(
    ("metrics", "where"),
    [
        ({"epoch": "one"}, "epoch"),
        ({"history": [{"loss": 1}]}, r"history\.0\.clean"),
        ({"epoch": 1, "collapse": {"epoch": 2}}, r"collapse\.one_step"),
    ],
)
def test_malformed_metrics_are_named(metrics: dict[str, object], where: str) -> None:
    with pytest.raises(InputError, match=rf"malformed metrics in its header \(at '{where}'\)"):
        card.table(card.Card("m", header(metrics=metrics)))


def test_a_file_that_is_replaced_while_it_is_read_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training replaces its state after every epoch, and somebody may look at it meanwhile."""
    path = tmp_path / "state.safetensors"
    tensor_files.write(path, {"w": torch.zeros(3)}, {"epoch": "1"})

    @contextmanager
    def replaced_meanwhile(path: Path, framework: str) -> Iterator[Any]:
        monkeypatch.undo()
        with safe_open(path, framework) as before:
            texts = before.metadata()
        tensor_files.write(path, {"w": torch.ones(3)}, {"epoch": "2"})
        with safe_open(path, framework) as after:
            yield SimpleNamespace(metadata=lambda: texts, keys=after.keys, get_tensor=after.get_tensor)

    monkeypatch.setattr(tensor_files, "safe_open", replaced_meanwhile)
    texts, tensors = tensor_files.read(path)
    assert (texts, tensors["w"].tolist()) == ({"epoch": "2"}, [1.0] * 3)
