"""A run in a few sentences, for people who read nothing else."""

from advtool.report import titles
from advtool.results import Evaluation, notation


def sentence(evaluation: Evaluation) -> str:
    """What survives, of how many images, at which eps; what is proved; whether the gradient misleads."""
    worst, threat = evaluation.worst_case, evaluation.threat_model
    said = [
        f"{notation.percent(worst.accuracy)} of {titles.images(evaluation.dataset)} survive every attack at "
        f"{threat.norm} eps {notation.eps(threat.eps)} (95 % interval {notation.percent_interval(worst.interval)}).",
        f"Without an attack {notation.percent(evaluation.clean.accuracy)} are classified right.",
    ]
    if evaluation.certified is not None:
        said.append(f"{notation.percent(evaluation.certified.accuracy)} are proved robust, whatever the attack.")
    masking = sum(finding.kind == "masking" for finding in evaluation.warnings)
    if masking:
        said.append(
            f"{notation.counted(masking, 'warning')} of kind masking: attacks along the gradient of this model say "
            "too little."
        )
    return " ".join(said)
