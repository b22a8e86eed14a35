"""The warnings of a run or of a sweep, each with what to do about it."""

from collections.abc import Iterator
from dataclasses import dataclass

from advtool.report.remedies import REMEDIES
from advtool.report.sweep import place
from advtool.results import Evaluation, Finding, Sweep


@dataclass(frozen=True)
class Warned:
    """A warning as the page shows it."""

    kind: str
    code: str
    message: str
    remedy: str | None
    where: str
    """at which values of a sweep; empty for a run"""


def of_run(result: Evaluation) -> list[Warned]:
    """Every warning of a run."""
    return [_warned(finding, "") for finding in result.warnings]


def of_sweep(sweep: Sweep) -> Iterator[Warned]:
    """Each kind and code once, in the words of the last value at which it was found, with all such values."""
    found: dict[tuple[str, str], dict[str, list[Finding]]] = {}
    for finding in sweep.warnings:
        found.setdefault((finding.kind, finding.code), {}).setdefault(place(sweep, finding), []).append(finding)
    for by_place in found.values():
        places, last = list(by_place), list(by_place.values())[-1]
        yield from (_warned(finding, ", ".join(places)) for finding in last)


def _warned(finding: Finding, where: str) -> Warned:
    return Warned(finding.kind, finding.code, finding.message, REMEDIES.get(finding.code), where)
