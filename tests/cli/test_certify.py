"""``--certify`` as its users meet it: the real command, a kill among the proofs, and a certifier that lies."""

import json
import re
import signal
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from tests.conftest import Command
from tests.support.models import mlp
from tests.support.runs import labelled, without_times

NET = """
import os, signal
import torch
from torch import nn
from tests.support.certifiers import {certifier}
from tests.support.models import mlp
import advtool.evaluation.proof
from advtool.evaluation import shard

shard.MAX_IMAGES_A_SHARD["cpu"] = 50

class Fatal({certifier}(mlp()) if "{certifier}" == "intervals" else {certifier}()):
    def certify(self, *arguments, **options):
        if os.path.exists("fatal") and len([*os.scandir("run/shards")]) >= 4:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().certify(*arguments, **options)

advtool.evaluation.proof.Certifier = Fatal

def make():
    return mlp()
"""
"""A user's file with a model, and with bounds of its own in the place of advtool's."""


@pytest.fixture
def evaluate(tmp_path: Path) -> Command:
    """``advtool`` in a folder with images of 4x4 pixels that ``mlp()`` classifies right."""
    x, y = labelled(mlp(), 150)
    levels = (x * 255).round().to(dtype=x.dtype).numpy().astype(np.uint8)
    np.savez(tmp_path / "images.npz", x_train=levels[:4], y_train=np.arange(4), x_test=levels, y_test=y.numpy())
    return Command(tmp_path)


def arguments(command: Command, certifier: str) -> tuple[str, ...]:
    (command.folder / "net.py").write_text(NET.format(certifier=certifier))
    return ("eval", "net.py:make", "--dataset", "images.npz", "--eps", "0.05", "--attack", "pgd", "--pgd-steps", "5")


ROOT = {"PYTHONPATH": str(Path(__file__).parents[2])}


@pytest.mark.slow
def test_a_run_killed_among_the_proofs_goes_on_and_equals_a_whole_one(evaluate: Command) -> None:
    ask = (*arguments(evaluate, "intervals"), "--certify", "--format", "json")
    whole = json.loads(evaluate(*ask, "--run-dir", "whole", **ROOT).stdout)
    assert 0 < whole["certified"]["robust"] <= whole["worst_case"]["robust"]
    (evaluate.folder / "fatal").touch()
    killed = evaluate(*ask, "--run-dir", "run", check=False, **ROOT)
    assert killed.returncode == -signal.SIGKILL
    assert len(list((evaluate.folder / "run" / "shards").glob("2-certified-*"))) == 1
    (evaluate.folder / "fatal").unlink()
    resumed = evaluate(*ask, "--run-dir", "run", **ROOT)
    assert "going on, 5 of 9 parts are finished already" in resumed.stderr
    assert re.search(r"certified: \d+ images proved robust", resumed.stderr)
    assert without_times(json.loads(resumed.stdout)) == without_times(whole)


def test_a_lie_ends_with_70_and_one_line_that_names_the_image_and_the_file(evaluate: Command) -> None:
    done = evaluate(*arguments(evaluate, "liar"), "--certify", "--run-dir", "run", check=False, **ROOT)
    assert (done.returncode, done.stdout) == (70, "")
    line = done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    found = re.search(r"internal error, please report it: .*pgd broke image (\d+) \(place (\d+) in the run\)", line)
    assert found is not None, line
    path = Path("run") / f"contradiction-{found[2]}.safetensors"
    assert f"'{path}'" in line
    assert load_file(evaluate.folder / path).keys() == {"image", "example", "label", "lower"}


@pytest.mark.slow
def test_the_command_proves_only_where_it_is_asked(evaluate: Command) -> None:
    ask = (*arguments(evaluate, "intervals"), "--format", "json", "--images", "40")
    plain, refused = (evaluate(*ask, *more, **ROOT) for more in ((), ("--no-certify",)))
    assert without_times(json.loads(plain.stdout)) == without_times(json.loads(refused.stdout))
    assert "certified" not in plain.stdout + plain.stderr + refused.stderr
    proved = json.loads(evaluate(*ask, "--certify", "--certify-seconds", "0.5", **ROOT).stdout)
    assert proved["certified"]["total"] == 40
    assert "--certify-seconds 1 is for proofs: ask for them with certify=True (--certify)" in evaluate.refused(
        *ask, "--certify-seconds", "1", **ROOT
    )
    assert "--certify-seconds -1.0: it must be a number of seconds" in evaluate.refused(
        *ask, "--certify", "--certify-seconds", "-1", **ROOT
    )
    check = evaluate("check", *ask[1:-4], "--certify", **ROOT)
    assert re.search(
        r"^certify +yes, the bounds of an image cost about 10 forward passes *$", check.stdout, re.MULTILINE
    )
