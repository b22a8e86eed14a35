"""A training that was stopped goes on, and ends as if nobody had stopped it."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from advtool import checkpoints, training
from advtool.checkpoints import Header
from advtool.data import Split
from advtool.errors import InputError
from advtool.ranks import Ranks
from advtool.results import Validated
from advtool.training import Observer, Trained, loop
from advtool.training.keeper import Keeper
from advtool.training.schedule import Updates
from tests.support.trainings import StopsAfter, equal, short

QUICK = {"arch": "cnn", "epochs": 3, "limit": 64, "batch_size": 16, "eps": 0.1}


class Listener(Observer):
    """Notes after how many epochs a training went on, and which epochs it did itself."""

    def __init__(self) -> None:
        self.before = 0
        self.own: list[int] = []
        self.finished_at: Path | None = None

    def resumed(self, header: Header, epochs: int) -> None:
        self.before = epochs

    def epoch(self, figures: training.Figures, *, kept: bool) -> None:
        self.own.append(figures.epoch)

    def nothing_left(self, output: Path) -> None:
        self.finished_at = output


def same(a: Trained, b: Trained) -> bool:
    """Whether weights and cards are equal, times aside."""

    def card(trained: Trained) -> dict[str, Any]:
        metrics = {**trained.header.metrics}
        metrics["history"] = [{**epoch, "seconds": None} for epoch in metrics["history"]]
        return {**trained.header.model_dump(exclude={"date"}), "metrics": metrics}

    return equal(a, b) and card(a) == card(b)


def stopped(train: Callable[..., Trained], *arguments: Any, after: int, **options: Any) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(*arguments, observer=StopsAfter(after + 1), **options)


@pytest.mark.parametrize(
    ("recipe", "options"),
    [
        ("clean", {"limit": 20}),
        ("both", {"arch": "resnet11", "epochs": 3, "limit": 20}),
        ("both", {"bias": "naive"}),
        ("apb", {"bias": "multimodal", "scenario": "adv"}),
        ("r+fgsm", {"eps": 0.2}),
        ("nfgsm", {"pnil": True, "pnil_at": ("conv2",), "eot": 2}),
        ("pgd", {"pgd_steps": 3}),
        ("ibp", {"arch": "cnn", "eps": 0.05}),
    ],
)
def test_it_ends_with_the_same_weights_bit_for_bit(
    tiny: Split, tmp_path: Path, recipe: str, options: dict[str, Any]
) -> None:
    options = {"epochs": 4, **options}
    whole = short(tiny, recipe, **options)
    output, listener = tmp_path / "m.safetensors", Listener()
    stopped(short, tiny, recipe, **options, output=output, after=2)
    torch.manual_seed(5)  # the streams belong to the epochs
    resumed = short(tiny, recipe, **options, output=output, resume=True, observer=listener)
    assert same(whole, resumed)
    assert (listener.before, listener.own) == (2, list(range(3, options["epochs"] + 1)))
    assert list(tmp_path.iterdir()) == [output]


def test_it_may_be_stopped_after_every_epoch_and_lie_among_fixed_examples(tiny: Split, tmp_path: Path) -> None:
    source, output = tmp_path / "source.safetensors", tmp_path / "m.safetensors"
    short(tiny, "clean", output=source)
    options = {"epochs": 4, "fixed_examples": source}
    whole = short(tiny, "adv", **options)
    for after in (1, 2, 3):
        stopped(short, tiny, "adv", **options, output=output, resume=True, after=after)
    assert same(whole, short(tiny, "adv", **options, output=output, resume=True))


def test_a_kill_between_checkpoint_and_clearing_up_costs_nothing(tiny: Split, tmp_path: Path) -> None:
    output, state, listener = tmp_path / "m.safetensors", tmp_path / "m.state.safetensors", Listener()

    class Keeps(Observer):
        def resumable(self, path: Path) -> None:
            path.with_name("copy").write_bytes(path.read_bytes())

    whole = short(tiny, output=output, observer=Keeps())
    (tmp_path / "copy").rename(state)
    assert same(whole, short(tiny, output=output, resume=True, observer=listener))
    assert (listener.before, listener.own) == (2, [])
    assert not state.exists()


def test_a_collapse_before_the_stop_ends_the_training_too(
    tiny: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fabricated(*args: object, **kwargs: object) -> Validated:
        one_step, pgd = next(figures)
        return Validated(clean=0.9, one_step=one_step, pgd=pgd, adversarial_loss=1.0)

    monkeypatch.setattr(loop, "measure", fabricated)
    monkeypatch.setattr(Keeper, "finish", Mock(side_effect=KeyboardInterrupt))
    options = {"epochs": 4, "stop_on_collapse": True, "output": tmp_path / "m.safetensors"}
    figures = iter([(0.5, 0.6), (0.6, 0.55), (0.9, 0.1)])
    with pytest.raises(KeyboardInterrupt):
        short(tiny, "nfgsm", **options)
    monkeypatch.undo()
    listener = Listener()
    trained = short(tiny, "nfgsm", **options, resume=True, observer=listener)
    assert (listener.before, listener.own) == (3, [])
    assert trained.header.metrics["collapse"]["epoch"] == 3


def test_where_clean_images_alone_train_a_fall_under_attack_is_no_collapse_after_a_stop_either(
    tiny: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = iter([(0.6, 0.55), (0.9, 0.1)])

    def fabricated(*args: object, **kwargs: object) -> Validated:
        one_step, pgd = next(figures)
        return Validated(clean=0.9, one_step=one_step, pgd=pgd, adversarial_loss=1.0)

    monkeypatch.setattr(loop, "measure", fabricated)
    monkeypatch.setattr(Keeper, "finish", Mock(side_effect=KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        short(tiny, "clean", output=tmp_path / "m.safetensors")
    monkeypatch.undo()
    trained = short(tiny, "clean", output=tmp_path / "m.safetensors", resume=True)
    assert len(trained.header.metrics["history"]) == 2
    assert "collapse" not in trained.header.metrics


@pytest.mark.parametrize("change", [{"seed": 1}, {"epochs": 5}, {"pnil": True}, {"eps": 0.2}])
def test_another_training_begins_at_its_beginning(tiny: Split, tmp_path: Path, change: dict[str, Any]) -> None:
    output, listener = tmp_path / "m.safetensors", Listener()
    stopped(short, tiny, "nfgsm", epochs=3, output=output, after=2)
    other = short(tiny, "nfgsm", **{"epochs": 3} | change, output=output, resume=True, observer=listener)
    assert listener.before == 0
    assert same(other, short(tiny, "nfgsm", **{"epochs": 3} | change))


def test_other_images_begin_at_the_beginning(tiny: Split, tmp_path: Path) -> None:
    output, listener = tmp_path / "m.safetensors", Listener()
    stopped(short, tiny, epochs=3, output=output, after=2)
    images = tiny.images.clone()
    images[-1, 0, 0, 0] ^= 1
    short(replace(tiny, images=images), epochs=3, output=output, resume=True, observer=listener)
    assert listener.before == 0


def test_without_being_asked_nothing_goes_on(tiny: Split, tmp_path: Path) -> None:
    output, listener = tmp_path / "m.safetensors", Listener()
    stopped(short, tiny, epochs=3, output=output, after=2)
    short(tiny, epochs=3, output=output, observer=listener)
    assert listener.before == 0


# By the name of the file


@pytest.fixture(scope="module")
def stopped_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a training leaves that is stopped after two epochs."""
    folder = tmp_path_factory.mktemp("stopped")
    stopped(training.train, "digits", "nfgsm", **QUICK, output=folder / "m.safetensors", after=2)
    return folder


@pytest.fixture
def state(stopped_folder: Path, tmp_path: Path) -> Path:
    """A copy of its state."""
    shutil.copytree(stopped_folder, tmp_path, dirs_exist_ok=True)
    return tmp_path / "m.state.safetensors"


@pytest.fixture(scope="module")
def whole() -> Trained:
    """The same training, never stopped."""
    return training.train("digits", "nfgsm", **QUICK)


@pytest.mark.parametrize("name", ["m.state.safetensors", "m.safetensors", "m.partial.safetensors"])
def test_the_file_alone_is_enough(state: Path, whole: Trained, name: str) -> None:
    listener = Listener()
    resumed = training.resume(state.with_name(name), observer=listener)
    assert same(resumed, whole)
    assert listener.before == 2
    again = training.resume(state.with_name(name), observer=listener)
    assert listener.finished_at == state.with_name("m.safetensors")
    assert equal(resumed, again)


def test_an_output_may_have_any_name(tmp_path: Path) -> None:
    stopped(training.train, "digits", "clean", **QUICK, output=tmp_path / "model.bin", after=1)
    training.resume(tmp_path / "model.bin.state")
    assert [path.name for path in tmp_path.iterdir()] == ["model.bin"]
    assert training.find_output(tmp_path / "model.bin.state") == tmp_path / "model.bin"


def test_the_best_epoch_so_far_is_no_finished_training(state: Path) -> None:
    partial = state.with_name("m.partial.safetensors")
    assert partial.is_file()
    state.unlink()
    assert not training.is_begun(partial)
    with pytest.raises(InputError, match="there is no state of a training"):
        training.resume(partial)


def test_the_sizes_of_an_architecture_are_settings_too(tiny: Split, tmp_path: Path) -> None:
    def trained(width: int, after: int | None = None, **options: Any) -> None:
        given = {"epochs": 2, "arch": "resnet11", "limit": 20, "arch_args": {"width": width}, **options}
        if after is None:
            short(tiny, "clean", **given)
        else:
            stopped(short, tiny, "clean", **given, after=after)

    output, listener = tmp_path / "m.safetensors", Listener()
    trained(4, output=output)
    with pytest.raises(InputError, match=r"--arch-args is \{'width': 4\} there and \{'width': 8\} here"):
        training.resume(output, arch_args={"width": 8})
    training.resume(output, arch_args={"width": 4}, arch="resnet11", epochs=2)
    trained(4, after=1, output=output)
    trained(8, output=output, resume=True, observer=listener)
    assert listener.before == 0
    assert checkpoints.read_header(output).architecture.sizes == {"width": 8}


def test_a_finished_training_judges_options_as_a_stopped_one(tiny: Split, tmp_path: Path) -> None:
    output = tmp_path / "m.safetensors"
    short(tiny, "both", epochs=1, bias="multimodal", memories=4, output=output)
    training.resume(output, memories=4, apb_eps=0.03)
    for given, words in (
        ({"memories": 5}, "--memories is 4 there and 5 here"),
        ({"foo": 3}, "unknown setting 'foo'"),
        ({"fixed_examples": tmp_path / "none"}, "no checkpoint at"),
    ):
        with pytest.raises(InputError, match=words):
            training.resume(output, **given)


def test_arguments_must_agree(state: Path) -> None:
    for given, words in (
        ({"epochs": 4}, "--epochs is 3 there and 4 here"),
        ({"seed": 1}, "--seed is 0 there and 1 here"),
        ({"recipe": "rfgsm"}, "RECIPE is nfgsm there and rfgsm here"),
        ({"pnil": True}, "--pnil is False there and True here"),
        ({"output": Path("other.safetensors")}, "leave out --output 'other.safetensors'"),
    ):
        with pytest.raises(InputError, match=words):
            training.resume(state, **given)
    listener = Listener()
    training.resume(state, data="digits", recipe="nfgsm", epochs=3, seed=0, output=state.with_name("m.safetensors"))
    assert listener.before == 0


def test_changed_images_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (40, 8, 8), dtype=torch.uint8, generator=generator).numpy()
    labels = (torch.arange(40) % 3).numpy()

    def write() -> None:
        np.savez("mine.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)

    monkeypatch.chdir(tmp_path)
    write()
    output = tmp_path / "m.safetensors"
    stopped(training.train, "mine.npz", "clean", arch="cnn", epochs=3, output=output, after=2)
    images[0, 0, 0] ^= 1
    write()
    with pytest.raises(
        InputError, match=r"^--resume '.*m\.safetensors' .* the images of '.*mine\.npz' are others now$"
    ):
        training.resume(output)
    images[0, 0, 0] ^= 1
    write()
    monkeypatch.chdir("/")
    training.resume(output)


def test_images_handed_over_are_for_whoever_has_them(tiny: Split, tmp_path: Path) -> None:
    stopped(short, tiny, epochs=3, output=tmp_path / "m.safetensors", after=2)
    with pytest.raises(InputError, match=r"handed over in Python.*train\(\.\.\., resume=True\)"):
        training.resume(tmp_path / "m.safetensors")


def test_damage_is_told_in_one_line(state: Path) -> None:
    whole = state.read_bytes()
    with safe_open(state, framework="pt") as file:
        metadata = file.metadata()
    tensors = load_file(state)
    document = json.loads(metadata["advtool.training"])
    assert document["beginning"]["arguments"]["data"] == "digits"

    def refused() -> str:
        with pytest.raises(InputError) as told:
            training.resume(state)
        assert "\n" not in str(told.value)
        return str(told.value)

    state.write_bytes(whole[:-7])
    assert "damaged" in refused()
    for place in (len(whole) // 2, len(whole) - 1):
        state.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert "checksum of its" in refused()
    save_file(tensors, state, metadata | {"advtool.training": metadata["advtool.training"].replace("0.1", "0.2")})
    assert "checksum of its" in refused()
    save_file(tensors, state)
    assert "is no state of a training" in refused()
    state.unlink()
    assert "there is no state of a training at" in refused()


def test_a_renamed_state_writes_nowhere_else(state: Path) -> None:
    other = state.rename(state.with_name("other.state.safetensors"))
    with pytest.raises(InputError, match=r"was renamed: call it 'm\.state\.safetensors' again"):
        training.resume(other)


# When it is over


def test_a_restart_after_the_end_takes_the_checkpoint_of_this_training(tiny: Split, tmp_path: Path) -> None:
    output, listener = tmp_path / "m.safetensors", Listener()
    whole = short(tiny, output=output)
    again = short(tiny, output=output, ranks=Ranks(restarts=1), observer=listener)
    assert same(whole, again)
    assert (listener.own, listener.finished_at) == ([], output)


@pytest.mark.parametrize("change", [{"seed": 1}, {"epochs": 3}, {"limit": 20}, {"arch": "resnet11"}])
def test_a_restart_does_not_take_the_checkpoint_of_another_training(
    tiny: Split, tmp_path: Path, change: dict[str, Any]
) -> None:
    output, listener = tmp_path / "m.safetensors", Listener()
    short(tiny, output=output)
    trained = short(tiny, **change, output=output, ranks=Ranks(restarts=1), observer=listener)
    assert same(trained, short(tiny, **change))
    assert listener.own[0] == 1


def test_a_restart_does_not_take_the_checkpoint_of_another_version_or_a_strangers(tiny: Split, tmp_path: Path) -> None:
    output, listener = tmp_path / "m.safetensors", Listener()
    short(tiny, output=output)
    header, tensors = checkpoints.read(output)
    for change in ({"versions": header.versions | {"torch": "1.0"}}, {"recipe": {}}):
        checkpoints.write(output, header.model_copy(update=change), tensors)
        listener.own.clear()
        short(tiny, output=output, ranks=Ranks(restarts=1), observer=listener)
        assert listener.own == [1, 2]


def test_the_observer_hears_of_the_end_while_a_restart_still_finds_the_state(tiny: Split, tmp_path: Path) -> None:
    class Looks(Observer):
        def finished(self, header: Header) -> None:
            found.extend(path.name for path in tmp_path.iterdir())

    found: list[str] = []
    short(tiny, output=tmp_path / "m.safetensors", observer=Looks())
    assert sorted(found) == [".m.safetensors.lock", "m.safetensors", "m.state.safetensors"]


def test_arguments_must_agree_with_a_training_that_is_over_too(tmp_path: Path) -> None:
    output, source, listener = tmp_path / "m.safetensors", tmp_path / "source.safetensors", Listener()
    training.train("digits", "clean", **QUICK | {"epochs": 1}, output=source)
    own = QUICK | {"epochs": 1, "fixed_examples": source, "precision": "auto"}
    training.train("digits", "adv", **own, output=output)
    for given, words in (
        ({"epochs": 4}, "--epochs is 1 there and 4 here"),
        ({"seed": 1}, "--seed is 0 there and 1 here"),
        ({"recipe": "clean"}, "RECIPE is adv there and clean here"),
        ({"recipe": "both"}, "RECIPE is adv there and both here"),
        ({"limit": 65}, "--limit is 64 there and 65 here"),
        ({"eps": 0.2}, "--eps is 0.1 there and 0.2 here"),
        ({"data": "mnist"}, "--dataset is digits there and mnist here"),
        ({"arch": "lenet"}, "--arch is cnn there and lenet here"),
        ({"fixed_examples": output}, "--fixed-examples-sha256 is .* there and .* here"),
        ({"output": Path("other.safetensors")}, "leave out --output 'other.safetensors'"),
    ):
        with pytest.raises(InputError, match=words):
            training.resume(output, **given)
    training.resume(output, data="digits", recipe="adv", seed=0, **own, output=output, observer=listener)
    assert listener.finished_at == output


# The updates


@pytest.mark.parametrize("schedule", ["cyclic", "falling"])
def test_the_learning_rate_goes_on_where_it_was(schedule: str) -> None:
    recipe = replace(training.recipe_for("mnist", "nfgsm"), schedule=schedule, epochs=2, batch_size=10)

    def stepped(updates: Updates, layer: torch.nn.Module, steps: int) -> list[float]:
        rates = []
        for _ in range(steps):
            updates.step((layer.weight**2).sum())
            rates.append(updates.learning_rate)
        return rates

    layer = torch.nn.Linear(2, 2)
    updates = loop.updates_of(layer, recipe, 70)
    stepped(updates, layer, 5)
    state, weights = updates.state(), {name: value.clone() for name, value in layer.state_dict().items()}
    copy = torch.nn.Linear(2, 2)
    copy.load_state_dict(weights)
    goes_on = loop.updates_of(copy, recipe, 70)
    goes_on.restore(state)
    assert goes_on.done == updates.done == 5 / 14
    assert stepped(goes_on, copy, 9) == stepped(updates, layer, 9)
    assert torch.equal(copy.weight, layer.weight)
