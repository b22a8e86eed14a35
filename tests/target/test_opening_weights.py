"""``--weights``: wrappers and prefixes do not matter, and every missing or surplus tensor is refused or noted."""

from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file, save_model
from torch import Tensor, nn

from advtool.errors import InputError
from advtool.target.opening.normalise import Normalise
from advtool.target.opening.opener import open_model
from advtool.target.opening.spec import ModelSpec
from advtool.target.opening.weights import load_into
from tests.support.opened import CNN_SOURCE, answer, cnn, images, refusal, says, write

PREFIXES = st.lists(st.sampled_from(["module", "_orig_mod", "model", "net", "encoder", "0", "1"]), max_size=3)


def put(model: nn.Module, content: Any, path: Path) -> tuple[str, ...]:
    torch.save(content, path)
    return load_into(model, path)


def prefixed(state: dict[str, Any], parts: list[str]) -> dict[str, Any]:
    return {".".join([*parts, key]): value for key, value in state.items()}


def wrapped(model: nn.Module, parts: list[str]) -> nn.Module:
    for part in reversed(parts):
        outer = nn.Module()
        outer.add_module(part, model)
        model = outer
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights")


@given(of_file=PREFIXES, of_model=PREFIXES, wrappers=st.lists(st.sampled_from(["state_dict", "net", "x"]), max_size=2))
@settings(max_examples=60)
def test_prefixes_and_wrappers_do_not_matter(
    folder: Path, of_file: list[str], of_model: list[str], wrappers: list[str]
) -> None:
    trained = cnn()
    content: dict[str, Any] = prefixed(trained.state_dict(), of_file)
    for key in wrappers:
        content = {"epoch": 3, "best": torch.tensor(0.5), key: content, "optimizer": {"state": {0: torch.rand(2)}}}
    fresh = cnn()
    put(wrapped(fresh, of_model), content, folder / "weights.pt")
    assert torch.equal(answer(fresh), answer(trained))


@given(st.data())
@settings(max_examples=40)
def test_a_missing_or_renamed_tensor_is_refused(folder: Path, data: st.DataObject) -> None:
    state = cnn().state_dict()
    key = data.draw(st.sampled_from(sorted(state)))
    tensor = state.pop(key)
    if data.draw(st.booleans()):
        state[f"other.{key}"] = tensor
    elif key.endswith("num_batches_tracked"):
        return
    with pytest.raises(InputError, match="does not fit the model"):
        put(cnn(), state, folder / "weights.pt")


def test_the_description_names_the_file_of_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("net.py"), CNN_SOURCE)
    trained = cnn()
    save_file(trained.state_dict(), "weights.safetensors")
    opened = open_model(ModelSpec("net.py:cnn", weights="weights.safetensors"))
    assert torch.equal(answer(opened), answer(trained))
    assert opened.description["weights"]["path"] == "weights.safetensors"
    assert len(opened.description["weights"]["sha256"]) == 64
    assert opened.notes == ()


def test_the_right_prefix_is_found_where_layers_repeat_themselves(tmp_path: Path) -> None:
    """All shapes and all ends of keys are equal, so only the right renaming fits all keys."""

    def deep() -> nn.Module:
        block = lambda: nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)))  # noqa: E731
        return nn.Sequential(block(), block(), nn.Sequential(block(), block()))

    trained, fresh, x = deep(), deep(), torch.rand(3, 4)
    put(fresh, prefixed(trained.state_dict(), ["1", "0"]), tmp_path / "weights.pt")
    assert torch.equal(answer(fresh, x), answer(trained, x))


def test_wrappers_in_the_middle_of_names_do_not_matter(tmp_path: Path) -> None:
    """DataParallel around a part, as in torchvision's AlexNet, and torch.compile around a part give such names."""
    trained, fresh = cnn(), cnn()
    state = {key.replace("0.", "0._orig_mod.").replace("4.", "4.module."): v for key, v in trained.state_dict().items()}
    put(fresh, state, tmp_path / "weights.pt")
    assert torch.equal(answer(fresh), answer(trained))


def test_a_file_that_does_not_fit_is_refused_with_names_and_numbers(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    extra = {f"head{number}.weight": torch.rand(2) for number in range(5)}
    for content, parts in (
        ({**cnn().state_dict(), **extra}, ["5 of the file's 14 have no place in it", "'head0.weight'", "..."]),
        (
            {**prefixed(cnn().state_dict(), ["model"]), "loss.weight": torch.rand(2)},
            [
                "model: 1 of the file's 10 have no place in it ('loss.weight'); the others fit: if the surplus is",
                "without it, torch.save({key: state[key] for key in state if key.startswith('model.')}, FILE)",
            ],
        ),
        ({**cnn().state_dict(), **prefixed(cnn().state_dict(), ["teacher"])}, ["9 of the file's 18", "'teacher.0"]),
        ({**cnn().state_dict(), "loss.weight": torch.rand(2)}, ["no part of the network, save the file without it"]),
        (nn.Linear(3, 2).state_dict(), ["8 of the model's 9 tensors are missing", "2 of the file's 2"]),
        (cnn(6).state_dict(), ["tensor(s) have another shape", "'0.weight' is (6, 3, 3, 3), the model's (4, 3, 3, 3)"]),
        ([1, 2], ["holds no state dict"]),
        ({}, ["holds no state dict"]),
        ({"epoch": 3}, ["holds no state dict"]),
    ):
        with pytest.raises(InputError) as refused:
            put(cnn(), content, path)
        says(str(refused.value), *parts, "weights.pt")
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize("wrapper", ["", "_orig_mod."])
def test_the_advice_about_a_lightning_checkpoint_makes_a_file_that_fits(tmp_path: Path, wrapper: str) -> None:
    trained, fresh, path = cnn(), cnn(), tmp_path / "lightning.ckpt"
    state = {f"model.{wrapper}{key}": value for key, value in trained.state_dict().items()}
    state["loss.weight"] = torch.rand(5)
    with pytest.raises(InputError, match="no place in it") as refused:
        put(fresh, {"state_dict": state, "epoch": 3}, path)
    advice = str(refused.value).partition("without it, ")[2]
    exec(advice, {"torch": torch, "state": state, "FILE": path})
    load_into(fresh, path)
    assert torch.equal(answer(fresh), answer(trained))


def test_files_that_can_run_code_and_damaged_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("net.py"), CNN_SOURCE)
    whole, arguments = Path("whole.pt"), Path("arguments.pt")
    torch.save(cnn(), whole)
    torch.save({"state_dict": cnn().state_dict(), "args": Namespace(lr=1)}, arguments)
    for path, named in ((whole, "torch.nn.modules.container.Sequential"), (arguments, "argparse.Namespace")):
        line = refusal("net.py:cnn", weights=str(path))
        says(line, f"'{path}' is a pickle that can run any code (it names {named})", "torch.save(model.state_dict()")
    Path("text.pt").write_text("no weights")
    Path("half.pt").write_bytes(whole.read_bytes()[:500])
    save_file(cnn().state_dict(), "whole.safetensors")
    Path("half.safetensors").write_bytes(Path("whole.safetensors").read_bytes()[:-100])
    Path("empty.pt").touch()
    for name in ("text.pt", "half.pt", "half.safetensors", "empty.pt"):
        says(refusal("net.py:cnn", weights=name), f"'{name}' is damaged")
    with pytest.warns(FutureWarning):
        torch.jit.script(cnn()).save("scripted.pt")
    says(refusal("net.py:cnn", weights="scripted.pt"), "is a TorchScript model", "give it as MODEL")


def test_tied_weights_may_be_in_the_file_once(tmp_path: Path) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Linear(192, 192), nn.Linear(192, 192)
            self.two.weight = self.one.weight

        def forward(self, x: Tensor) -> Tensor:
            return self.two(self.one(x.flatten(1)).relu())  # type: ignore[no-any-return]

    trained, fresh, path = Tied(), Tied(), tmp_path / "tied.safetensors"
    save_model(trained, str(path))
    assert load_into(fresh, path) == ()
    assert torch.equal(answer(fresh), answer(trained))


def test_a_normalisations_constants_may_be_missing_and_a_note_says_so(tmp_path: Path) -> None:
    class Stored(Normalise):
        def __init__(self) -> None:
            super().__init__([0.5], [0.2])
            self._non_persistent_buffers_set.clear()

    trained, whole = cnn(), nn.Sequential(Stored(), cnn())
    (note,) = put(whole, trained.state_dict(), tmp_path / "weights.pt")
    says(note, "lacks '0.mean', '0.std': as the factory made them")
    assert torch.equal(answer(whole), answer(trained, (images() - 0.5) / 0.2))


def test_the_weights_are_taken_and_a_note_names_the_moving_average(tmp_path: Path) -> None:
    average, trained, fresh = cnn(), cnn(), cnn()
    content = {"ema": average.state_dict(), "model": trained.state_dict()}
    (note,) = put(fresh, content, tmp_path / "weights.pt")
    says(note, "its 'model' is taken; 'ema' would fit as well")
    assert torch.equal(answer(fresh), answer(trained))


def test_half_precision_and_the_older_weight_norm_are_loaded(tmp_path: Path) -> None:
    half = {key: value.half() if value.is_floating_point() else value for key, value in cnn().state_dict().items()}
    fresh = cnn()
    put(fresh, half, tmp_path / "half.pt")
    assert torch.equal(fresh[0].weight, half["0.weight"].float())
    normed = nn.utils.parametrizations.weight_norm(nn.Linear(4, 3))
    g, v = normed.parametrizations.weight.original0, normed.parametrizations.weight.original1  # type: ignore[union-attr]
    old = {"bias": normed.bias, "weight_g": 2 * g, "weight_v": v}
    put(other := nn.utils.parametrizations.weight_norm(nn.Linear(4, 3)), old, tmp_path / "normed.pt")
    assert torch.allclose(other.weight, 2 * normed.weight)
