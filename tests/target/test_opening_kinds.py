"""The kinds of MODEL are told apart, and absent files are refused, before torch is imported."""

import subprocess
import sys
from pathlib import Path

import pytest

from advtool.errors import InputError
from advtool.target.opening.kinds import check_exists, refer


@pytest.mark.parametrize(
    ("model", "module", "name", "attribute"),
    [
        ("net.safetensors", "own_checkpoints", "net.safetensors", ""),
        ("a:b/net.PT", "torchscript_files", "a:b/net.PT", ""),
        (r"C:\models\net.pt2", "exported_programs", r"C:\models\net.pt2", ""),
        ("net.onnx", "onnx_files", "net.onnx", ""),
        ("torchvision:resnet18", "torchvision_models", "resnet18", ""),
        ("timm:vit_tiny_patch16_224.augreg", "timm_models", "vit_tiny_patch16_224.augreg", ""),
        ("hf:some/folder:2", "hf_folders", "some/folder:2", ""),
        ("package.module:Class.method", "python_factories", "package.module", "Class.method"),
        ("a:b/net.py:make", "python_factories", "a:b/net.py", "make"),
        (r"C:\models\net.py:make", "python_factories", r"C:\models\net.py", "make"),
        ("torchvision.models:resnet18", "python_factories", "torchvision.models", "resnet18"),
    ],
)
def test_a_model_is_of_the_kind_that_it_is_written_as(model: str, module: str, name: str, attribute: str) -> None:
    reference = refer(model)
    assert (reference.kind.module, reference.name, reference.attribute) == (module, name, attribute)


@pytest.mark.parametrize(
    ("model", "advice"),
    [
        ("resnet18", "did you mean 'torchvision:resnet18'?"),
        ("torchvison:resnet18", "did you mean 'torchvision'?"),
        ("torchvision:", "write 'torchvision:NAME'"),
        ("net.py", "name the factory, 'net.py:NAME'"),
        ("net.py:", "name the factory, 'net.py:NAME'"),
        ("net.py:make()", "write 'net.py:make' without brackets; --model-args"),
        ("net.py:make-it", "'make-it' cannot be a name in Python"),
        ("some/net:make", "'some/net' is neither FILE.py nor the name of a module"),
        ("package.module.factory", "'package.module:factory'"),
        ("https://example.org/net", "is an address: download the file first"),
        ("", "is empty"),
        (r"C:\models\net", "does not exist"),
        ("missing.pt", "there is no file 'missing.pt'"),
        ("missing.py:make", "there is no file 'missing.py'"),
        ("hf:google/vit", "advtool downloads nothing from the hub"),
        ("folder", "is a folder: a folder that transformers saved is 'hf:folder'"),
        ("folder/", "is a folder"),
        ("folder.pt", "is a folder, not a TorchScript file"),
        ("weights.ckpt", "if it holds weights, name the model's factory and give it with --weights 'weights.ckpt'"),
        ("weigths.pt", "did you mean 'weights.pt'?"),
    ],
)
def test_a_model_that_cannot_be_opened_gets_advice(
    model: str, advice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("folder", "folder.pt"):
        Path(folder).mkdir()
    for file in ("weights.ckpt", "weights.pt"):
        Path(file).touch()
    with pytest.raises(InputError) as refused:
        check_exists(refer(model))
    assert advice in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("model", "weights", "advice"),
    [
        ("torchvision:resnet18", "missing.pt", "no such file"),
        ("torchvision:resnet18", "default", "did you mean DEFAULT?"),
        ("torchvision:resnet18", ".", "is a folder"),
        ("torchvision:resnet18", "/dev/null", "'/dev/null' is no regular file"),
        ("net.py:make", "DEFAULT", "--weights DEFAULT is for torchvision: and timm: models"),
        ("net.pt", "net.py", "'net.pt' is a TorchScript file and holds its weights already"),
        ("net.safetensors", "net.py", "holds its weights already"),
    ],
)
def test_absent_and_unwanted_weights_are_refused(
    model: str, weights: str, advice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for file in ("net.py", "net.pt", "net.safetensors"):
        Path(file).touch()
    with pytest.raises(InputError) as refused:
        check_exists(refer(model), weights)
    assert advice in str(refused.value)


def test_existing_files_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.py").touch()
    for model, weights in (("net.py:make", "net.py"), ("net:make", None), ("torchvision:resnet18", "DEFAULT")):
        check_exists(refer(model), weights)


def test_neither_torch_nor_pydantic_is_imported() -> None:
    code = (
        "import sys; from advtool.target.opening.kinds import check_exists, refer\n"
        "try: check_exists(refer('missing.pt'))\n"
        "except Exception as error: print(type(error).__name__)\n"
        "print({'torch', 'pydantic', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "InputError\nset()\n"
