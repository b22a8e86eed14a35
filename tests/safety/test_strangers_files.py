"""Bombs, links, pipes and names: what a stranger may put where advtool reads, and what comes of it."""

import io
import json
import os
import pickle
import re
import shutil
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import advtool
from advtool import checkpoints, documents, files, tensor_files
from advtool.cli import app
from advtool.data import archive_file, load
from advtool.errors import InputError
from advtool.evaluation import examples
from advtool.evaluation.finished import read_finished
from advtool.report import FORMATS
from advtool.report.page import render
from advtool.studies.listing import list_runs
from advtool.studies.page import read_page
from advtool.target.opening import weight_files
from tests.support.models import mlp
from tests.support.runs import labelled, rewrite

EVIL = "\x1b[31mred[/bold]<script>alert(1)</script>"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    evaluate(folder)
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished, tmp_path / "run")


def evaluate(folder: Path) -> Any:
    x, y = labelled(mlp(), 12)
    return advtool.evaluate(mlp(), x, y, eps=0.05, attacks=["fgsm"], run_dir=folder)


def png_of(width: int, height: int) -> bytes:
    """A PNG whose header tells of so many pixels, and that holds none."""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    parts = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def pictures(folder: Path, content: bytes) -> Path:
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        (folder / name / "1.png").write_bytes(content)
    return folder


def npz(path: Path, header: str, content: bytes = b"", **options: Any) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        told = header.encode() + b"\n"
        archive.writestr("x_test.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(told)) + told + content)
        archive.writestr("y_test.npy", _npy(np.zeros(2, np.int64)))
    return path


def _npy(array: Any) -> bytes:
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


@pytest.mark.parametrize(("width", "height"), [(100_000, 100_000), (10_001, 10_000), (2**31 - 1, 1)])
def test_a_huge_image_is_refused_by_its_header(width: int, height: int, tmp_path: Path, capfd: Any) -> None:
    with pytest.raises(InputError, match="more than 100,000,000 pixels"):
        load(pictures(tmp_path / "p", png_of(width, height)), "test", input_size=8)
    assert capfd.readouterr() == ("", "")


def test_a_narrow_image_is_refused_before_it_is_resized(tmp_path: Path) -> None:
    content = io.BytesIO()
    Image.new("L", (60_000, 1)).save(content, "PNG")
    with pytest.raises(InputError, match=r"1\.png': an image of 60000x1 pixels would be .* its sides differ too much"):
        load(pictures(tmp_path / "p", content.getvalue()), "test", input_size=224)


def test_a_pipe_that_is_called_an_image_is_no_image(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "p", b"")
    (folder / "a" / "1.png").unlink()
    os.mkfifo(folder / "a" / "1.png")
    with pytest.raises(InputError, match="no regular file"):
        load(folder, "test")


@pytest.mark.parametrize("shape", ["(1000000000000,)", "(3, 9999999999, 9999999999)", "(-1,)", "(2, 8, 8)"])
def test_an_array_that_lies_about_its_size_takes_no_memory(shape: str, tmp_path: Path) -> None:
    path = npz(tmp_path / "m.npz", f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}}}", b"\0" * 5)
    with pytest.raises(InputError, match=r"damaged .*not as large as its shape"):
        load(path, "test")


def test_an_archive_of_zeros_is_a_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_file, "BOMB_BYTES", 2**20)
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': (2, 1, {2**24}, 1)}}"
    path = npz(tmp_path / "m.npz", header, bytes(2**25))
    with pytest.raises(InputError, match=r"unpacks to 0\.0 GiB, more than 100 times its size"):
        load(path, "test")


def test_python_objects_in_an_archive_are_not_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "m.npz", x_test=np.array([Trap(tmp_path)], dtype=object), y_test=np.zeros(1, int))
    with pytest.raises(InputError, match="holds Python objects, and reading them can run any code"):
        load(tmp_path / "m.npz", "test")
    assert not (tmp_path / "sprung").exists()


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.folder / "sprung"),)


def test_weights_are_read_without_running_code(tmp_path: Path) -> None:
    torch.save({"a": Trap(tmp_path)}, tmp_path / "zip.pt")
    torch.save({"a": Trap(tmp_path)}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    (tmp_path / "bare.pt").write_bytes(pickle.dumps(Trap(tmp_path), protocol=2))
    with tarfile.open(tmp_path / "tar.pt", "w") as archive:  # torch up to 2.5 unpickles what is in it
        archive.add(tmp_path / "bare.pt", "pickle")
    for name in ("zip", "old", "bare", "tar"):
        with pytest.raises(InputError, match=rf"{name}\.pt' is (a pickle that can run any code|damaged)"):
            weight_files.read(tmp_path / f"{name}.pt")
    assert not (tmp_path / "sprung").exists()


def test_a_checkpoint_cannot_ask_for_more_memory_than_its_file_has(tmp_path: Path, digits_checkpoint: Path) -> None:
    header, tensors = checkpoints.read(digits_checkpoint)
    huge = header.architecture.model_copy(update={"input_shape": (1, 16_000, 16_000)})
    checkpoints.write(tmp_path / "m.safetensors", header.model_copy(update={"architecture": huge}), tensors)
    with pytest.raises(InputError, match=r"the tensor '.*' is of shape"):
        advtool.load_checkpoint(tmp_path / "m.safetensors")


def test_damage_to_a_checkpoint_is_seen(tmp_path: Path, digits_checkpoint: Path) -> None:
    path = tmp_path / "m.safetensors"
    checkpoints.write(path, *checkpoints.read(digits_checkpoint))
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="the checksum of its tensors differs"):
        advtool.load_checkpoint(path)
    path.write_bytes(bytes(content).replace(b"digits", b"digots"))
    with pytest.raises(InputError, match="the checksum of its header differs"):
        checkpoints.read_header(path)
    assert tensor_files.read_texts(digits_checkpoint), "older files have no checksum"


@pytest.mark.parametrize("name", ["shards", "result.json", "shown", ".lock", "command.json", "images.jsonl"])
def test_nothing_is_written_through_a_link_in_a_run(name: str, run: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    if (run / name).is_dir():
        shutil.move(run / name, outside)
    else:
        outside.write_text("precious")
        (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(outside)
    (run / "inspection.json").unlink()
    before = sorted(outside.iterdir()) if outside.is_dir() else outside.read_text()
    with pytest.raises(InputError, match=f"{name}' is a link, and nothing is written through it"):
        evaluate(run)
    assert before == (sorted(outside.iterdir()) if outside.is_dir() else outside.read_text())


@pytest.mark.parametrize(
    "name", ["manifest.json", "result.json", "command.json", "inspection.json", "shards/1-fgsm-0000.json"]
)
@pytest.mark.parametrize("kind", ["pipe", "device", "large"])
def test_no_file_of_a_run_is_read_without_end(name: str, kind: str, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MOST_BYTES", 2**16)
    (run / name).unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(run / name)
    elif kind == "device":
        (run / name).symlink_to("/dev/zero")
    else:
        with (run / name).open("wb") as file:
            file.truncate(10 * 2**30)  # a sparse file
    assert len(list_runs(run.parent).runs) == 1
    if name not in {"command.json", "inspection.json"}:
        with pytest.raises(InputError, match=r"damaged|not finished|holds no run"):
            read_finished(run)
    if kind != "large":
        with pytest.raises(InputError, match=r"nothing is written through it|is damaged|is not a run"):
            evaluate(run)


@pytest.mark.parametrize(
    "header",
    ["{'descr': (", "{'descr': '|u1', 'fortran_order': False, 'shape': (2L, 8, 8), }", "[1]", "{'descr': [[]]}"],
)
def test_a_header_that_numpy_cannot_parse_is_damage(header: str, tmp_path: Path) -> None:
    """The fuzz test found the first two."""
    with pytest.raises(InputError, match="is damaged"):
        load(npz(tmp_path / "m.npz", header), "test")


def test_what_pillow_logs_does_not_reach_the_user(tmp_path: Path, capfd: Any) -> None:
    """The fuzz test found it: 64 samples a pixel."""
    content = io.BytesIO()
    Image.new("RGB", (8, 8)).save(content, "TIFF")
    samples = b"\x15\x01\x03\x00\x01\x00\x00\x00"
    assert samples in content.getvalue()
    folder = pictures(tmp_path / "p", content.getvalue().replace(samples + b"\x03", samples + b"\x40"))
    with pytest.raises(InputError, match="cannot read the image"):
        load(folder, "test")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("part", "key", "value"), [("facts", "bytes_an_image", 0), ("environment", "images_a_pass", -1)]
)
def test_a_manifest_with_impossible_sizes_is_damaged(part: str, key: str, value: int, run: Path) -> None:
    """The fuzz test found the first."""
    manifest = json.loads((run / "manifest.json").read_text())
    manifest[part][key] = value
    rewrite(run / "manifest.json", manifest)
    with pytest.raises(InputError, match=r"its manifest\.json is damaged"):
        evaluate(run)


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"a":' * 100_000, "[" * 200 + "]" * 200, "NaN", "[1e999]", f"[{'9' * 5000}]",
     f"[{2**63}]", '"\\ud800"',
     '{"\\udfff": 1}', b"\xff\xfe", ""],
    ids=repr,
)  # fmt: skip
def test_json_out_of_bounds_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        documents.parse(text)


def test_json_within_bounds_is_as_json_reads_it() -> None:
    text = '{"a": [1, -2.5, null, true, "\\u00e9\\ud83d\\ude00", {}], "b": ' + "[" * 50 + "]" * 50 + "}"
    assert documents.parse(text) == json.loads(text)


def test_damage_to_a_document_of_a_run_is_seen(run: Path) -> None:
    text = (run / "result.json").read_text()
    (run / "result.json").write_text(text.replace('"eps": 0.05', '"eps": 0.04'))
    with pytest.raises(InputError, match=r"its result\.json is damaged"):
        read_finished(run)
    shutil.rmtree(run / documents.SEALS)
    assert read_finished(run), "older versions wrote no seals"


def test_a_large_document_that_is_there_is_not_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So a finished run is shown from where nobody may write, whatever its number of images."""
    monkeypatch.setattr(documents, "MOST_BYTES", 100)
    documents.write(tmp_path, "images.jsonl", "a" * 1000)
    written = (tmp_path / "images.jsonl").stat().st_ino
    documents.write(tmp_path, "images.jsonl", "a" * 1000)
    assert (tmp_path / "images.jsonl").stat().st_ino == written
    for other in ("b" * 1000, "a" * 999):
        documents.write(tmp_path, "images.jsonl", other)
        assert (tmp_path / "images.jsonl").read_text() == other


def test_a_shard_of_another_place_is_damaged(run: Path) -> None:
    shutil.copy(run / "shards" / "0-clean-0000.json", run / "shards" / "1-fgsm-0000.json")
    with pytest.raises(InputError, match=r"shard 1-fgsm-0000\.json is damaged"):
        read_finished(run)
    assert evaluate(run).attacks[0].name == "fgsm"
    assert read_finished(run)


def test_an_example_of_an_image_that_the_run_lacks_is_refused(run: Path) -> None:
    path = next((run / "shown").iterdir())
    kept = examples.read(path)
    for place, words in ((12, "images that run"), (-1, "are negative")):
        examples.write(path, kept._replace(places=torch.full_like(kept.places, place)))
        with pytest.raises(InputError, match=words):
            read_page(run)


@pytest.mark.parametrize("format", ["table", "csv", "markdown", "json", "jsonl"])
def test_names_of_strangers_are_text_everywhere(format: str, run: Path) -> None:
    result = json.loads((run / "result.json").read_text())
    result["dataset"] |= {"name": EVIL, "classes": [EVIL, "=1+1", "b", "c"]}
    rewrite(run / "result.json", result)
    shown = FORMATS[format](read_finished(run).result)
    assert "\x1b" not in shown
    assert format != "markdown" or "<script>" not in shown.replace("\\<script>", "")


def test_names_of_strangers_are_text_on_the_page(run: Path) -> None:
    result = json.loads((run / "result.json").read_text())
    result["dataset"] |= {"name": EVIL, "classes": [EVIL, "=1+1", "b", "c"]}
    rewrite(run / "result.json", result)
    page = render(read_page(run))
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"spec": "net.py:make"}, "net.py:make"),
        ({"spec": "net.pt"}, "net.pt"),
        (
            {"spec": "torchvision:resnet18", "arguments": {"num_classes": 3}, "mean": [0.5], "std": [0.25]},
            "torchvision:resnet18 --model-args '{\"num_classes\": 3}' --mean 0.5 --std 0.25",
        ),
    ],
)
def test_a_score_runs_no_code_that_the_run_names(
    told: dict[str, Any], words: str, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run.parent)
    Path("net.py").write_text("import os; os.mkdir('sprung')")
    result = json.loads((run / "result.json").read_text())
    rewrite(run / "result.json", result | {"model": told})
    with pytest.raises(InputError, match=re.escape(f"if you trust it: advtool score run {words}")):
        app(["score", "run"], standalone_mode=False)
    assert not Path("sprung").exists()


@pytest.mark.parametrize("told", [{"spec": 3}, {"spec": "a.onnx", "weights": {}}, {"spec": "a.onnx", "mean": "0"}])
def test_a_run_that_tells_nonsense_of_its_model_is_damaged(told: dict[str, Any], run: Path) -> None:
    result = json.loads((run / "result.json").read_text())
    rewrite(run / "result.json", result | {"model": told})
    with pytest.raises(InputError, match="what it tells of its model is damaged: name its model as MODEL"):
        app(["score", str(run)], standalone_mode=False)


def test_links_are_found_at_every_depth(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    files.refuse_links(tmp_path)
    (tmp_path / "a" / "b" / "c").symlink_to("/")
    with pytest.raises(InputError, match="c' is a link"):
        files.refuse_links(tmp_path)
    files.refuse_links(tmp_path, "other")
