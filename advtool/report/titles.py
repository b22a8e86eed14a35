"""What was evaluated, as the titles of several results say it."""

from collections.abc import Sequence
from pathlib import PurePath

from advtool.results import Checklist, ComparedRun, DatasetInfo, Evaluation, PerImageSweep, Sweep, notation


def heading(run: Evaluation | ComparedRun | Checklist, seeds: Sequence[int] = ()) -> str:
    """What was evaluated, on what, against what; ``seeds`` are given where there are several."""
    seed = _several(seeds) if seeds else f"seed {run.seed}"
    eps = notation.eps(run.threat_model.eps)
    return f"{subject(run)}, {run.threat_model.norm} eps {eps}, {seed}{averaging(run.eot, run.votes)}"


def subject(run: Evaluation | ComparedRun | Checklist | Sweep | PerImageSweep) -> str:
    """Which model, on which images."""
    return f"{name(run)} on {images(run.dataset)}"


def images(data: DatasetInfo) -> str:
    """Which images: ``100 test images of mnist``."""
    source = f" of {data.name}" if data.name != data.split else ""  # both are "given" of images from Python
    return f"{data.images} {data.split} images{source}"


def name(run: Evaluation | ComparedRun | Checklist | Sweep | PerImageSweep) -> str:
    """Which model."""
    card = run.checkpoint or {}
    is_ours = {"architecture", "recipe"} <= card.keys()
    trained = f"{card['architecture']} trained with {card['recipe']}" if is_ours else ""
    weights = (run.model.get("weights") or {}).get("path")
    named = trained or run.model.get("spec") or card.get("path") or "model"
    return f"{named} with {PurePath(weights).name}" if weights else str(named)


def averaging(eot: int, votes: int) -> str:
    """Over how many draws; empty for a model that needs no more than one."""
    return f", {eot} EOT samples, {votes} votes" if max(eot, votes) > 1 else ""


def _several(seeds: Sequence[int]) -> str:
    gapless = list(seeds) == list(range(seeds[0], seeds[-1] + 1)) and len(seeds) > 2
    return f"seeds {seeds[0]} to {seeds[-1]}" if gapless else f"seeds {', '.join(map(str, seeds))}"
