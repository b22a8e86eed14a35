"""The loop, the loss and the kept epoch, held against independent transcriptions."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from advtool import checkpoints, models, seeding, training
from advtool.checkpoints import Architecture
from advtool.compute.convolution import QuickConv2d
from advtool.data import Split, first_images, load, to_float, train_validation
from advtool.errors import InputError
from advtool.models.registry import Entry
from advtool.results import Validated
from advtool.threat import ThreatModel
from advtool.training import RECIPES, Collapse, Observer, Trained, loop, prepared, recipe_for, session
from advtool.training.examples import craft
from advtool.training.loop import Batch, training_loss
from advtool.training.validation import measure
from tests.support.trainings import StopsAfter, batch, draws, equal, short

CPU = torch.device("cpu")


# The loss


@pytest.mark.parametrize(("recipe", "clean_share"), [("clean", 1.0), ("adv", 0.0), ("both", 0.5)])
def test_training_loss_weighs_two_cross_entropies(recipe: str, clean_share: float) -> None:
    model = models.build(Architecture(name="cnn", input_shape=(1, 8, 8), classes=3))
    x, y = batch((5, 1, 8, 8), classes=3)
    x_adv = craft(model, x, y, "fgsm", threat_model=ThreatModel(eps=0.1), generator=draws())

    def cross_entropy(images: Tensor) -> Tensor:
        logits = model(images)
        return (logits.exp().sum(dim=1).log() - logits[torch.arange(5), y]).mean()

    expected = clean_share * cross_entropy(x) + (1 - clean_share) * cross_entropy(x_adv)
    given = training_loss(model, RECIPES[recipe], Batch(x, y), threat_model=ThreatModel(eps=0.1), generator=draws())
    torch.testing.assert_close(given, expected)
    beforehand = training_loss(
        model, RECIPES[recipe], Batch(x, y, fixed=x_adv), threat_model=ThreatModel(eps=0.5), generator=draws()
    )
    torch.testing.assert_close(beforehand, expected)


def test_batch_norm_counts_each_step_once(tiny: Split) -> None:
    trained = short(tiny, arch="resnet11", epochs=3, batch_size=12, limit=36)
    assert 1 <= trained.header.metrics["epoch"] <= 3
    assert trained.model.norm.num_batches_tracked == 3 * trained.header.metrics["epoch"]


def test_the_loss_of_an_epoch_is_the_mean_over_its_images(tiny: Split) -> None:
    """Batches of 16, 16 and 4 images; at next to no learning rate all of them meet the same model."""
    trained = short(tiny, "clean", epochs=1, batch_size=16, learning_rate=1e-12)
    images = train_validation(tiny)[0]
    assert len(images) == 36
    logits = trained.model(to_float(images.images))
    expected = nn.functional.cross_entropy(logits, images.labels).item()
    assert trained.header.metrics["history"][0]["loss"] == pytest.approx(expected, rel=1e-5)


# The kept epoch


def test_the_model_handed_back_is_that_of_the_kept_epoch(digits: Split) -> None:
    trained = short(digits, limit=256, epochs=4, batch_size=64)
    metrics = trained.header.metrics
    kept = metrics["history"][metrics["epoch"] - 1]
    names = {"clean_accuracy": "clean", "one_step_accuracy": "one_step", "pgd_accuracy": "pgd"}
    assert {name: metrics[name] for name in names} == {name: kept[short_name] for name, short_name in names.items()}
    measured = measure(
        trained.model,
        recipe_for("digits", "both", precision="float32"),
        train_validation(digits)[1],
        threat_model=ThreatModel(eps=0.3),
        generator=seeding.generator(CPU, 0, "validate"),
    )
    assert asdict(measured).items() <= (dict.fromkeys(asdict(measured)) | kept).items()


def test_validation_figures_against_a_plain_count(digits: Split) -> None:
    model = models.build(Architecture(name="cnn", input_shape=digits.shape, classes=10)).eval()
    x, y = to_float(digits.images), digits.labels
    few = first_images(digits, 500)
    noise = draws()
    multi_step = craft(
        model, to_float(few.images), few.labels, "pgd", threat_model=ThreatModel(eps=0.1), generator=noise, steps=10
    )
    one_step = craft(model, x, y, "fgsm", threat_model=ThreatModel(eps=0.1), generator=noise)

    def accuracy(images: Tensor, labels: Tensor) -> float:
        return (model(images).argmax(1) == labels).float().mean().item()

    measured = measure(
        model.train(),
        recipe_for("digits", "both", precision="float32"),
        digits,
        threat_model=ThreatModel(eps=0.1),
        generator=draws(),
        fixed=x,
    )
    assert measured.clean == measured.fixed == pytest.approx(accuracy(x, y), abs=2 / len(y))
    assert measured.one_step == pytest.approx(accuracy(one_step, y), abs=2 / len(y))
    assert measured.pgd == pytest.approx(accuracy(multi_step, few.labels), abs=2 / len(few))
    expected = torch.nn.functional.cross_entropy(model(multi_step), few.labels).item()
    assert measured.adversarial_loss == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("stop", [True, False])
def test_a_collapse_is_told_once_recorded_and_may_end_the_training(
    tiny: Split, monkeypatch: pytest.MonkeyPatch, stop: bool
) -> None:
    told: list[Collapse] = []

    class Watcher(Observer):
        def collapsed(self, collapse: Collapse) -> None:
            told.append(collapse)

    figures = iter([(0.5, 0.6), (0.6, 0.55), (0.9, 0.1), (0.95, 0.0)])

    def fabricated(*args: object, **kwargs: object) -> Validated:
        one_step, pgd = next(figures)
        return Validated(clean=0.9, one_step=one_step, pgd=pgd, adversarial_loss=1.0)

    monkeypatch.setattr(loop, "measure", fabricated)
    metrics = short(tiny, "nfgsm", epochs=4, stop_on_collapse=stop, observer=Watcher()).header.metrics
    assert [collapse.epoch for collapse in told] == [3]
    assert metrics["collapse"] == asdict(told[0])
    assert len(metrics["history"]) == (3 if stop else 4)


# Repeatable


@pytest.mark.parametrize(
    ("recipe", "options"),
    [
        ("both", {"arch": "cnn"}),
        ("both", {"arch": "resnet11"}),
        ("nfgsm", {"pnil": True, "pnil_at": ("conv2",), "eot": 2}),
        ("apb", {"bias": "multimodal", "scenario": "both"}),
    ],
)
def test_a_seed_repeats_a_run_bit_for_bit_whatever_the_global_stream(
    tiny: Split, recipe: str, options: dict[str, object]
) -> None:
    torch.manual_seed(1)
    first = short(tiny, recipe, **options)
    torch.manual_seed(2)
    state = torch.random.get_rng_state()
    second = short(tiny, recipe, **options)
    assert equal(first, second)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not equal(first, short(tiny, recipe, seed=1, **options))


def test_limit_takes_training_images_alone_and_fewer_are_among_more(tiny: Split) -> None:
    _, validation = train_validation(tiny)
    few, more = (prepared.prepare(tiny, "clean", arch="cnn", limit=limit) for limit in (10, 30))

    def rows(split: Split) -> set[tuple[int, ...]]:
        return {tuple(image.flatten().tolist()) for image in split.images}

    assert len(rows(few.training)) == 10
    assert rows(few.training) < rows(more.training)
    assert not rows(more.training) & rows(validation)
    assert rows(more.validation) == rows(validation)


def test_test_images_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def spy(name: str, split: str, data_dir: Path | None) -> Split:
        asked.append((name, split))
        return load(name, split, data_dir)

    monkeypatch.setattr(prepared, "load", spy)
    training.train("digits", "clean", arch="cnn", epochs=1, limit=64)
    assert asked == [("digits", "train")]


# It works


@pytest.fixture(scope="module")
def trained(digits: Split) -> dict[str, Trained]:
    return {
        name: training.train(digits, name, arch="cnn", epochs=20, precision="float32") for name in ("clean", "both")
    }


def test_digits_are_learnt(trained: dict[str, Trained]) -> None:
    """Of three seeds the lowest was 0.93."""
    assert trained["clean"].header.metrics["clean_accuracy"] > 0.85
    assert trained["both"].header.metrics["clean_accuracy"] > 0.85


def test_adversarial_training_raises_adversarial_accuracy(trained: dict[str, Trained]) -> None:
    """From 0.00 to 0.29 and more, of three seeds."""
    accuracy = {name: run.header.metrics["one_step_accuracy"] for name, run in trained.items()}
    assert accuracy["both"] > accuracy["clean"] + 0.1


def test_the_card_holds_what_is_needed_to_repeat(trained: dict[str, Trained]) -> None:
    header = trained["both"].header
    assert header.dataset == "digits"
    assert header.threat_model.eps == 0.3
    assert header.recipe == {
        "name": "both",
        "scenario": "both",
        "examples": "fgsm",
        "epochs": 20,
        "batch_size": 128,
        "learning_rate": 1e-3,
        "schedule": "constant",
        "optimizer": "adam",
        "keep": "pgd",
        "stop_on_collapse": False,
        "precision": "float32",
        "bias": "plain",
        "limit": None,
        "train_images": 1294,
    }
    assert header.versions.keys() == {"advtool", "torch", "python"}
    assert len(header.metrics["history"]) == 20


# Files


@pytest.mark.parametrize("arch", ["cnn", "lenet"])
def test_a_model_is_quick_while_it_trains_and_torchs_own_when_handed_back(
    digits: Split, arch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained_on: list[nn.Module] = []
    epochs = session.epochs

    def looked_at(model: nn.Module, *arguments: Any, **options: Any) -> Any:
        trained_on.append(model)
        for figures in epochs(model, *arguments, **options):
            assert kinds_and_layouts(model) == {(QuickConv2d, True)}
            yield figures

    monkeypatch.setattr(session, "epochs", looked_at)
    trained = short(first_images(digits, 150), arch=arch, epochs=1)
    assert kinds_and_layouts(trained.model) == {(nn.Conv2d, False)}
    assert {kind for kind, _ in kinds_and_layouts(trained_on[0])} == {nn.Conv2d}


class View(nn.Module):
    """``nn.Flatten`` for contiguous tensors alone."""

    def forward(self, x: Tensor) -> Tensor:
        return x.view(len(x), -1)


def test_a_model_that_bears_contiguous_tensors_alone_trains_to_the_same_weights(
    digits: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    def small(flatten: nn.Module) -> Entry:
        return Entry(lambda *_: nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), flatten, nn.Linear(1352, 10)), smallest=28)

    monkeypatch.setitem(models.ARCHITECTURES, "flatten", small(nn.Flatten()))
    monkeypatch.setitem(models.ARCHITECTURES, "view", small(View()))
    of_flatten, of_view = (
        short(first_images(digits, 150), "nfgsm", arch=arch).model.state_dict() for arch in ("flatten", "view")
    )
    torch.testing.assert_close(of_view, of_flatten)


def kinds_and_layouts(model: nn.Module) -> set[tuple[type[nn.Module], bool]]:
    """Of the convolutions of several channels: with one channel both layouts are the same."""
    layers = [module for module in model.modules() if isinstance(module, nn.Conv2d) and module.in_channels > 1]
    return {(type(layer), layer.weight.is_contiguous(memory_format=torch.channels_last)) for layer in layers}


def test_an_interrupted_training_leaves_its_best_epoch(tiny: Split, tmp_path: Path) -> None:
    output, observer = tmp_path / "new" / "m.safetensors", StopsAfter(2)
    with pytest.raises(KeyboardInterrupt):
        short(tiny, epochs=5, output=output, observer=observer)
    partial = tmp_path / "new" / "m.partial.safetensors"
    assert sorted(output.parent.iterdir()) == [partial, tmp_path / "new" / "m.state.safetensors"]
    assert set(observer.saved_at) == {partial}
    header, tensors = checkpoints.read(partial)
    assert header.metrics["epoch"] in (1, 2)
    assert models.from_checkpoint(header, tensors)(torch.zeros(1, 1, 8, 8)).shape == (1, 3)


def test_a_finished_training_leaves_the_checkpoint_alone(tiny: Split, tmp_path: Path) -> None:
    output = tmp_path / "m.safetensors"
    output.write_bytes(b"old")
    trained = short(tiny, output=output)
    assert list(tmp_path.iterdir()) == [output]
    header, tensors = checkpoints.read(output)
    assert header == trained.header
    assert all(torch.equal(tensors[name], tensor) for name, tensor in trained.model.state_dict().items())


def test_an_unwritable_output_is_told_before_the_data_are_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "circle").symlink_to("circle")
    refused = ((tmp_path / "file" / "m.safetensors", "cannot write"), (tmp_path, "is a folder"))
    for output, words in (*refused, (tmp_path / "circle", "lead in a circle")):
        with pytest.raises(InputError, match=words):
            training.train("no such data", "clean", output=output)
