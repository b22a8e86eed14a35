"""A PNIL as the second paper draws it: figure 1 for a grey image, figure 3 for a colour image."""

from pathlib import Path
from typing import Any

from torch import Tensor

from advtool.errors import InputError
from advtool.report import plots

CHANNELS = ("red", "green", "blue")
PANEL = 2.0  # inches


def draw(path: Path, *, X: Tensor, B: Tensor, W: Tensor, variance: Tensor, Y: Tensor) -> None:
    """Write the plot to ``path``, whose suffix (png, svg, pdf) says the type of the file.

    Args:
        path: an existing file is replaced.
        X: the input, (C, H, W) in [0, 1] with one channel or three.
        B: the biases, of the same shape, as are the following.
        W: the weights.
        variance: ``exp(Sigma)`` for this input.
        Y: the output for this input; what lies outside [0, 1] is shown as 0 or 1.

    Raises:
        InputError: another suffix or number of channels, no matplotlib, or a file that cannot be written.
    """
    plots.check(path)
    plots.save(figure(X=X, B=B, W=W, variance=variance, Y=Y), path)


def figure(*, X: Tensor, B: Tensor, W: Tensor, variance: Tensor, Y: Tensor) -> Any:
    """The plot as a matplotlib ``Figure``: five panels for a grey image, eleven for a colour image.

    Raises:
        InputError: neither one channel nor three, or no matplotlib.
    """
    channels = len(X)
    if channels not in (1, len(CHANNELS)):
        raise InputError(f"--plot: images of 1 or 3 channels can be drawn, not of {channels}")
    learned = {"B": B, "W": W, "variance": variance}
    rows = _layout(list(learned), channels)
    drawing = plots.new(PANEL * len(rows[0]), PANEL * len(rows))
    panels = drawing.subplot_mosaic(rows)
    _show_image(panels["X"], X, "input X")
    _show_image(panels["Y"], Y, "output Y")
    for name, values in learned.items():
        _show_map(drawing, [panels[f"{name}{channel}"] for channel in range(channels)], values, name)
    return drawing


def _layout(names: list[str], channels: int) -> list[list[str]]:
    """Figure 1 is one row; in figure 3 a column is a colour channel, between the input and the output."""
    if channels == 1:
        return [["X", *(f"{name}0" for name in names), "Y"]]
    return [["X", *(f"{name}{channel}" for channel in range(channels)), "Y"] for name in names]


def _show_image(panel: Any, image: Tensor, title: str) -> None:
    panel.imshow(image.clamp(0, 1).permute(1, 2, 0).numpy(), cmap="gray", vmin=0, vmax=1)
    panel.set(title=title, xticks=[], yticks=[])


def _show_map(drawing: Any, panels: list[Any], values: Tensor, name: str) -> None:
    """One panel a channel, on one scale."""
    low, high = values.min().item(), values.max().item()
    titles = [name] if len(panels) == 1 else [f"{name}, {channel}" for channel in CHANNELS]
    for panel, channel, title in zip(panels, values, titles, strict=True):
        shown = panel.imshow(channel.numpy(), cmap="gray", vmin=low, vmax=high)
        panel.set(title=title, xticks=[], yticks=[])
    drawing.colorbar(shown, ax=panels, location="bottom" if len(panels) == 1 else "right")
