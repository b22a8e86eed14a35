"""The card of a checkpoint, as a table and as JSON. A view: what it shows was measured while training."""

from collections.abc import Iterator
from typing import Any

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
    if architecture.options:
        yield "options", _listed(architecture.options)
    yield "data set", header.dataset
    yield "recipe", _listed(header.recipe)
    low, high = threat_model.clip
    yield "threat model", f"{threat_model.norm}, eps {threat_model.eps:.4g}, clip range [{low:g}, {high:g}]"
    yield "seed", str(header.seed)
    yield "date", f"{header.date:%Y-%m-%d %H:%M:%S %Z}"
    yield "versions", _listed(header.versions)
    if "epoch" in metrics:
        yield "kept epoch", str(metrics["epoch"])
        yield (
            "validation",
            (
                f"clean {metrics['clean_accuracy']:.1%}, adversarial {metrics['adversarial_accuracy']:.1%} "
                f"({metrics['validation_images']} images)"
            ),
        )


def _listed(values: dict[str, Any]) -> str:
    given = {name.replace("_", " "): value for name, value in values.items() if value is not None}
    return ", ".join(f"{name} {value}" for name, value in given.items())


def _history(metrics: dict[str, Any]) -> Table:
    table = Table()
    for heading in ("epoch", "loss", "clean", "adversarial", "seconds"):
        table.add_column(heading, justify="right")
    table.add_column()
    for row in metrics.get("history", []):
        table.add_row(
            str(row["epoch"]),
            f"{row['loss']:.4f}",
            f"{row['clean']:.1%}",
            f"{row['adversarial']:.1%}",
            f"{row['seconds']:.1f}",
            "kept" if row["epoch"] == metrics["epoch"] else "",
        )
    return table
