"""``--log-dir``: what TensorBoard shows is the history of the training."""

import json
import sys
from pathlib import Path

import pytest

from advtool.data import Split
from advtool.errors import InputError
from advtool.training import TensorBoard, Trained
from tests.support.trainings import short


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "a"


@pytest.fixture
def trained(tiny: Split, folder: Path) -> Trained:
    pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
    return short(tiny, "nfgsm", epochs=3, pnil=True, observer=TensorBoard(folder))


def test_the_event_file_holds_every_figure_of_every_epoch(trained: Trained, folder: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder)).Reload()
    scalars = {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    assert set(scalars) == {
        *("training/loss", "training/learning_rate", "training/seconds"),
        *(f"validation/{name}" for name in ("clean", "one_step", "pgd", "adversarial_loss")),
        *("validation/noise_centre", "validation/noise_border"),
    }
    history = trained.header.metrics["history"]
    for tag, points in scalars.items():
        name = tag.partition("/")[2]
        assert points == [(epoch["epoch"], pytest.approx(epoch[name], rel=1e-6)) for epoch in history], tag
    (text,) = events.Tensors("training/text_summary")
    described = json.loads(text.tensor_proto.string_val[0].decode().removeprefix("```json").removesuffix("```"))
    assert described["recipe"] == trained.header.recipe


def test_the_learning_rate_is_that_of_the_last_step_of_the_epoch(trained: Trained) -> None:
    """A triangle over all steps, which rises in 40 % of them (Smith 2017)."""
    history, high = trained.header.metrics["history"], trained.header.recipe["learning_rate"]
    steps = trained.header.recipe["epochs"] * -(-trained.header.recipe["train_images"] // 16)
    top = round(0.4 * (steps + 1))
    for epoch in history:
        last = epoch["epoch"] * steps // 3
        expected = high * (last / top if last <= top else (steps + 1 - last) / (steps + 1 - top))
        assert epoch["learning_rate"] == pytest.approx(expected)


def test_without_the_package_one_line_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(InputError, match=r"^TensorBoard needs its package: pip install 'advtool\[tensorboard\]'$"):
        TensorBoard(tmp_path)


def test_a_folder_that_cannot_be_one_is_refused_before_the_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"^TensorBoard's folder '.*file' is a file: name a folder$"):
        TensorBoard(tmp_path / "file")
    with pytest.raises(InputError, match="is no UTF-8"):
        TensorBoard(f"{tmp_path}/m\udcfcll")
