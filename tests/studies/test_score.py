"""The line that a run keeps for each image, and its adversarial examples classified again."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import advtool
from advtool.cli import app
from advtool.data import load
from advtool.errors import InputError
from advtool.evaluation import examples
from advtool.evaluation.finished import read_finished
from advtool.evaluation.origin import command_of
from advtool.report import to_table
from advtool.results import Evaluation
from tests.support.models import NoisyInput, mlp

SHAPE, EPS = (1, 4, 4), 0.08
ATTACKS = ["fgsm", "pgd(steps=5)"]


def run(folder: Path, model: nn.Module, *, save: bool = True, **changes: Any) -> Evaluation:
    x = torch.rand(130, *SHAPE, generator=torch.Generator().manual_seed(0))
    y = model(x).argmax(1)
    y[:9] = (y[:9] + 1) % 4  # misclassified from the start
    settings = {"eps": EPS, "attacks": ATTACKS, "run_dir": folder, "save_adversarial": save, **changes}
    return advtool.evaluate(model, x, y, **settings)


def test_every_image_has_a_line_that_adds_up_to_the_answer(tmp_path: Path) -> None:
    result = run(tmp_path, mlp(SHAPE))
    lines = [json.loads(line) for line in (tmp_path / "images.jsonl").read_text().splitlines()]
    assert [line["index"] for line in lines] == [line["place"] for line in lines] == list(range(130))
    assert sum(line["clean"]["prediction"] == line["label"] for line in lines) == result.clean.correct
    for attack in result.attacks:
        told = [line["attacks"].get(attack.name) for line in lines]
        assert sum(entry["robust"] for entry in told if entry) == attack.robust
        for line, entry in zip(lines, told, strict=True):
            assert (entry is None) == (line["clean"]["prediction"] != line["label"])
            if entry:
                assert entry["robust"] == (entry["margin"] >= 0) == (entry["prediction"] == line["label"])
                assert 0 <= entry["step"] <= 5 and 1 <= entry["queries"] <= 7  # noqa: PT018


def test_the_saved_examples_belong_to_the_images_that_fell(tmp_path: Path) -> None:
    model = mlp(SHAPE)
    result = run(tmp_path, model)
    lines = [json.loads(line) for line in (tmp_path / "images.jsonl").read_text().splitlines()]
    for position, attack in enumerate(result.attacks, start=1):
        parts = [examples.read(path) for path in sorted((tmp_path / "adversarial").glob(f"{position}-*"))]
        places = torch.cat([part.places for part in parts]).tolist()
        assert places == [
            line["place"] for line in lines if line["attacks"].get(attack.name, {}).get("robust") is False
        ]
        for part in parts:
            assert (part.images - part.originals).abs().max() <= EPS + 1e-6
            assert (model(part.images).argmax(1) != part.labels).all()
            assert (model(part.originals).argmax(1) == part.labels).all()


def test_a_score_agrees_with_its_run(tmp_path: Path) -> None:
    model = mlp(SHAPE)
    result = run(tmp_path, model)
    score = advtool.score(tmp_path, model)
    assert score.same_model and score.agrees  # noqa: PT018
    fallen = [result.clean.correct - attack.robust for attack in result.attacks]
    assert [attack.examples for attack in score.attacks] == [attack.fooling for attack in score.attacks] == fallen


def test_another_model_is_fooled_by_what_transfers(tmp_path: Path) -> None:
    run(tmp_path, mlp(SHAPE))
    other = mlp(SHAPE, seed=3)
    score = advtool.score(tmp_path, other)
    assert not score.same_model
    assert score.agrees is None
    parts = [examples.read(path) for path in sorted((tmp_path / "adversarial").glob("2-*"))]
    right = [other(part.originals).argmax(1) == part.labels for part in parts]
    wrong = [other(part.images).argmax(1) != part.labels for part in parts]
    scored = score.attacks[1]
    assert scored.originals_correct == sum(int(each.sum()) for each in right) < scored.examples
    assert scored.fooling == sum(int((was & now).sum()) for was, now in zip(right, wrong, strict=True)) > 0
    assert scored.share == scored.fooling / scored.originals_correct


def test_a_model_of_fewer_classes_is_refused(tmp_path: Path) -> None:
    run(tmp_path, mlp(SHAPE))
    with pytest.raises(InputError, match="3 classes"):
        advtool.score(tmp_path, mlp(SHAPE, classes=3))


def test_a_random_model_is_asked_with_fresh_draws(tmp_path: Path) -> None:
    model = NoisyInput(mlp(SHAPE), 0.05)
    run(tmp_path, model)
    first, second = (advtool.score(tmp_path, model, seed=seed) for seed in (1, 2))
    assert first.votes == 20, "the run's"
    run(tmp_path / "few", model, votes=3)
    assert advtool.score(tmp_path / "few", model).votes == 3
    assert first.agrees is None
    assert first.attacks == advtool.score(tmp_path, model, seed=1).attacks
    assert all(attack.share > 0.8 for attack in (*first.attacks, *second.attacks))


def test_shards_without_their_examples_are_computed_again(tmp_path: Path) -> None:
    model = mlp(SHAPE)
    before = run(tmp_path, model, save=False)
    assert not (tmp_path / "adversarial").exists()
    with pytest.raises(InputError, match="--save-adversarial"):
        advtool.score(tmp_path, model)
    after = run(tmp_path, model)
    assert [attack.robust for attack in after.attacks] == [attack.robust for attack in before.attacks]
    assert advtool.score(tmp_path, model).agrees


def test_damaged_examples_are_named(tmp_path: Path) -> None:
    model = mlp(SHAPE)
    run(tmp_path, model)
    next((tmp_path / "adversarial").iterdir()).write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"adversarial.*holds no adversarial examples"):
        advtool.score(tmp_path, model)


def test_examples_without_a_folder_are_refused() -> None:
    model = mlp(SHAPE)
    x = torch.rand(4, *SHAPE)
    with pytest.raises(InputError, match="folder"):
        advtool.evaluate(model, x, torch.zeros(4, dtype=torch.long), attacks="fgsm", save_adversarial=True)


def test_lines_tell_the_index_in_the_data_set_and_its_place_in_the_run(tmp_path: Path) -> None:
    indices = torch.arange(130).flip(0) + 7
    run(tmp_path, mlp(SHAPE), indices=indices)
    lines = [json.loads(line) for line in (tmp_path / "images.jsonl").read_text().splitlines()]
    assert [line["index"] for line in lines] == indices.tolist()
    assert [line["place"] for line in lines] == list(range(130))
    with pytest.raises(InputError, match=r"indices must be \(130,\)"):
        run(tmp_path, mlp(SHAPE), indices=[1, 2])


def test_a_run_in_which_nothing_fell_is_not_said_to_be_fooled(tmp_path: Path) -> None:
    model = mlp(SHAPE)
    run(tmp_path, model, eps=1e-6)
    score = advtool.score(tmp_path, model)
    assert [attack.examples for attack in score.attacks] == [0, 0]
    assert to_table(score).notes == ("the run kept no examples, since no attack found one: there was nothing to score",)


def test_a_checkpoint_of_any_name_and_the_librarys_weights_are_found_again(
    tmp_path: Path, digits_checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(digits_checkpoint, "net.ckpt")
    asked = ["eval", "--checkpoint", "net.ckpt", "--images", "30", "--attack", "fgsm", "--run-dir", "mine"]
    app([*asked, "--save-adversarial"], standalone_mode=False)
    capsys.readouterr()
    assert not app(["score", "mine", "--format", "json"], standalone_mode=False)
    told = json.loads(capsys.readouterr().out)
    assert told["same_model"] and told["agrees"]  # noqa: PT018
    for given in (["--weights", "net.ckpt"], ["--mean", "0.5", "--std", "0.5"]):
        with pytest.raises(InputError, match=rf"^{given[0]}.*: only for another model .* name it as MODEL"):
            app(["score", "mine", *given], standalone_mode=False)
    result = read_finished(Path("mine")).result
    library = {"spec": "torchvision:resnet18", "weights": {"name": "IMAGENET1K_V1"}, "mean": [0.5], "std": [0.25]}
    found = command_of(Path("mine"), result.model_copy(update={"checkpoint": None, "model": library}))
    assert found.options == {"model": "torchvision:resnet18", "weights": "DEFAULT", "mean": "0.5", "std": "0.25"}
    assert found.to_name_again == {}


def test_the_command_ends_with_1_where_an_example_does_not_fool_again(
    tmp_path: Path, digits_checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = ["eval", "--checkpoint", str(digits_checkpoint), "--images", "30", "--attack", "fgsm", "--run-dir", "mine"]
    app([*asked, "--save-adversarial"], standalone_mode=False)
    split = load("digits", "test")
    for line in map(json.loads, (tmp_path / "mine" / "images.jsonl").read_text().splitlines()):
        assert line["label"] == split.labels[line["index"]], "in the data set's own order"
    assert not app(["score", "mine"], standalone_mode=False)
    path = next((tmp_path / "mine" / "adversarial").iterdir())
    kept = examples.read(path)
    examples.write(path, kept._replace(images=torch.cat([kept.originals[:1], kept.images[1:]])))
    capsys.readouterr()
    assert app(["score", "mine", "--format", "json"], standalone_mode=False) == 1
    told = capsys.readouterr()
    assert json.loads(told.out)["agrees"] is False
    assert "disagrees with the run" in told.err
