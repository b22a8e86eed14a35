"""A fine-tuned model of torchvision: the commands of docs/models.md and the test of docs/ci.md run as they stand."""

import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision.models import resnet18

from advtool.cli import main
from tests.docs.test_ci_page import PYTHON
from tests.docs.test_docs import commands

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
COLOURS = np.eye(3) * 120 + 60
MEAN, STD = (torch.tensor(values).view(3, 1, 1) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))


@pytest.fixture
def tuned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The present folder has pictures of three colours, and the weights of a network that tells them apart."""
    stream, pictures = np.random.RandomState(0), []
    for label, colour in enumerate(COLOURS):
        folder = tmp_path / "pictures" / "test" / ("1-red", "2-green", "3-blue")[label]
        folder.mkdir(parents=True)
        for number in range(17):
            pixels = (colour + stream.uniform(-30, 30, (64, 64, 3))).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
            pictures.append(torch.from_numpy(pixels).permute(2, 0, 1) / 255)
    torch.manual_seed(0)
    model = resnet18(num_classes=3).eval()
    head, model.fc = model.fc, nn.Identity()
    with torch.no_grad():
        features = model((torch.stack(pictures) - MEAN) / STD)
        middle = features.mean(0)
        scale = (features - middle).std()
        wanted = torch.eye(3).repeat_interleave(17, 0) - 1 / 3
        centred = (features - middle) / scale
        weight = torch.linalg.solve(centred.T @ centred + torch.eye(512), centred.T @ wanted).T / scale
        head.weight.copy_(weight)
        head.bias.copy_(-weight @ middle)
    model.fc = head
    torch.save(model.state_dict(), tmp_path / "tuned.pth")
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("tuned")
def test_the_pytest_of_a_fine_tuned_model_passes() -> None:
    names: dict[str, Any] = {}
    exec(compile(PYTHON[1], "docs/ci.md", "exec"), names)
    names["test_my_model_is_robust"]()


@pytest.mark.slow
@pytest.mark.usefixtures("tuned")
def test_a_fine_tuned_model_is_checked_evaluated_and_gated(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = []
    for line in (line for line in commands(PAGE) if "tuned.pth" in line):
        monkeypatch.setattr(sys, "argv", shlex.split(line))
        with pytest.raises(SystemExit) as left:
            main()
        answers.append((left.value.code, *capsys.readouterr()))
    (checked, told, _), (evaluated, table, _), (gated, _, failure) = answers
    assert (checked, evaluated) == (0, 0)
    assert "51 of the first 51 right" in told
    assert "on 50 test images of pictures" in table
    assert gated in {0, 1}
    assert (gated == 1) == ("below --fail-under" in failure)
