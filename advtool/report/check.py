"""A preflight as text: what was understood of a model and its data."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from advtool.report.rows import duration, percent, span
from advtool.report.table import plain
from advtool.results import Check


def lines(check: Check) -> Iterator[str]:
    """What was understood, a fact a line."""
    yield f"model    {check.model.get('spec') or 'given'}"
    yield f"weights  {check.parameters:,} parameter{'s' * (check.parameters != 1)}, {_kind(check)}"
    low, high = check.pixel_range
    sizes = "x".join(map(str, check.input_shape))
    yield (
        f"images   {check.dataset.images} {check.dataset.split} images of {check.dataset.name}, {sizes}, "
        f"pixels in [{low:.3g}, {high:.3g}], {check.classes} classes"
    )
    if check.state:
        more = f" and {len(check.state) - 3} more" if len(check.state) > 3 else ""
        yield f"state    calls change {', '.join(check.state[:3])}{more}; put back afterwards"
    if check.no_gradient:
        yield f"gradient none ({check.no_gradient}): attacks without gradients count"
    clean = check.clean
    yield (
        f"clean    {clean.correct} of the first {clean.total} right: {percent(clean.accuracy)} "
        f"({span(clean.interval)}); guessing {percent(check.chance)}"
    )
    yield f"plan     {check.images_a_pass} images a pass, at most about {duration(check.seconds)}"


def _kind(check: Check) -> str:
    if check.randomness == "none":
        return "deterministic"
    return f"random for {check.randomness}: {check.eot} EOT draws, {check.votes} votes"


def render(check: Check) -> str:
    """The facts as plain text."""
    return plain(renderable(check))


def renderable(check: Check) -> RenderableType:
    """The facts for a Rich console."""
    return Group(*(Text(line) for line in lines(check)))
