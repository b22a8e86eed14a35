"""Findings: what a sceptic should know before believing the numbers of a run.

A rule takes the evidence of a run and yields findings. A code of kind ``masking`` says that the gradient misleads. It
needs a drop of at least 5 points whose paired 95 % interval begins at 3 points or more, since the accuracy of an
honest robust model also differs by a point or two from attack to attack. A smaller drop that chance does not explain
is a ``strength`` note.
"""

from collections.abc import Callable, Iterator
from typing import get_args

from advtool.evaluation.diagnostics.accuracies import (
    far_below,
    label_leaking,
    noise,
    not_converged,
    over_eps,
    planted_missed,
)
from advtool.evaluation.diagnostics.contests import contests
from advtool.evaluation.diagnostics.evidence import Evidence
from advtool.evaluation.diagnostics.setup import lost_gradient, setup
from advtool.results import Finding
from advtool.results.evaluation import FindingKind

RULES: tuple[Callable[[Evidence], Iterator[Finding]], ...] = (
    contests,
    far_below,
    not_converged,
    over_eps,
    label_leaking,
    planted_missed,
    noise,
    lost_gradient,
    setup,
)


def findings(evidence: Evidence) -> list[Finding]:
    """All findings of a run: masking first, then strength, then setup."""
    found = [finding for rule in RULES for finding in rule(evidence)]
    return sorted(found, key=lambda finding: get_args(FindingKind).index(finding.kind))
