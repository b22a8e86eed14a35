"""The card of a checkpoint: its facts, and a line for each epoch. All of it was measured while training."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from pydantic import ValidationError

from advtool import documents
from advtool.checkpoints import Header
from advtool.errors import InputError
from advtool.report.table import Column, Reader, Row, Table
from advtool.report.units import COUNT, SHARE, WORDS, decimals
from advtool.results import Collapse, TrainingMetrics, notation

COLUMNS = (
    Column("epoch", "epoch", COUNT),
    Column("loss", "loss", decimals(4)),
    Column("clean", "clean", SHARE),
    Column("one-step", "one_step", SHARE),
    Column("PGD", "pgd", SHARE),
    Column("PGD loss", "adversarial_loss", decimals(3)),
    Column("certified", "certified", SHARE),
    Column("fixed", "fixed", SHARE),
    Column("seconds", "seconds", decimals(1)),
    Column("", "kept", WORDS),
)
"""Of the epochs; a column without any value is left out."""


@dataclass(frozen=True)
class Card:
    """The header of the checkpoint with that name. ``to_dict`` is the JSON document of ``advtool show``."""

    name: str
    header: Header

    def to_dict(self) -> dict[str, Any]:
        """The header as it stands in the file."""
        return self.header.model_dump(mode="json", by_alias=True)


def table(card: Card) -> Table:
    """The facts, then a line for each epoch.

    Raises:
        InputError: the metrics in the header are not what a training writes.
    """
    try:
        metrics = TrainingMetrics.model_validate(card.header.metrics)
    except ValidationError as error:
        where = documents.malformed_at(error)
        raise InputError(f"'{card.name}' has malformed metrics in its header (at '{where}'): train it again") from None
    epochs = [asdict(epoch) for epoch in metrics.history]
    for epoch in epochs:
        epoch["kept"] = "kept" if epoch["epoch"] == metrics.epoch else None
    return Table(
        title=card.name,
        facts=tuple(_facts(card.header, metrics)),
        columns=tuple(_columns(epochs)),
        rows=tuple(map(Row, epochs)),
    )


def _columns(epochs: Sequence[Mapping[str, Any]]) -> Iterator[Column]:
    """The columns with a value. A terminal has no room for the PGD loss beside the certified accuracy."""
    names = {name for epoch in epochs for name, value in epoch.items() if value is not None}
    for column in COLUMNS:
        if column.name in names:
            narrow = column.name == "adversarial_loss" and "certified" in names
            yield replace(column, reader=Reader.PAGE | Reader.PROGRAM) if narrow else column


def _facts(header: Header, metrics: TrainingMetrics) -> Iterator[tuple[str, str]]:
    architecture, threat_model = header.architecture, header.threat_model
    channels, height, width = architecture.input_shape
    sizes = "".join(f"{setting(name, value)}, " for name, value in architecture.sizes.items())
    yield "model", f"{architecture.name}, {sizes}{channels}x{height}x{width} images, {architecture.classes} classes"
    if isinstance(places := architecture.options.get("pnil"), list) and places:
        yield "PNIL", ", ".join(f"before {name}" if name else "before the model" for name in places)
    yield "data set", header.dataset
    yield "recipe", _listed({name: value for name, value in header.recipe.items() if value})  # what is off is noise
    low, high = threat_model.clip
    yield "threat model", f"{threat_model.norm}, eps {notation.eps(threat_model.eps)}, clip range [{low:g}, {high:g}]"
    yield "seed", str(header.seed)
    yield "date", f"{header.date:%Y-%m-%d %H:%M:%S %Z}"
    yield "versions", _listed(header.versions)
    if metrics.epoch is not None:
        yield "kept epoch", str(metrics.epoch)
        yield from _metrics(metrics)


def _metrics(metrics: TrainingMetrics) -> Iterator[tuple[str, str]]:
    """What was measured of the kept epoch, and whether the training collapsed."""
    percent = notation.percent
    if metrics.decided_by_floor is not None:
        yield (
            "tie",
            f"no epoch is above the {percent(metrics.decided_by_floor)} that a constant answer reaches: so one-step "
            "accuracy chose the epoch, then clean accuracy, then the later epoch",
        )
    if metrics.clean_accuracy is not None:
        yield "validation", f"clean {percent(metrics.clean_accuracy)}{_asked(metrics.validation_images)}"
    if metrics.one_step_accuracy is not None and metrics.pgd_accuracy is not None:
        one_step, pgd = percent(metrics.one_step_accuracy), percent(metrics.pgd_accuracy)
        yield "white box", f"one-step {one_step}, PGD {pgd}{_asked(metrics.pgd_images, metrics.pgd_draws)}"
    if metrics.certified_accuracy is not None:
        yield "certified", f"{percent(metrics.certified_accuracy)} by interval bounds, whatever the attack"
    if metrics.fixed_examples_accuracy is not None:
        yield "fixed examples", f"{percent(metrics.fixed_examples_accuracy)}, made against another model"
    if metrics.noise_centre is not None and metrics.noise_border is not None:
        centre, border = metrics.noise_centre, metrics.noise_border
        yield "noise", f"standard deviation {centre:.3f} in the centre, {border:.3f} in the border"
    if metrics.collapse is not None:
        yield "collapse", collapse_line(metrics.collapse)


def _asked(images: int | None, draws: int = 1) -> str:
    if images is None:
        return ""
    return f" ({images} images{f', {draws} draws of the noise' if draws > 1 else ''})"


def collapse_line(collapse: Collapse) -> str:
    """Catastrophic overfitting in one line."""
    best_one_step, one_step, best_pgd, pgd = (
        notation.percent(share)
        for share in (collapse.best_one_step, collapse.one_step, collapse.best_pgd, collapse.pgd)
    )
    return (
        f"catastrophic overfitting in epoch {collapse.epoch}: one-step accuracy {best_one_step} to {one_step}, "
        f"PGD accuracy {best_pgd} to {pgd} since epoch {collapse.best_epoch}"
    )


def setting(name: str, value: Any) -> str:
    """A setting of a recipe in words: ``epochs 10``, ``pnil``, ``no pnil``, ``pnil at conv2 and conv3``."""
    words = name.replace("_", " ")
    if isinstance(value, bool) or not value:
        return words if value else f"no {words}"
    return f"{words} {' and '.join(map(str, value)) if isinstance(value, list) else value}"


def _listed(values: dict[str, Any]) -> str:
    return ", ".join(setting(name, value) for name, value in values.items())
