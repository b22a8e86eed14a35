"""Models in files (checkpoints, TorchScript, torch.export, ONNX) give the logits of the model that was saved."""

import io
import warnings
from contextlib import redirect_stdout
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.export import Dim

from advtool import checkpoints, models
from advtool.target.opening.batches import AnyBatch
from advtool.target.opening.opener import open_model
from advtool.target.opening.spec import ModelSpec
from advtool.threat import ThreatModel
from tests.support.opened import answer, cnn, images, refusal, says


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def script(model: nn.Module, path: str, *, freeze: bool = False, trace: bool = False) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = torch.jit.trace(model, images()) if trace else torch.jit.script(model)
        (torch.jit.freeze(made) if freeze else made).save(path)


def export(model: nn.Module, path: str, batch: Dim | None, count: int = 3, *rest: Tensor) -> None:
    sizes = ({0: batch}, *({} for _ in rest)) if batch else None
    torch.export.save(torch.export.export(model, (images(count), *rest), dynamic_shapes=sizes), path)


def input_gradient(model: nn.Module) -> Tensor:
    x = images().requires_grad_()
    (gradient,) = torch.autograd.grad(model(x).square().sum(), x)
    return gradient


def test_a_checkpoint_opens_with_its_header() -> None:
    architecture = checkpoints.Architecture(name="cnn", input_shape=(1, 12, 12), classes=3)
    model = models.build(architecture).eval()
    header = checkpoints.Header(
        architecture=architecture,
        dataset="digits",
        recipe={"name": "clean"},
        threat_model=ThreatModel(eps=0.1),
        seed=0,
        date=datetime(2026, 1, 1, tzinfo=UTC),
        versions={},
        metrics={},
    )
    checkpoints.write(Path("net.safetensors"), header, model.state_dict())
    opened = open_model(ModelSpec("net.safetensors"))
    x = torch.rand(4, 1, 12, 12)
    assert torch.equal(answer(opened, x), answer(model, x))
    assert opened.header == header
    assert opened.input_size == (12, 12)
    assert opened.description["spec"] == "net.safetensors"
    assert len(opened.description["sha256"]) == 64


def test_safetensors_without_a_header_and_damaged_ones_are_refused() -> None:
    save_file(cnn().state_dict(), "net.safetensors")
    says(refusal("net.safetensors"), "architecture is unknown", "--weights 'net.safetensors'")
    Path("half.safetensors").write_bytes(Path("net.safetensors").read_bytes()[:-10])
    says(refusal("half.safetensors"), "'half.safetensors' is damaged, truncated")
    says(refusal("net.safetensors", model_args={"width": 3}), "--model-args: 'net.safetensors' is a checkpoint")


@pytest.mark.parametrize("how", [{}, {"freeze": True}, {"trace": True}], ids=["scripted", "frozen", "traced"])
def test_torchscript_gives_the_models_logits_and_gradients(how: dict[str, bool]) -> None:
    model = cnn()
    script(model, "net.pt", **how)
    opened = open_model(ModelSpec("net.pt", mean=(0.5,), std=(0.25,)))
    assert torch.allclose(answer(opened), answer(model, (images() - 0.5) / 0.25), atol=1e-5)
    assert torch.allclose(input_gradient(opened.model), input_gradient(nn.Sequential(Shift(), model)), atol=1e-4)


class Shift(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x - 0.5) / 0.25


def test_files_of_other_writers_are_refused_without_being_loaded() -> None:
    torch.save(cnn().state_dict(), "state.pt")
    torch.save(cnn(), "whole.pth")
    torch.save(cnn().state_dict(), "old.pt", _use_new_zipfile_serialization=False)
    for name in ("state.pt", "whole.pth", "old.pt"):
        says(refusal(name), "name the model's factory, and give the file", f"--weights '{name}'")
    export(cnn(), "net.pt2", None)
    Path("net.pt2").rename("net.pt")
    says(refusal("net.pt"), "is a torch.export file: give it the name net.pt2")
    Path("text.pt").write_text("hello")
    says(refusal("text.pt"), "'text.pt' is damaged, or not a TorchScript file")
    script(cnn(), "broken.pt")
    content = bytearray(Path("broken.pt").read_bytes())
    start = content.index(b"code/")
    content[start : start + 400] = bytes(400)
    Path("broken.pt").write_bytes(content)
    says(refusal("broken.pt"), "broken.pt")


@pytest.mark.parametrize(
    ("batch", "count"),
    [(None, 3), (Dim("N"), 3), (Dim("N", min=2, max=3), 3), (Dim("N", min=4), 5)],
    ids=["fixed", "free", "2 to 3", "from 4"],
)
def test_an_exported_program_takes_batches_of_any_size(batch: Dim | None, count: int) -> None:
    model = cnn()
    export(model, "net.pt2", batch, count)
    opened = open_model(ModelSpec("net.pt2"))
    opened.model.eval().train().eval()
    for size in (1, 2, 3, 4, 7):
        assert torch.allclose(answer(opened, images(size)), answer(model, images(size)), atol=1e-5)
    assert torch.allclose(input_gradient(opened.model), input_gradient(model), atol=1e-4)
    assert opened.input_size == (8, 8)
    assert opened.notes == (
        () if batch else ("'net.pt2' was exported for batches of 3: other batches are split and filled up",)
    )


def test_damaged_exports_and_exports_that_are_not_classifiers_are_refused() -> None:
    class Two(nn.Module):
        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return x + y

    export(Two(), "two.pt2", None, 3, images(3))
    says(refusal("two.pt2"), "takes 2 tensors and gives 1")
    torch.export.save(torch.export.export(nn.Linear(3, 2), (torch.rand(4, 3),)), "flat.pt2")
    says(refusal("flat.pt2"), "does not take images (N, C, H, W)")
    Path("text.pt2").write_text("hello")
    says(refusal("text.pt2"), "'text.pt2' cannot be read as a program of torch.export")


def test_any_batch_calls_the_model_with_allowed_batch_sizes() -> None:
    asked: list[int] = []

    class Model(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            asked.append(len(x))
            return x.flatten(1)[:, :5]

    x = images(7)
    assert torch.equal(AnyBatch(Model(), 3, 3)(x), x.flatten(1)[:, :5])
    assert asked == [3, 3, 3]
    asked.clear()
    assert torch.equal(AnyBatch(Model(), 2, None)(x[:1]), x[:1].flatten(1)[:, :5])
    assert asked == [2]


@pytest.mark.parametrize("kind", [tuple, dict, list])
def test_an_export_of_one_batch_size_may_answer_with_more_than_a_tensor(kind: type) -> None:
    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = cnn()

        def forward(self, x: Tensor) -> Any:
            logits = self.net(x)
            return {"logits": logits} if kind is dict else kind([logits])

    model = Wrapped()
    export(model, "net.pt2", None)
    assert torch.allclose(answer(open_model(ModelSpec("net.pt2")), images(7)), answer(model.net), atol=1e-5)


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patches, self.head = nn.Conv2d(3, 16, 4, 4), nn.Linear(16, 5)
        layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, norm_first=True, activation="gelu")
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.encoder(self.patches(x).flatten(2).transpose(1, 2)).mean(1))
        return logits


class Resized(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.layer, self.head = nn.GroupNorm(1, 3), nn.Conv2d(3, 4, 3), nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.interpolate(self.norm(x), scale_factor=2.0, mode="bilinear")
        logits: Tensor = self.head(nn.functional.max_pool2d(self.layer(x), 2).mean((2, 3)))
        return logits


def export_onnx(model: nn.Module, path: str, *, opset: int, fixed: bool) -> None:
    sizes = None if fixed else ({0: Dim("N")},)
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model, (images(3),), path, dynamic_shapes=sizes, opset_version=opset, external_data=False, verbose=False
        )


@pytest.fixture
def _onnx() -> None:
    for package in ("onnx", "onnx2pytorch", "onnxscript"):
        pytest.importorskip(package, reason=f"{package} is not installed")


@pytest.mark.usefixtures("_onnx")
@pytest.mark.parametrize("fixed", [False, True], ids=["free", "fixed"])
@pytest.mark.parametrize("opset", [18, 20])
@pytest.mark.parametrize("kind", [cnn, Attention, Resized])
def test_onnx_gives_the_models_logits_and_gradients(kind: type[nn.Module], opset: int, fixed: bool) -> None:
    torch.manual_seed(0)
    model = kind().eval()
    export_onnx(model, "net.onnx", opset=opset, fixed=fixed)
    opened = open_model(ModelSpec("net.onnx"))
    for count in (1, 7):
        assert torch.allclose(answer(opened, images(count)), answer(model, images(count)), atol=1e-4)
    assert torch.allclose(input_gradient(opened.model), input_gradient(model), atol=1e-3)
    assert opened.input_size == (8, 8)
    assert bool(opened.notes) is fixed


@pytest.mark.usefixtures("_onnx")
def test_onnx_files_of_the_older_exporter_give_the_models_logits_and_gradients() -> None:
    """The exporter shares equal biases by Identity, and writes GroupNorm as InstanceNormalization."""

    class Old(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)
            self.norm, self.head = nn.GroupNorm(2, 4), nn.Linear(64, 5)
            nn.init.zeros_(self.first.bias)  # type: ignore[arg-type]
            nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

        def forward(self, x: Tensor) -> Tensor:
            logits: Tensor = self.head(self.norm(self.second(self.first(x).relu())).flatten(1))
            return logits

    model = Old().eval()
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (images(3),),
            "net.onnx",
            dynamo=False,
            opset_version=13,
            input_names=["x"],
            dynamic_axes={"x": {0: "N"}},
        )
    opened = open_model(ModelSpec("net.onnx"))
    assert torch.allclose(answer(opened), answer(model), atol=1e-4)
    assert torch.allclose(input_gradient(opened.model), input_gradient(model), atol=1e-3)


@pytest.mark.usefixtures("_onnx")
def test_a_conversion_with_other_logits_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import onnx2pytorch

    class Wrong(onnx2pytorch.ConvertModel):  # type: ignore[misc]
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + 0.01  # type: ignore[no-any-return]

    export_onnx(cnn(), "net.onnx", opset=18, fixed=False)
    monkeypatch.setattr(onnx2pytorch, "ConvertModel", Wrong)
    says(refusal("net.onnx"), "gives other logits than ONNX", "torch.export (.pt2)")


@pytest.mark.usefixtures("_onnx")
def test_an_onnx_batch_size_of_minus_one_is_any_size() -> None:
    import onnx

    model = cnn()
    export_onnx(model, "net.onnx", opset=18, fixed=False)
    graph = onnx.load("net.onnx")
    graph.graph.input[0].type.tensor_type.shape.dim[0].dim_value = -1
    onnx.save(graph, "net.onnx")
    opened = open_model(ModelSpec("net.onnx"))
    assert opened.notes == ()
    assert torch.allclose(answer(opened), answer(model), atol=1e-4)


@pytest.mark.usefixtures("_onnx")
def test_an_onnx_answer_that_is_no_array_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from onnx.reference import ReferenceEvaluator

    export_onnx(cnn(), "net.onnx", opset=18, fixed=False)
    monkeypatch.setattr(ReferenceEvaluator, "run", lambda *_: [None])  # what an optional output may be
    says(refusal("net.onnx"), "the conversion of 'net.onnx' cannot be checked: TypeError", "torch.export (.pt2)")


@pytest.mark.usefixtures("_onnx")
def test_damaged_onnx_files_are_refused() -> None:
    Path("text.onnx").write_text("hello")
    says(refusal("text.onnx"), "'text.onnx' cannot be read as ONNX")
    Path("empty.onnx").touch()
    says(refusal("empty.onnx"), "'empty.onnx'")


def test_without_the_extra_the_message_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.metadata

    def absent(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", absent)
    Path("net.onnx").touch()
    Path("folder").mkdir()
    Path("folder/config.json").write_text("{}")
    for model, extra in (("net.onnx", "onnx"), ("timm:resnet18", "timm"), ("hf:folder", "hf")):
        says(refusal(model), f"pip install 'advtool[{extra}]'")
