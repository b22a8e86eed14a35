"""How a run begins: one process at a time, all of it or nothing, and never through a link."""

import json
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

import advtool
from advtool.errors import InputError
from advtool.evaluation.beginning import beginning
from advtool.evaluation.manifest import IDENTITY, MANIFEST
from advtool.evaluation.run import CLAIMS, IMAGE_IDS
from advtool.results import Evaluation
from advtool.target.identity import Identity
from tests.support.models import mlp
from tests.support.runs import Listener, images, labelled


def evaluate(folder: Path, **changes: Any) -> Evaluation:
    x, y = labelled(mlp(), 40)
    asked = {"model": mlp(), "images": x, "labels": y, "eps": 0.05, "attacks": ["fgsm"], "run_dir": folder, **changes}
    return advtool.evaluate(asked.pop("model"), asked.pop("images"), asked.pop("labels"), **asked)


def killed_before_the_model_is_noted(folder: Path, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    def kill(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Identity, "write", kill)
        with pytest.raises(KeyboardInterrupt):
            evaluate(folder, **changes)
    assert (folder / MANIFEST).exists()
    assert not (folder / IDENTITY).exists()


def test_one_process_begins_a_run_and_the_others_go_on_with_it(tmp_path: Path) -> None:
    run, order, waits = tmp_path / "run", [], threading.Event()

    def second() -> None:
        with beginning(run, waits.set):
            order.append("second")

    with beginning(run, waits.set):
        waiting = threading.Thread(target=second)
        waiting.start()
        assert waits.wait(timeout=60)
        assert not order
        order.append("first")
        evaluate(tmp_path / "other")
        shutil.copytree(tmp_path / "other", run, dirs_exist_ok=True)
    waiting.join(timeout=60)
    assert order == ["first", "second"]


def test_a_run_that_was_refused_leaves_no_folder(tmp_path: Path) -> None:
    def refused(run: Path) -> None:
        with pytest.raises(ZeroDivisionError), beginning(run, lambda: None):
            raise ZeroDivisionError

    refused(tmp_path / "new")
    assert not (tmp_path / "new").exists()
    (tmp_path / "mine").mkdir()
    refused(tmp_path / "mine")
    assert (tmp_path / "mine").is_dir(), "it was there before"


def test_a_run_whose_beginning_was_killed_is_of_whatever_is_asked_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its manifest tells nothing of which model it was about. Else another model would go on with its facts."""
    killed_before_the_model_is_noted(tmp_path, monkeypatch, eps=0.1, images=images(40, seed=5))
    other = mlp(seed=1)
    found = evaluate(tmp_path, model=other)
    assert found.clean == evaluate(tmp_path / "apart", model=other).clean
    assert json.loads((tmp_path / MANIFEST).read_text())["configuration"]["eps"] == 0.05
    assert (tmp_path / IMAGE_IDS).read_bytes() == (tmp_path / "apart" / IMAGE_IDS).read_bytes()
    with pytest.raises(InputError, match="run of another model"):
        evaluate(tmp_path)


def test_a_begun_run_refuses_another_model_before_any_shard(tmp_path: Path) -> None:
    evaluate(tmp_path)
    shutil.rmtree(tmp_path / "shards")
    with pytest.raises(InputError, match="run of another model"):
        evaluate(tmp_path, model=mlp(seed=1))


@pytest.mark.parametrize("name", [CLAIMS, "shards", ".sealed"])
def test_nothing_is_written_through_a_link_in_the_folder(tmp_path: Path, name: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    run = tmp_path / "run"
    run.mkdir()
    (run / name).symlink_to(elsewhere)
    with pytest.raises(InputError, match="is a link"):
        evaluate(run)
    assert not list(elsewhere.iterdir())


def test_a_manifest_without_images_a_pass_is_damaged(tmp_path: Path) -> None:
    evaluate(tmp_path)
    shutil.rmtree(tmp_path / ".sealed")
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    del manifest["environment"]["images_a_pass"]
    (tmp_path / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=r"manifest\.json is damaged"):
        evaluate(tmp_path)


def test_damaged_examples_are_named_and_made_again(tmp_path: Path) -> None:
    evaluate(tmp_path, save_adversarial=True)
    (path,) = (tmp_path / "adversarial").iterdir()
    whole, listener = path.read_bytes(), Listener()
    path.write_bytes(whole[:50])
    evaluate(tmp_path, save_adversarial=True, observer=listener)
    assert path.read_bytes() == whole
    assert any("shard 1-fgsm-0000.json is damaged" in note for note in listener.notes)


def test_what_killed_writes_of_a_shard_left_is_removed_by_who_computes_it_again(tmp_path: Path) -> None:
    evaluate(tmp_path)
    shards = tmp_path / "shards"
    (shards / "1-fgsm-0000.json").unlink()
    left = [shards / f".1-fgsm-0000.json.{digit * 16}" for digit in "0f"]
    mine = shards / ".notes.json.of-mine"
    for path in (*left, mine):
        path.write_text("half")
    evaluate(tmp_path)
    assert not any(path.exists() for path in left)
    assert mine.exists()
