"""The loop, the examples and the kept epoch, held against independent transcriptions."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from advtool import checkpoints, models, training
from advtool.checkpoints import Architecture
from advtool.data import Split, load, to_float, train_validation
from advtool.errors import InputError
from advtool.training import EXAMPLES, RECIPES, Figures, Observer, Trained, session
from advtool.training.examples import fgsm, input_gradient
from advtool.training.loop import training_loss
from advtool.training.validation import accuracies, best

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def digits() -> Split:
    return load("digits", "train")


@pytest.fixture
def tiny() -> Split:
    """40 random images of 8x8 pixels in three classes."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (40, 1, 8, 8), dtype=torch.uint8, generator=generator)
    return Split("tiny", ("a", "b", "c"), images, torch.arange(40) % 3)


def draws() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def batch(shape: tuple[int, ...], classes: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    return torch.rand(shape, generator=generator), torch.arange(shape[0]) % classes


def short(split: Split, recipe: str = "both", **options: object) -> Trained:
    return training.train(split, recipe, **({"arch": "cnn", "epochs": 2, "batch_size": 16} | options))


def equal(a: Trained, b: Trained) -> bool:
    pairs = zip(a.model.state_dict().values(), b.model.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


# Examples


def test_fgsm_against_numpy_on_a_linear_model() -> None:
    x, y = batch((6, 1, 2, 3), classes=4)
    linear = nn.Linear(6, 4).double()
    W, b = linear.weight.detach().numpy(), linear.bias.detach().numpy()
    logits = x.double().numpy().reshape(6, 6) @ W.T + b
    softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    gradient = (softmax - np.eye(4)[y.numpy()]) @ W  # of the cross entropy of a linear model
    expected = np.clip(x.double().numpy().reshape(6, 6) + 0.2 * np.sign(gradient), 0, 1)
    model = nn.Sequential(nn.Flatten(), linear)
    x_adv = fgsm(model, x.double(), y, eps=0.2, generator=draws())
    np.testing.assert_allclose(x_adv.numpy().reshape(6, 6), expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize("kind", sorted(EXAMPLES))
@pytest.mark.parametrize("mode", [True, False])
def test_examples_leave_statistics_gradients_and_mode_alone(kind: str, mode: bool) -> None:
    model = models.build(Architecture(name="resnet11", input_shape=(3, 8, 8), classes=3)).train(mode)
    x, y = batch((4, 3, 8, 8), classes=3)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    x_adv = EXAMPLES[kind](model, x, y, eps=0.1, generator=draws())
    assert not x_adv.requires_grad
    assert not torch.equal(x_adv, x)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert model.training is mode
    model.train()(x)  # and the next training step counts again
    assert not torch.equal(model.norm.running_mean, before["norm.running_mean"])


def test_gradient_in_training_mode_is_that_of_batch_normalised_training() -> None:
    model = models.build(Architecture(name="resnet11", input_shape=(3, 8, 8), classes=3)).train()
    x, y = batch((4, 3, 8, 8), classes=3)
    given = input_gradient(model, x, y)
    x.requires_grad_()
    torch.nn.functional.cross_entropy(model(x), y, reduction="sum").backward()
    torch.testing.assert_close(given, x.grad)
    assert not torch.allclose(input_gradient(model.eval(), x, y), given)


# The loss


@pytest.mark.parametrize(("recipe", "clean_share"), [("clean", 1.0), ("adv", 0.0), ("both", 0.5)])
def test_training_loss_weighs_two_cross_entropies(recipe: str, clean_share: float) -> None:
    model = models.build(Architecture(name="cnn", input_shape=(1, 8, 8), classes=3))
    x, y = batch((5, 1, 8, 8), classes=3)
    x_adv = fgsm(model, x, y, eps=0.1, generator=draws())

    def cross_entropy(images: Tensor) -> Tensor:
        logits = model(images)
        return (logits.exp().sum(dim=1).log() - logits[torch.arange(5), y]).mean()

    expected = clean_share * cross_entropy(x) + (1 - clean_share) * cross_entropy(x_adv)
    given = training_loss(model, RECIPES[recipe], x, y, eps=0.1, generator=draws())
    torch.testing.assert_close(given, expected)


def test_batch_norm_counts_each_step_once(tiny: Split) -> None:
    trained = short(tiny, arch="resnet11", epochs=3, batch_size=12, limit=36)
    assert 1 <= trained.header.metrics["epoch"] <= 3
    assert trained.model.norm.num_batches_tracked == 3 * trained.header.metrics["epoch"]


# The kept epoch


def figures(*accuracies: tuple[float, float]) -> list[Figures]:
    return [
        Figures(epoch=number, loss=1.0, clean=clean, adversarial=adversarial, seconds=1.0)
        for number, (clean, adversarial) in enumerate(accuracies, start=1)
    ]


def test_best_epoch() -> None:
    history = figures((0.9, 0.1), (0.7, 0.5), (0.8, 0.5), (0.8, 0.5), (0.9, 0.4))
    assert best(history, "adversarial").epoch == 4
    assert best(history[:2], "adversarial").epoch == 2
    assert best(history, "clean").epoch == 5


def test_the_model_handed_back_is_that_of_the_kept_epoch(digits: Split) -> None:
    trained = short(digits, limit=256, epochs=4, batch_size=64)
    metrics = trained.header.metrics
    validation = train_validation(digits)[1]
    clean, adversarial = accuracies(trained.model, validation, fgsm, eps=0.3, generator=draws())
    assert (clean, adversarial) == (metrics["clean_accuracy"], metrics["adversarial_accuracy"])
    kept = metrics["history"][metrics["epoch"] - 1]
    assert (kept["clean"], kept["adversarial"]) == (clean, adversarial)
    assert kept["adversarial"] == max(row["adversarial"] for row in metrics["history"])


def test_validation_accuracies_against_a_plain_count(digits: Split) -> None:
    model = models.build(Architecture(name="cnn", input_shape=digits.shape, classes=10)).eval()
    some = digits[:777]
    x, y = to_float(some.images), some.labels
    x_adv = fgsm(model, x, y, eps=0.1, generator=draws())
    expected = [(model(images).argmax(1) == y).float().mean().item() for images in (x, x_adv)]
    assert accuracies(model.train(), some, fgsm, eps=0.1, generator=draws()) == pytest.approx(expected)


# Repeatable


@pytest.mark.parametrize("arch", ["cnn", "resnet11"])
def test_a_seed_repeats_a_run_bit_for_bit_whatever_the_global_stream(tiny: Split, arch: str) -> None:
    torch.manual_seed(1)
    first = short(tiny, arch=arch)
    torch.manual_seed(2)
    state = torch.random.get_rng_state()
    second = short(tiny, arch=arch)
    assert equal(first, second)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not equal(first, short(tiny, arch=arch, seed=1))


def test_limit_takes_training_images_alone_and_fewer_are_among_more(tiny: Split) -> None:
    _, validation = train_validation(tiny)
    few, _ = session._carve(tiny, 10)
    more, untouched = session._carve(tiny, 30)

    def rows(split: Split) -> set[tuple[int, ...]]:
        return {tuple(image.flatten().tolist()) for image in split.images}

    assert len(rows(few)) == 10
    assert rows(few) < rows(more)
    assert not rows(more) & rows(validation)
    assert rows(untouched) == rows(validation)


def test_test_images_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def spy(name: str, split: str, data_dir: Path | None) -> Split:
        asked.append((name, split))
        return load(name, split, data_dir)

    monkeypatch.setattr(session, "load", spy)
    training.train("digits", "clean", arch="cnn", epochs=1, limit=64)
    assert asked == [("digits", "train")]


# It works


@pytest.fixture(scope="module")
def trained(digits: Split) -> dict[str, Trained]:
    return {name: training.train(digits, name, arch="cnn", epochs=20) for name in ("clean", "both")}


def test_digits_are_learnt(trained: dict[str, Trained]) -> None:
    assert trained["clean"].header.metrics["clean_accuracy"] > 0.9
    assert trained["both"].header.metrics["clean_accuracy"] > 0.9


def test_adversarial_training_raises_adversarial_accuracy(trained: dict[str, Trained]) -> None:
    accuracy = {name: run.header.metrics["adversarial_accuracy"] for name, run in trained.items()}
    assert accuracy["both"] > accuracy["clean"] + 0.1


def test_the_card_holds_what_is_needed_to_repeat(trained: dict[str, Trained]) -> None:
    header = trained["both"].header
    assert header.dataset == "digits"
    assert header.threat_model.eps == 0.3
    assert header.recipe == {
        "name": "both",
        "clean_weight": 0.5,
        "examples": "fgsm",
        "validation": "fgsm",
        "keep_by": "adversarial",
        "epochs": 20,
        "batch_size": 128,
        "learning_rate": 1e-3,
        "limit": None,
        "train_images": 1294,
    }
    assert header.versions.keys() == {"advtool", "torch", "python"}
    assert len(header.metrics["history"]) == 20


# Files


class StopsAfter(Observer):
    def __init__(self, epochs: int) -> None:
        self.epochs = epochs
        self.saved_at: list[Path] = []

    def epoch(self, figures: Figures, *, kept: bool) -> None:
        if figures.epoch == self.epochs:
            raise KeyboardInterrupt

    def saved(self, path: Path) -> None:
        self.saved_at.append(path)


def test_an_interrupted_training_leaves_its_best_epoch(tiny: Split, tmp_path: Path) -> None:
    output, observer = tmp_path / "new" / "m.safetensors", StopsAfter(2)
    with pytest.raises(KeyboardInterrupt):
        short(tiny, epochs=5, output=output, observer=observer)
    partial = tmp_path / "new" / "m.partial.safetensors"
    assert list(output.parent.iterdir()) == [partial]
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
    for output, words in ((tmp_path / "file" / "m.safetensors", "cannot write"), (tmp_path, "is a folder")):
        with pytest.raises(InputError, match=words):
            training.train("no such data", "clean", output=output)


# Bad input


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"recipe": "bot"}, r"unknown recipe 'bot'.*'both'"),
        ({"arch": "lennet"}, r"unknown model 'lennet'.*'lenet'"),
        ({"arch": "lenet"}, r"8x8 pixels are too small.*12x12"),
        ({"epochs": 0}, r"--epochs 0.*1 or more"),
        ({"batch_size": 0}, r"--batch-size 0.*1 or more"),
        ({"learning_rate": 0.0}, r"--learning-rate 0.0.*positive"),
        ({"learning_rate": float("nan")}, r"--learning-rate nan.*positive"),
        ({"limit": 0}, r"--limit 0.*1\.\.36"),
        ({"limit": 37}, r"--limit 37.*1\.\.36"),
        ({"eps": 0.0}, r"--eps 0.0.*\(0, 1\]"),
        ({"eps": 8.0}, r"--eps 8.0.*\(0, 1\]"),
        ({"learning_rate": 1e30}, r"diverged.*epoch \d.*--learning-rate below 1e\+30"),
    ],
)
def test_bad_options_are_named_with_the_right_value(tiny: Split, options: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        short(tiny, **options)
