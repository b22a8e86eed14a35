"""What has been measured for tables: the lines of a table read their figures from it."""

from dataclasses import dataclass, field
from pathlib import Path

from advtool.checkpoints import Header
from advtool.data import Split, first_images, load
from advtool.models.noise import PNIL
from advtool.reproduce.steps import Asked, Learned, Model, Step, Timing
from advtool.results import Evaluation, Reused


@dataclass(frozen=True)
class Measured:
    """What was asked for: cards and hashes of checkpoints, answers, seconds of each epoch by the model's name."""

    data_dir: Path | None
    files: dict[Model, Path] = field(default_factory=dict)
    """of the models whose weights are there"""
    cards: dict[Model, Header] = field(default_factory=dict)
    chosen: dict[Model, Model] = field(default_factory=dict)
    """what searches chose, by the plan of it"""
    hashes: dict[Model, str] = field(default_factory=dict)
    sources: dict[Model, str] = field(default_factory=dict)
    """of the models that trained on fixed examples, the fingerprint of the weights that these were made from"""
    answers: dict[Asked, Evaluation] = field(default_factory=dict)
    layers: dict[Model, PNIL] = field(default_factory=dict)
    times: dict[Timing, dict[str, list[float]]] = field(default_factory=dict)
    left: set[Step] = field(default_factory=set)
    """what is not finished, since the time was up or a training diverged"""
    diverged: set[Model] = field(default_factory=set)
    reused: dict[Step, Reused] = field(default_factory=dict)
    """what an earlier call had finished"""

    def actual(self, step: Step) -> Step:
        """The step with the model that a search chose, if it is about one."""
        match step:
            case Model():
                return self.chosen.get(step, step)
            case Asked(model, question):
                return Asked(self.chosen.get(model, model), question)
            case _:
                return step

    def has_diverged(self, step: Step) -> bool:
        """Whether a step cannot be done, since the training of its model, or of the model's examples, diverged."""
        match self.actual(step):
            case Model() as model:
                return model in self.diverged or model.examples_of in self.diverged
            case Asked(model) | Learned(model):
                return self.has_diverged(model)
            case _:
                return False

    def layer(self, model: Model, count: int) -> tuple[PNIL, Split]:
        """The PNIL of a trained model, on the CPU, and the first test images of the fixed permutation."""
        return self.layers[model], first_images(load(model.dataset, "test", self.data_dir), count)
