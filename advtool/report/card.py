"""The card of a checkpoint, as a table and as JSON. A view: what it shows was measured while training."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from advtool.checkpoints import Header


def as_json(header: Header) -> str:
    """The header as an indented JSON document."""
    return header.model_dump_json(by_alias=True, indent=2)


def as_table(header: Header, title: str) -> RenderableType:
    """The facts, then a line for every epoch; fits into 80 columns."""
    return Group(_facts(header, title), _history(header.metrics))


def _facts(header: Header, title: str) -> Table:
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _lines(header):
        table.add_row(name, Text(value))
    return table


def _lines(header: Header) -> Iterator[tuple[str, str]]:
    architecture, threat_model, metrics = header.architecture, header.threat_model, header.metrics
    channels, height, width = architecture.input_shape
    yield "model", f"{architecture.name}, {channels}x{height}x{width} images, {architecture.classes} classes"
    if places := architecture.options.get("pnil"):
        yield "PNIL", ", ".join(f"before {name}" if name else "before the model" for name in places)
    yield "data set", header.dataset
    yield "recipe", _listed({name: value for name, value in header.recipe.items() if value})  # what is off is noise
    low, high = threat_model.clip
    yield "threat model", f"{threat_model.norm}, eps {threat_model.eps:.4g}, clip range [{low:g}, {high:g}]"
    yield "seed", str(header.seed)
    yield "date", f"{header.date:%Y-%m-%d %H:%M:%S %Z}"
    yield "versions", _listed(header.versions)
    if "epoch" in metrics:
        yield from _metrics(metrics)


def _metrics(metrics: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What was measured of the kept epoch, and whether the training collapsed."""
    yield "kept epoch", str(metrics["epoch"])
    if "decided_by_floor" in metrics:
        yield (
            "tie",
            (
                f"no epoch is above {metrics['decided_by_floor']:.1%} by the figure to keep by, which "
                "guessing reaches: kept by one-step, then clean accuracy, then the later epoch"
            ),
        )
    yield "validation", f"clean {metrics['clean_accuracy']:.1%} ({metrics['validation_images']} images)"
    one_step, pgd = metrics["one_step_accuracy"], metrics["pgd_accuracy"]
    draws = metrics.get("pgd_draws", 1)
    pgd_on = f"{metrics['pgd_images']} images" + (f", {draws} draws of the noise" if draws > 1 else "")
    yield "white box", f"one-step {one_step:.1%}, PGD {pgd:.1%} ({pgd_on})"
    if "fixed_examples_accuracy" in metrics:
        yield "fixed examples", f"{metrics['fixed_examples_accuracy']:.1%}, made against another model"
    if "noise_centre" in metrics:
        centre, border = metrics["noise_centre"], metrics["noise_border"]
        yield "noise", f"standard deviation {centre:.3f} in the centre, {border:.3f} in the border"
    if metrics["collapse"] is not None:
        yield "collapse", collapse_line(metrics["collapse"])


def collapse_line(collapse: dict[str, Any]) -> str:
    """Catastrophic overfitting in one line."""
    return (
        f"catastrophic overfitting in epoch {collapse['epoch']}: one-step accuracy "
        f"{collapse['best_one_step']:.1%} to {collapse['one_step']:.1%}, PGD accuracy "
        f"{collapse['best_pgd']:.1%} to {collapse['pgd']:.1%} since epoch {collapse['best_epoch']}"
    )


def _listed(values: dict[str, Any]) -> str:
    return ", ".join(setting(name, value) for name, value in values.items())


def setting(name: str, value: Any) -> str:
    """A setting of a recipe in words: ``epochs 10``, ``pnil``, ``no pnil``, ``pnil at conv2 and conv3``."""
    words = name.replace("_", " ")
    if isinstance(value, bool) or not value:
        return words if value else f"no {words}"
    return f"{words} {' and '.join(value) if isinstance(value, list) else value}"


def _history(metrics: dict[str, Any]) -> Table:
    rows = metrics.get("history", [])
    columns = [column for column in _COLUMNS if any(column.figure in row for row in rows)]
    table = Table()
    for column in columns:
        table.add_column(column.heading, justify="right")
    table.add_column()
    for row in rows:
        cells = (format(row[column.figure], column.format) for column in columns)
        table.add_row(*cells, "kept" if row["epoch"] == metrics["epoch"] else "")
    return table


class _Column(NamedTuple):
    heading: str
    figure: str
    format: str


_COLUMNS = (
    _Column("epoch", "epoch", "d"),
    _Column("loss", "loss", ".4f"),
    _Column("clean", "clean", ".1%"),
    _Column("one-step", "one_step", ".1%"),
    _Column("PGD", "pgd", ".1%"),
    _Column("PGD loss", "adversarial_loss", ".3f"),
    _Column("fixed", "fixed", ".1%"),
    _Column("seconds", "seconds", ".1f"),
)
