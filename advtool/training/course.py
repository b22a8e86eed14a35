"""The course of a training on disk: every epoch leaves a state, from which a training that was stopped goes on."""

from dataclasses import dataclass

from torch import nn

import advtool.training.state as states
from advtool import checkpoints
from advtool.errors import InputError
from advtool.training.keeper import Keeper
from advtool.training.place import Place
from advtool.training.schedule import Updates
from advtool.training.state import Beginning, State


@dataclass(frozen=True)
class Course:
    """What a training keeps of itself, and finds of itself when it goes on.

    Attributes:
        place: where it writes.
        beginning: tells which training it is.
        resumes: it goes on from the state that lies there, if it is its own.
        was_begun: so it does, and it takes the checkpoint if no state is left.
    """

    place: Place
    beginning: Beginning
    resumes: bool = False
    was_begun: bool = False

    def find(self) -> State | None:
        """The state of this very training; None: there is none, it is damaged, or of another."""
        try:
            state = self.place.read_state()
        except InputError:
            return None
        return None if any(state.beginning.differences(self.beginning)) else state

    @property
    def is_over(self) -> bool:
        """Whether the output has this beginning: its header tells all but the images."""
        try:
            header = checkpoints.read_header(self.place.output)
        except InputError:
            return False
        own = self.beginning.header
        alike = header.versions == own.versions and own.metrics.items() <= header.metrics.items()
        return alike and not any(states.differences(header, own))

    def save(self, model: nn.Module, updates: Updates, keeper: Keeper) -> None:
        """Write the state after an epoch."""
        state = State(
            beginning=self.beginning,
            history=keeper.history,
            weights=model.state_dict(),
            best=keeper.best_tensors,
            updates=updates.state(),
        )
        states.write(self.place.state, state)

    def restore(self, state: State, model: nn.Module, updates: Updates, keeper: Keeper) -> None:
        """Bring all three to where they were in the state.

        Raises:
            InputError: its tensors do not fit.
        """
        try:
            model.load_state_dict(state.weights)
            updates.restore(state.updates)
        except (RuntimeError, ValueError, KeyError, IndexError):
            raise InputError(
                f"'{self.place.state}' does not hold the tensors of its training: train again from the beginning"
            ) from None
        keeper.restore(state.history, state.best)
