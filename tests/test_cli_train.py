"""``advtool train`` and ``advtool show`` through the real command."""

import json
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from advtool import checkpoints, training

QUICK = ("--arch", "cnn", "--epochs", "2", "--limit", "128", "--device", "cpu")


def advtool(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "advtool", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])} | environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def refusal(folder: Path, *arguments: str) -> str:
    """The one line on stderr of a command that must end with exit code 2."""
    done = advtool(folder, *arguments)
    assert (done.returncode, done.stdout) == (2, ""), done
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def path(folder: Path) -> Path:
    done = advtool(folder, "train", "both", *QUICK)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "checkpoints/digits-cnn-both-s0.safetensors\n"
    assert re.search(r"epoch 2/2: loss \d\.\d+, clean \d+\.\d%, adversarial \d+\.\d%", done.stderr)
    return folder / done.stdout.strip()


def test_the_command_does_what_the_function_does_in_another_process(path: Path) -> None:
    header, tensors = checkpoints.read(path)
    threads = torch.get_num_threads()
    here = training.train("digits", "both", arch="cnn", epochs=2, limit=128)
    assert torch.get_num_threads() == threads
    assert all(torch.equal(tensors[name], tensor) for name, tensor in here.model.state_dict().items())
    assert here.header.recipe == header.recipe
    assert [path] == list(path.parent.iterdir())


def test_show_prints_a_card_of_80_columns_without_control_codes(path: Path) -> None:
    done = advtool(path.parent, "show", path.name, FORCE_COLOR="1", COLUMNS="200")
    assert (done.returncode, done.stderr) == (0, "")
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "\x1b" not in done.stdout
    for words in ("cnn, 1x28x28 images, 10 classes", "digits", "name both", "linf, eps 0.3", "kept"):
        assert words in done.stdout


def test_show_json_is_the_header(path: Path) -> None:
    done = advtool(path.parent, "show", path.name, "--format", "json")
    assert json.loads(done.stdout) == checkpoints.read_header(path).model_dump(mode="json", by_alias=True)


def test_damaged_files_are_told_in_one_line(path: Path, tmp_path: Path) -> None:
    (tmp_path / "short.safetensors").write_bytes(path.read_bytes()[:-100])
    (tmp_path / "foreign.safetensors").write_text("no checkpoint at all")
    (tmp_path / "model.pt").write_bytes(pickle.dumps({}, protocol=4))
    assert "damaged" in refusal(tmp_path, "show", "short.safetensors")
    assert "damaged" in refusal(tmp_path, "show", "foreign.safetensors")
    assert "pickle" in refusal(tmp_path, "show", "model.pt")
    assert "no such file" in refusal(tmp_path, "show", "none.safetensors")


def test_bad_options_are_told_in_one_line(tmp_path: Path) -> None:
    assert "did you mean 'both'" in refusal(tmp_path, "train", "boht")
    assert "did you mean 'lenet'" in refusal(tmp_path, "train", "clean", "--arch", "lennet")
    assert "did you mean 'digits'" in refusal(tmp_path, "train", "clean", "--dataset", "digitz")
    assert "--epochs 0" in refusal(tmp_path, "train", "clean", "--epochs", "0")
    assert "1..1294" in refusal(tmp_path, "train", "clean", "--limit", "2000")
    (tmp_path / "file").write_text("")
    assert "cannot write" in refusal(tmp_path, "train", "clean", "--output", "file/m.safetensors")


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_cuda_asked_for_and_absent(tmp_path: Path) -> None:
    assert "--device cuda" in refusal(tmp_path, "train", "clean", "--device", "cuda")


def test_ctrl_c_keeps_the_best_epoch_and_says_where(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "advtool", "train", "clean", "--arch", "cnn", "--epochs", "10000"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        partial = tmp_path / "checkpoints" / "digits-cnn-clean-s0.partial.safetensors"
        give_up = time.monotonic() + 120
        while not partial.exists() and time.monotonic() < give_up:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert "the best epoch so far is in 'checkpoints/digits-cnn-clean-s0.partial.safetensors'" in err
    assert "Traceback" not in err
    assert checkpoints.read_header(partial).metrics["epoch"] >= 1
