"""What the tests of ``opening/`` share: a model as source and as module, images, and checks of messages."""

from pathlib import Path
from textwrap import dedent

import pytest
import torch
from torch import Tensor, nn

from advtool.errors import InputError
from advtool.target.opening.opener import open_model
from advtool.target.opening.spec import ModelSpec, Opened

CNN_SOURCE = """
    import torch
    from torch import nn

    def cnn(width=4):
        return nn.Sequential(
            nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.ReLU(), nn.Flatten(), nn.Linear(width * 36, 5)
        )
"""


def write(path: Path, source: str) -> Path:
    """Write Python source to ``path``, without its common indentation."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dedent(source))
    return path


def cnn(width: int = 4) -> nn.Sequential:
    """The model of ``CNN_SOURCE``, with batch norm statistics from images."""
    model = nn.Sequential(
        nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.ReLU(), nn.Flatten(), nn.Linear(width * 36, 5)
    )
    with torch.no_grad():
        model(torch.rand(16, 3, 8, 8))
    return model.eval()


def images(count: int = 7) -> Tensor:
    return torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def answer(opened: Opened | nn.Module, x: Tensor | None = None) -> Tensor:
    """The model's logits for ``x``, or for :func:`images`."""
    model = opened if isinstance(opened, nn.Module) else opened.model
    with torch.no_grad():
        logits: Tensor = model.eval()(images() if x is None else x)
    return logits


def refusal(model: str, **asked: object) -> str:
    """The message with which a MODEL is refused. It must be one line."""
    with pytest.raises(InputError) as caught:
        open_model(ModelSpec(model, **asked))  # type: ignore[arg-type]
    line = str(caught.value)
    assert line
    assert "\n" not in line
    return line


def says(line: str, *parts: str) -> None:
    """Assert that the line contains every part."""
    for part in parts:
        assert part in line, (part, line)
