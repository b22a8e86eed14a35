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
    """Each code once, with its last message and all values at which it was found."""
    found: dict[str, list[Finding]] = {}
    for finding in sweep.warnings:
        found.setdefault(finding.code, []).append(finding)
    for findings in found.values():
        yield _warned(findings[-1], ", ".join(place(sweep, finding) for finding in findings))


def _warned(finding: Finding, where: str) -> Warned:
    return Warned(finding.kind, finding.code, finding.message, REMEDIES.get(finding.code), where)
