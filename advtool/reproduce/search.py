"""A search over readings of a paper: trials, and the ones that validation chooses and trains in full.

Validation images alone choose, so a chosen model may be judged on test images. Its own figure in validation is the best
of many, and too high.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property

from advtool.checkpoints import Header
from advtool.errors import InputError
from advtool.reproduce.steps import Model


@dataclass(frozen=True, kw_only=True)
class Trial(Model):
    """A model of a search. If its training diverges it loses, and the search goes on."""


@dataclass(frozen=True, kw_only=True)
class Chosen(Model):
    """The trial at a ``place`` of the search, trained anew with epochs and images of its own.

    Which one it is, is known after all trials. So ``settings`` hold only what they share.
    """

    trials: tuple[Trial, ...]
    by: Callable[[Header], tuple[float, ...]]
    """how good a trial is, by its card; of equal ones the first is better"""
    place: int = 1
    """from 1, the best"""

    @cached_property
    def name(self) -> str:
        """Of the plan, not of a file: there the trial's settings stand."""
        return f"{self.dataset}-{self.recipe}-place{self.place}of{len(self.trials)}-e{self.epochs}-s{self.seed}"

    @property
    def needed(self) -> tuple[Model, ...]:
        return self.trials

    def picked(self, cards: Mapping[Model, Header]) -> Model:
        """The trial's model at this place, with the epochs and images of this one.

        Raises:
            InputError: so few trainings of the search came to their end.
        """
        standing = [trial for trial in self.trials if trial in cards]
        if len(standing) < self.place:
            raise InputError(f"{self.name}: only {len(standing)} trainings of the search came to their end")
        trial = sorted(standing, key=lambda each: self.by(cards[each]), reverse=True)[self.place - 1]
        as_in_trial = {field.name: getattr(trial, field.name) for field in fields(Model)}
        return Model(**as_in_trial | {"epochs": self.epochs, "limit": self.limit, "validated": self.validated})
