"""What a line of a table shows, as data: each cell says what it needs and makes a figure of what was measured."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, median, stdev
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from advtool.data import Split
from advtool.evaluation.statistics import corrected_resampled_t_test, wilson_interval
from advtool.models.noise import PNIL
from advtool.reproduce.estimates import TESTED_TRAININGS, share
from advtool.reproduce.steps import Model, Question, Timing
from advtool.results import Figure, Outcomes, Unit

if TYPE_CHECKING:
    from advtool.reproduce.laboratory import Measured

Models = Sequence[Model]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One figure of a line. A hidden one is no column of the table: the line's evidence reads it."""

    paper: float | None = None
    paper_deviation: float | None = None
    paper_significant: bool | None = None
    hidden: bool = False
    unit: ClassVar[Unit] = "per cent"

    @property
    def questions(self) -> tuple[Question, ...]:
        """To each model of the line."""
        return ()

    @property
    def timings(self) -> tuple[Timing, ...]:
        """What has to be timed."""
        return ()

    def measure(self, measured: "Measured", models: Models) -> Figure:
        """Our value, from the models of the line."""
        raise NotImplementedError

    def figure(self, measured: "Measured", models: Models) -> Figure:
        """Our value beside the paper's."""
        stated = ("paper", "paper_deviation", "paper_significant")
        return self.measure(measured, models).model_copy(update={name: getattr(self, name) for name in stated})


@dataclass(frozen=True, kw_only=True)
class Share(Cell):
    """A share of images: of one model with its Wilson interval, of several their mean and standard deviation.

    Attributes:
        question: what is asked.
        stage: ``clean``, an attack, or ``worst case``: the images that survive every attack of the question.
        on_examples: count as the first paper does: every image is attacked, and the final examples are classified.
    """

    question: Question
    stage: str
    on_examples: bool = False

    @property
    def questions(self) -> tuple[Question, ...]:
        return (self.question,)

    def outcomes(self, measured: "Measured", models: Models) -> list[Tensor]:
        """Which images count, bool (N,) of each model."""
        return [self._of(measured.answers[model, self.question].outcomes) for model in models]

    def measure(self, measured: "Measured", models: Models) -> Figure:
        return share_of(self.outcomes(measured, models))

    def _of(self, outcomes: Outcomes) -> Tensor:
        if self.on_examples:
            return outcomes.on_examples[self.stage]
        named = {"clean": outcomes.clean, "worst case": outcomes.worst_case}
        return named[self.stage] if self.stage in named else outcomes.survives(self.stage)


@dataclass(frozen=True, kw_only=True)
class Lowest(Cell):
    """The paper's Min: the share that has the lowest mean over the models.

    Attributes:
        shares: of which it is the lowest.
        starred: two groups of models whose difference has a star if it is significant; () without a star.
        alpha: level of that test, the corrected resampled t-test over at least ten models.
    """

    shares: tuple[Share, ...]
    starred: tuple[tuple[Model, ...], ...] = ()
    alpha: float = 0.05

    @property
    def questions(self) -> tuple[Question, ...]:
        return tuple(each.question for each in self.shares)

    def outcomes(self, measured: "Measured", models: Models) -> list[Tensor]:
        """Those of the lowest."""
        every = (each.outcomes(measured, models) for each in self.shares)
        return min(every, key=lambda outcomes: fmean(map(share, outcomes)))

    def measure(self, measured: "Measured", models: Models) -> Figure:
        figure = share_of(self.outcomes(measured, models))
        return figure.model_copy(update={"significant": self._star(measured)})

    def _star(self, measured: "Measured") -> bool | None:
        if not self.starred or len(self.starred[0]) < TESTED_TRAININGS:
            return None
        values = [[share(each) for each in self.outcomes(measured, models)] for models in self.starred]
        differences = [a - b for a, b in zip(*values, strict=True)]
        return corrected_resampled_t_test(differences, test_to_train=1.0).p_value < self.alpha


@dataclass(frozen=True, kw_only=True)
class Metric(Cell):
    """A share of the validation images that the training noted on the model's card."""

    name: str

    def measure(self, measured: "Measured", models: Models) -> Figure:
        (model,) = models
        noted = measured.cards[model].metrics
        value, images = float(noted[self.name]), int(noted["validation_images"])
        return Figure(ours=value, interval=wilson_interval(round(value * images), images))


@dataclass(frozen=True, kw_only=True)
class Seconds(Cell):
    """Seconds an epoch: the median of the turns and their standard deviation."""

    timing: Timing
    of: Model
    unit: ClassVar[Unit] = "seconds"

    @property
    def timings(self) -> tuple[Timing, ...]:
        return (self.timing,)

    def measure(self, measured: "Measured", models: Models) -> Figure:
        del models
        turns = measured.times[self.timing].seconds[self.of.name]
        return Figure(ours=median(turns), deviation=stdev(turns), repeats=len(turns))


@dataclass(frozen=True, kw_only=True)
class Ratio(Seconds):
    """How many times as long as an epoch of ``to``: the ratio of the medians, with the deviation of the turns'."""

    to: Model
    unit: ClassVar[Unit] = "times"

    def measure(self, measured: "Measured", models: Models) -> Figure:
        del models
        if self.of == self.to:
            return Figure(ours=1.0)
        ours, theirs = (measured.times[self.timing].seconds[each.name] for each in (self.of, self.to))
        turns = [a / b for a, b in zip(ours, theirs, strict=True)]
        return Figure(ours=median(ours) / median(theirs), deviation=stdev(turns), repeats=len(turns))


@dataclass(frozen=True, kw_only=True)
class Learned(Cell):
    """A number that is read from the PNIL of a model, shown the first ``images`` test images."""

    reading: Callable[[PNIL, Split], float]
    images: int
    unit: ClassVar[Unit] = "noise level"

    def measure(self, measured: "Measured", models: Models) -> Figure:
        (model,) = models
        return Figure(ours=self.reading(measured.layer(model), measured.test_images(model.dataset, self.images)))


def share_of(outcomes: Sequence[Tensor]) -> Figure:
    """The share of True over one or several models."""
    values = [share(each) for each in outcomes]
    if len(values) > 1:
        return Figure(ours=fmean(values), deviation=stdev(values), repeats=len(values))
    right = int(torch.count_nonzero(outcomes[0]))
    return Figure(ours=values[0], interval=wilson_interval(right, len(outcomes[0])))
