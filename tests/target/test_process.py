"""Settings of the process do not change the answer, and an evaluation puts them back."""

import json
import os
import random
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import advtool
from advtool.errors import InputError
from advtool.evaluation.observer import Observer
from advtool.target.arithmetic import cudnn_enabled, exact_arithmetic
from tests.support.models import NoisyInput, mlp
from tests.support.strange import SHAPE, document, evaluate, images, labels, numbers
from tests.support.strange_models import Net

ATTACKS = ("fgsm", "pgd", "spsa(steps=3)", "art:FastGradientMethod")


class MakesTensors(Net):
    """Makes tensors in its forward pass, and has a layer that depends on precision settings."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.convolution = nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Any:
        return self.model(self.convolution(x) * torch.ones(1, dtype=x.dtype, device=x.device))


X = images()
Y = labels(mlp(SHAPE), X)


def ask(model: nn.Module) -> Any:
    return document(evaluate(model, X, Y, attacks=ATTACKS))


@contextmanager
def setting(put: Callable[[Any], None], value: Any, usual: Any) -> Iterator[None]:
    put(value)
    try:
        yield
    finally:
        put(usual)


def matmul_precision(value: str) -> None:
    torch.backends.cuda.matmul.fp32_precision = value


def all_precision(value: str) -> None:
    torch.backends.fp32_precision = value


SETTINGS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "float64": lambda: setting(torch.set_default_dtype, torch.float64, torch.float32),
    "float16": lambda: setting(torch.set_default_dtype, torch.float16, torch.float32),
    "default device: cpu": lambda: setting(torch.set_default_device, "cpu", None),
    "default device: meta": lambda: setting(torch.set_default_device, "meta", None),
    "TF32": lambda: setting(torch.set_float32_matmul_precision, "medium", "highest"),
    "TF32, new": lambda: setting(matmul_precision, "tf32", "none"),
    "TF32, everywhere": lambda: setting(all_precision, "tf32", "none"),
    "deterministic": lambda: setting(torch.use_deterministic_algorithms, True, False),
    "no_grad": torch.no_grad,
    "inference mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "anomaly mode": lambda: torch.autograd.detect_anomaly(check_nan=True),
    "NumPy's errors": lambda: np.errstate(all="raise"),
    "warnings are errors": lambda: warnings.catch_warnings(action="error"),
    "little recursion": lambda: setting(sys.setrecursionlimit, 500, sys.getrecursionlimit()),
    "tracer": lambda: setting(sys.settrace, lambda *_: None, sys.gettrace()),
    "profiler": lambda: setting(sys.setprofile, lambda *_: None, None),
}


def settings_of_the_process() -> dict[str, Any]:
    backends = torch.backends
    return {
        "defaults": (torch.get_default_dtype(), torch.get_default_device()),
        "autograd": (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_anomaly_enabled()),
        "autocast": torch.is_autocast_enabled("cpu"),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "precision": (backends.fp32_precision, backends.cuda.matmul.fp32_precision, backends.mkldnn.fp32_precision),
        "cudnn": (backends.cudnn.enabled, backends.cudnn.benchmark, backends.cudnn.deterministic),
        "threads": torch.get_num_threads(),
        "python": (sys.getrecursionlimit(), sys.gettrace(), sys.getprofile(), sys.stdout, sys.stderr, Path.cwd()),
        "generators": (random.getstate(), repr(np.random.get_state()), torch.get_rng_state().tolist()),
        "numpy": np.geterr(),
        "warnings": list(warnings.filters),
        "environment": dict(os.environ),
    }


@pytest.fixture(scope="module")
def expected() -> Any:
    return ask(MakesTensors())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SETTINGS)
def test_settings_of_the_process_do_not_change_the_answer_and_are_put_back(name: str, expected: Any) -> None:
    model = MakesTensors()
    with SETTINGS[name]():
        before = settings_of_the_process()
        found = ask(model)
        assert settings_of_the_process() == before
    assert found == expected


@pytest.mark.filterwarnings("ignore")
def test_within_exact_arithmetic_a_gpu_too_repeats_its_products_in_float32() -> None:
    with setting(torch.set_float32_matmul_precision, "medium", "highest"), exact_arithmetic(torch.device("cpu")):
        within = settings_of_the_process()
    assert within["cudnn"] == (True, False, True), "enabled, the fastest algorithm is not looked for, deterministic"
    assert set(within["precision"]) == {"ieee"}
    assert not within["autocast"]
    with cudnn_enabled(False):
        assert not torch.backends.cudnn.enabled


def test_a_model_runs_under_the_users_default_dtype() -> None:
    class Double(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = mlp(SHAPE).double()

        def forward(self, x: Tensor) -> Any:
            return self.model(x) @ torch.eye(4)

    model = Double()
    with setting(torch.set_default_dtype, torch.float64, torch.float32):
        found = evaluate(model, X, Y)
    assert numbers(found) == numbers(evaluate(mlp(SHAPE), X, Y))


def test_two_threads_at_once_get_the_same_answer(expected: Any) -> None:
    answers: list[Any] = []
    models = [MakesTensors(), MakesTensors()]  # made here, because making a model draws from the global generators

    def answer() -> None:
        try:
            answers.append(ask(models.pop()))
        except BaseException as error:  # the assertion below shows it
            answers.append(error)

    threads = [threading.Thread(target=answer) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [expected, expected]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is CUDA here")
@pytest.mark.parametrize("device", ["cuda", "cuda:1", "mps", 3])
def test_an_absent_device_is_refused_in_one_line(device: Any) -> None:
    with pytest.raises(InputError, match="is not to be had here") as caught:
        evaluate(mlp(SHAPE), images(), torch.arange(12) % 4, device=device)
    assert "\n" not in str(caught.value)


MODEL = """
from torch import nn
class Prints(nn.Linear):
    def forward(self, x):
        print("from the model")
        return super().forward(x.flatten(1))
def make():
    return Prints(784, 10)
"""


@pytest.mark.slow
def test_what_a_model_prints_is_no_part_of_the_answer(advtool_command: Any) -> None:
    (advtool_command.folder / "file.py").write_text(MODEL)
    asked = ("file.py:make", "--dataset", "digits", "--images", "20", "--attack", "fgsm", "--format", "json")
    for command in (("eval", "--force", "--save-adversarial", "--run-dir", "run"), ("check", "--force")):
        done = advtool_command(command[0], *asked, *command[1:])
        json.loads(done.stdout)
        assert "from the model" in done.stderr
    done = advtool_command("score", "run", "file.py:make", "--format", "json")
    json.loads(done.stdout)


SCRIPT = """
import os, shutil, sys, tempfile, torch, advtool
from tests.support.models import mlp
folder = tempfile.mkdtemp(dir=sys.argv[1])
os.chdir(folder)
shutil.rmtree(folder)
x = torch.rand(12, 1, 4, 4, generator=torch.Generator().manual_seed(0))
print(advtool.evaluate(mlp(), x, mlp()(x).argmax(1), eps=0.05, attacks=["fgsm"]).clean.correct)
try:
    advtool.evaluate(mlp(), x, mlp()(x).argmax(1), eps=0.05, attacks=["fgsm"], run_dir="run")
except advtool.InputError as error:
    print(error)
"""


def test_home_a_temporary_folder_and_a_working_folder_are_not_needed(tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "HOME"}
    environment |= {"PYTHONPATH": str(Path(__file__).parents[2]), "TMPDIR": str(tmp_path / "nowhere")}
    command = [sys.executable, "-W", "error", "-c", SCRIPT, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    number, refusal = done.stdout.splitlines()
    assert number == "12"
    assert "cannot write 'run" in refusal


@pytest.mark.parametrize("name", [".manifest.json.xyz", ".model.safetensors.abc"])
def test_half_written_files_in_a_run_folder_do_no_harm(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("half")
    result = evaluate(mlp(SHAPE), X, Y, run_dir=tmp_path)
    assert document(evaluate(mlp(SHAPE), X, Y, run_dir=tmp_path)) == document(result)


def test_a_file_as_run_folder_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(InputError) as caught:
            evaluate(mlp(SHAPE), images(), torch.arange(12) % 4, run_dir=folder)
        assert "\n" not in str(caught.value)


class AttackBeginsError(Exception):
    pass


class StopsBeforeAttacks(Observer):
    """Stops before the first attack."""

    def start(self, stage: str, images: int) -> None:
        del images
        if stage != "clean":
            raise AttackBeginsError


class Counted(nn.Module):
    """Counts an image as one pass on its way forward, and as two on its way back."""

    passes: ClassVar[int] = 0

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Any:
        return self.model(_Count.apply(x))


class _Count(torch.autograd.Function):
    @staticmethod
    def forward(_ctx: Any, x: Tensor) -> Tensor:
        Counted.passes += len(x)
        return x.clone()

    @staticmethod
    def backward(_ctx: Any, gradient: Tensor) -> Tensor:
        Counted.passes += 2 * len(gradient)
        return gradient


class Drifts(Net):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Any:
        self.calls += 1
        return self.model(x) * (1 + self.calls / 10)


@pytest.mark.parametrize("attacks", [("pgd",), ("audit",)])
@pytest.mark.parametrize(
    ("build", "votes"),
    [
        (lambda: mlp(SHAPE), 1),
        (lambda: NoisyInput(mlp(SHAPE), 0.02), 20),
        (lambda: NoisyInput(mlp(SHAPE), 0.02, once_a_call=True), 20),
        (Drifts, 1),
    ],
)
def test_the_preflight_costs_at_most_ten_gradients_of_eight_images(
    build: Callable[[], nn.Module], votes: int, attacks: tuple[str, ...]
) -> None:
    """A gradient counts as three passes.

    Clean accuracy and the model's identity do not count, so neither do answers to 128 images and two gradients at 4.
    """
    x, gradient, stored = images(100), 3, 4
    identity = 128 + 2 * 4 * gradient
    Counted.passes = 0
    with pytest.raises(AttackBeginsError):
        advtool.evaluate(Counted(build()), x, labels(mlp(SHAPE), x), attacks=attacks, observer=StopsBeforeAttacks())
    clean = votes * len(x) * (1 if votes == 1 else 2)  # of a random model its single draws too
    assert 0 < Counted.passes - clean - identity - stored <= 10 * 8 * gradient
