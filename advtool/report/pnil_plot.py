"""A PNIL as the second paper draws it: figure 1 for a grey image, figure 3 for a colour image."""

from typing import Any

from torch import Tensor

from advtool.errors import InputError
from advtool.report import plots

CHANNELS = ("red", "green", "blue")
PANEL = 2.0  # inches


def figure(*, X: Tensor, B: Tensor, W: Tensor, variance: Tensor, Y: Tensor) -> Any:
    """The plot as a matplotlib ``Figure``: five panels for a grey image, eleven for a colour image.

    Args:
        X: the input, (C, H, W) in [0, 1] with one channel or three.
        B: the biases, of the same shape, as are the following.
        W: the weights.
        variance: ``exp(Sigma)`` for this input.
        Y: the output for this input; what lies outside [0, 1] is shown as 0 or 1.

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
    for name, image, title in (("X", X, "input X"), ("Y", Y, "output Y")):
        _show(panels[name], image.clamp(0, 1).permute(1, 2, 0), title, 0.0, 1.0)
    for name, values in learned.items():
        _show_map(drawing, [panels[f"{name}{channel}"] for channel in range(channels)], values, name)
    return drawing


def _layout(names: list[str], channels: int) -> list[list[str]]:
    """Figure 1 is one row; in figure 3 a column is a colour channel, between the input and the output."""
    if channels == 1:
        return [["X", *(f"{name}0" for name in names), "Y"]]
    return [["X", *(f"{name}{channel}" for channel in range(channels)), "Y"] for name in names]


def _show_map(drawing: Any, panels: list[Any], values: Tensor, name: str) -> None:
    """One panel a channel, on one scale."""
    low, high = values.min().item(), values.max().item()
    titles = [name] if len(panels) == 1 else [f"{name}, {channel}" for channel in CHANNELS]
    shown = [_show(*each, low, high) for each in zip(panels, values, titles, strict=True)]
    drawing.colorbar(shown[-1], ax=panels, location="bottom" if len(panels) == 1 else "right")


def _show(panel: Any, image: Tensor, title: str, low: float, high: float) -> Any:
    panel.set(title=title, xticks=[], yticks=[])
    return panel.imshow(image.numpy(), cmap="gray", vmin=low, vmax=high)
