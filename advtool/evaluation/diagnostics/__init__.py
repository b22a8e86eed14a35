"""What a sceptic should know before believing the numbers: from outcomes and facts to findings.

A rule takes the evidence of a run and yields findings. Codes of kind ``masking`` say that the gradient misleads;
they need a drop of at least 5 points whose paired 95 % interval begins at 3 points or more (a plainly robust
model's accuracy differs by a point or two from attack to attack). Smaller but real drops are ``strength`` notes.
"""

from collections.abc import Callable, Iterator

from advtool.evaluation.diagnostics.accuracies import far_below, label_leaking, noise, over_eps
from advtool.evaluation.diagnostics.contests import contests
from advtool.evaluation.diagnostics.evidence import Evidence
from advtool.evaluation.diagnostics.setup import lost_gradient, setup
from advtool.results import Finding

RULES: tuple[Callable[[Evidence], Iterator[Finding]], ...] = (
    contests,
    far_below,
    over_eps,
    label_leaking,
    noise,
    lost_gradient,
    setup,
)


def findings(evidence: Evidence) -> list[Finding]:
    """Every finding, masking first."""
    found = [finding for rule in RULES for finding in rule(evidence)]
    return sorted(found, key=lambda finding: ("masking", "strength", "setup").index(finding.kind))
