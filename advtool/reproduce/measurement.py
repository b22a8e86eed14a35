"""From results to the figures of a table: one proportion with its interval, or several values with their spread."""

from collections.abc import Sequence
from statistics import fmean, stdev

from advtool.evaluation.finished import FinishedRun
from advtool.evaluation.uncertainty import wilson_interval
from advtool.results import Figure, Interval, Panel, Point, Row, Series


def clean(run: FinishedRun, paper: float | None = None) -> Figure:
    """Clean accuracy."""
    return Figure(paper=paper, ours=run.result.clean.accuracy, interval=run.result.clean.interval)


def on_examples(run: FinishedRun, attack: str = "fgsm", paper: float | None = None) -> Figure:
    """The older way, the first paper's: every image is attacked, and the final examples are classified."""
    return proportion(run.on_examples[attack], paper)


def robust(run: FinishedRun, attack: str, paper: float | None = None) -> Figure:
    """Robust accuracy under an attack that saw every image."""
    found = next(result for result in run.result.attacks if result.name == attack)
    return Figure(paper=paper, ours=found.accuracy, interval=found.interval)


def worst_case(run: FinishedRun) -> Figure:
    """The share of images that survive every attack of the run."""
    return Figure(ours=run.result.worst_case.accuracy, interval=run.result.worst_case.interval)


def proportion(right: Sequence[bool], paper: float | None = None) -> Figure:
    """The share of ``right``, of at least one image."""
    return share(sum(right) / len(right), len(right), paper)


def share(value: float, images: int, paper: float | None = None) -> Figure:
    """A share of ``images`` that was noted without its images."""
    return Figure(paper=paper, ours=value, interval=wilson_interval(round(value * images), images))


def repeated(values: Sequence[float], paper: float | None = None, paper_deviation: float | None = None) -> Figure:
    """Mean and standard deviation of the sample over at least one repetition."""
    deviation = stdev(values) if len(values) > 1 else None
    return Figure(
        paper=paper, paper_deviation=paper_deviation, ours=fmean(values), deviation=deviation, repeats=len(values)
    )


def point(x: float | str, figure: Figure) -> Point:
    """Ours, as a bar or a point of a curve, with its interval or one standard deviation to either side.

    Raises:
        ValueError: it was not measured.
    """
    if figure.ours is None:
        raise ValueError(f"nothing was measured at {x}")
    return Point(x=x, y=figure.ours, interval=figure.interval or _within_deviation(figure.ours, figure.deviation))


def _within_deviation(mean: float, deviation: float | None) -> Interval | None:
    return None if deviation is None else (mean - deviation, mean + deviation)


def curves(rows: Sequence[Row], dataset: str, column: str, x_label: str) -> Panel:
    """A column of one data set's rows, whose labels are the data set, the curve's name and x."""
    here = [row for row in rows if row.labels[0] == dataset]
    return Panel(
        title=f"{dataset}: {column}",
        kind="curves",
        x_label=x_label,
        y_label="accuracy",
        series=[
            Series(
                name=name,
                points=[point(float(row.labels[2]), row.figures[column]) for row in here if row.labels[1] == name],
            )
            for name in dict.fromkeys(row.labels[1] for row in here)
        ],
    )
