"""The command that began a run: what of it a stranger's folder may give, and what must be named again."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from advtool.errors import InputError
from advtool.evaluation import command
from advtool.evaluation.command import Command

SAFE: list[dict[str, Any]] = [
    {"model": "net.safetensors", "images": "10", "attack": ["pgd(steps=3)", "art:SquareAttack"], "certify": False},
    {"checkpoint": "net.py:make"},  # a file that must be a checkpoint, whatever its name
    {"model": "torchvision:resnet18", "weights": "net.pth", "mean": "0.5", "std": "0.5"},
    {"model": "timm:resnet18"},
    {"model": "hf:folder"},
    {"model": "net.onnx", "surrogate": "other.safetensors"},
]
TO_NAME: list[tuple[dict[str, Any], str]] = [
    ({"model": "net.py:make"}, "net.py:make"),
    ({"model": "package.module:make"}, "package.module:make"),
    ({"model": "net.pt"}, "net.pt"),
    ({"model": "net.PT2"}, "net.PT2"),
    ({"model": "no kind at all"}, "'no kind at all'"),
    ({"surrogate": "net.py:make"}, "--surrogate net.py:make"),
    ({"model-args": '{"depth": 3}'}, "--model-args '{\"depth\": 3}'"),
    ({"data-dir": "/elsewhere"}, "--data-dir /elsewhere"),
    (
        {"attack": ["fgsm", "art:ProjectedGradientDescent(summary_writer='x')"]},
        "--attack fgsm --attack 'art:ProjectedGradientDescent(summary_writer='\"'\"'x'\"'\"')'",
    ),
]


@pytest.mark.parametrize("options", SAFE, ids=str)
def test_what_cannot_run_code_is_taken_from_the_folder(options: dict[str, Any]) -> None:
    assert Command(options=options).again("runs/my run") == "advtool eval --resume 'runs/my run'"


@pytest.mark.parametrize(("options", "words"), TO_NAME, ids=str)
def test_what_runs_code_or_names_a_place_to_write_must_be_named_again(options: dict[str, Any], words: str) -> None:
    found = Command(options={"images": "10", **options})
    assert found.to_name_again == options
    assert found.again("run") == f"advtool eval --resume run {words}"
    assert shlex.split(found.again("run"))[4:] == shlex.split(words)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    assert command.read(tmp_path) is None
    command.write(tmp_path, SAFE[0])
    found = command.read(tmp_path)
    assert found is not None
    assert (found.options, found.model) == (SAFE[0], "net.safetensors")


def test_several_lines_become_one_and_control_characters_are_not_noted(tmp_path: Path) -> None:
    command.write(tmp_path, {"model-args": '{"depth":\n3}', "attack": ["pgd(\nsteps=3)"], "force": True})
    found = command.read(tmp_path)
    assert found is not None
    assert found.options == {"model-args": '{"depth": 3}', "attack": ["pgd( steps=3)"], "force": True}
    for text in ("net\x1b.safetensors", "net\udcff.safetensors"):
        (tmp_path / command.COMMAND).unlink(missing_ok=True)
        command.write(tmp_path, {"model": text})
        assert command.read(tmp_path) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"schema": "advtool.command/1"}',
        '{"schema": "advtool.command/2", "options": {}}',
        '{"schema": "advtool.command/1", "options": {}, "run": "rm"}',
        *(
            json.dumps({"schema": "advtool.command/1", "options": options})
            for options in (
                {"model_args": "{}"},  # spelled otherwise, it would not be seen as the option
                {"--model-args": "{}"},
                {"Model": "net.py:make"},
                {"images": 10},
                {"model": None},
                {"attack": [1]},
                {"model": "net\x1b[2J.safetensors"},
                {"attack": ["pgd\n"]},
            )
        ),
    ],
)
def test_anything_else_is_damaged(text: str, tmp_path: Path) -> None:
    (tmp_path / command.COMMAND).write_text(text)
    with pytest.raises(InputError, match=r"its command\.json is damaged"):
        command.read(tmp_path)
