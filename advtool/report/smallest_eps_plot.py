"""The smallest eps of each image as a plot: robust accuracy over eps, a step down at each image."""

import math
from typing import Any

from advtool.report import plots
from advtool.report.sweep import title
from advtool.results import PerImageSweep


def figure(sweep: PerImageSweep) -> Any:
    """The plot as a matplotlib ``Figure``: the curve of all images, the given eps with their intervals, the median.

    Raises:
        InputError: no matplotlib.
    """
    drawing = plots.new(6.4, 4.4)
    axes = drawing.subplots()
    known = sorted(math.inf if image.eps is None else image.eps for image in sweep.per_image)
    right = sweep.worst_case[-1].value
    falls = [eps for eps in known if 0 < eps <= right]
    steps = [sweep.clean.accuracy - (number + 1) / len(known) for number in range(len(falls))]
    end = steps[-1] if steps else sweep.clean.accuracy
    axes.step([0, *falls, right], [sweep.clean.accuracy, *steps, end], where="post", color="black", label="every image")
    x, y, intervals = zip(*((point.value, point.accuracy, point.interval) for point in sweep.worst_case), strict=True)
    plots.curve(axes, x, y, intervals, linestyle="none", label="95 % interval")
    if sweep.median.eps is not None:
        axes.axvline(sweep.median.eps, color="0.6", linestyle=":", label="median")
    axes.set(xlabel="eps", ylabel="robust accuracy", ylim=(-0.02, 1.02))
    axes.set_title(title(sweep), fontsize="small", wrap=True, parse_math=False)
    axes.legend()
    return drawing
