"""The one place where an evaluation's answer comes from its folder: what it says, and what became of each image."""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from advtool.evaluation.finished import FinishedRun, read_finished
from advtool.results import CLEAN, Evaluation, Outcome, Outcomes


class Answer(NamedTuple):
    """A finished evaluation."""

    result: Evaluation
    outcomes: Outcomes

    @property
    def codes(self) -> list[str]:
        """Its findings that say that the gradient misleads."""
        return [finding.code for finding in self.result.warnings if finding.kind == "masking"]


def read_answer(folder: Path) -> Answer:
    """Of a finished run.

    Raises:
        InputError: there is none, or it is damaged.
    """
    run = read_finished(folder)
    return Answer(run.result, _outcomes(run))


def _outcomes(run: FinishedRun) -> Outcomes:
    clean = torch.tensor(run.clean)
    stages = {name: torch.tensor(survives) for name, survives in run.survives.items()}
    rows = [_encoded(clean), *(_encoded(survives, clean) for survives in stages.values())]
    outcome = torch.stack(rows)
    unknown = torch.full(outcome.shape, -1)
    examples = {name: torch.tensor(right) for name, right in run.on_examples.items()}
    return Outcomes(
        (CLEAN, *stages), outcome, unknown, torch.full(outcome.shape, float("nan")), unknown, unknown, examples
    )


def _encoded(survives: Tensor, asked: Tensor | None = None) -> Tensor:
    encoded = torch.where(survives, Outcome.robust, Outcome.fallen).to(torch.uint8)
    return encoded if asked is None else encoded.masked_fill(~asked, Outcome.not_asked)
