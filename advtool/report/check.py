"""A preflight: what was understood of a model and its data, a fact a line."""

from collections.abc import Iterator

from advtool.report.table import Table
from advtool.results import Check, notation

LONG = 1200.0
"""Seconds after which a plan says what would be quicker."""


def table(check: Check) -> Table:
    """Facts alone."""
    return Table(facts=(*facts(check), ("certify", _certification(check))))


def facts(check: Check) -> Iterator[tuple[str, str]]:
    """What was understood: pairs of a name and words."""
    yield "model", check.model.get("spec") or "given"
    weights = notation.counted(check.parameters, "parameter")
    yield "weights", f"{weights}, {check.classes} outputs, {_randomness(check)}"
    if check.logits_from:
        yield "outputs", f"{check.logits_from}; if these are not the logits, give the logits alone"
    low, high = check.pixel_range
    names = check.dataset.classes
    classes = "" if names is None else f", {len(names)} classes"
    yield (
        "images",
        f"{check.dataset.images} {check.dataset.split} images of {check.dataset.name}, "
        f"{'x'.join(map(str, check.input_shape))}, pixels in [{low:.3g}, {high:.3g}]{classes}",
    )
    if check.state:
        yield "state", f"calls change {notation.first_three(check.state)}; put back afterwards"
    if check.no_gradient:
        yield "gradient", f"none ({check.no_gradient}): attacks without gradients count"
    clean = check.clean
    yield (
        "clean",
        f"{clean.correct} of the first {clean.total} right: {notation.percent(clean.accuracy)} "
        f"({notation.percent_interval(clean.interval)}); guessing {notation.percent(check.chance)}",
    )
    if check.unanswered:
        yield "answers", f"NaN or infinite for {check.unanswered} of these: they count as misclassified"
    quicker = "; --attack pgd or fewer --images are quicker" if check.seconds > LONG else ""
    yield "plan", f"{check.images_a_pass} images a pass, at most about {notation.duration(check.seconds)}{quicker}"


def _certification(check: Check) -> str:
    """Whether the evaluation would prove images robust, and why not."""
    found = check.certification
    cost = "" if found.passes is None else f", the bounds of an image cost about {found.passes:.0f} forward passes"
    return f"yes{cost}" if found.runs else f"no: {found.reason}"


def _randomness(check: Check) -> str:
    if check.randomness == "none":
        return "deterministic"
    return f"random for {check.randomness}: {check.eot} EOT samples, {check.votes} votes"
