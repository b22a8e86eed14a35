"""Where a training writes, and what it finds there."""

from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

import advtool.training.state as states
from advtool import checkpoints
from advtool.errors import InputError
from advtool.training.beside import state_path
from advtool.training.keeper import Keeper
from advtool.training.schedule import Updates
from advtool.training.state import Beginning, State


@dataclass(frozen=True)
class Place:
    """Where a training writes its checkpoint, with the state beside it after every epoch.

    Attributes:
        output: of the checkpoint.
        beginning: tells which training it is.
        state: from which it goes on; None: it begins.
    """

    output: Path
    beginning: Beginning
    state: State | None = None

    def after_a_restart(self) -> "Place":
        """The place with the state that lies beside its output by now."""
        return self if self.state is not None else replace(self, state=found_beside(self.output, self.beginning))

    @property
    def is_over(self) -> bool:
        """Whether no state is left, and the output has this beginning: its header tells all but the images."""
        if self.state is not None:
            return False
        try:
            header = checkpoints.read_header(self.output)
        except InputError:
            return False
        own = self.beginning.header
        alike = header.versions == own.versions and own.metrics.items() <= header.metrics.items()
        return alike and not any(states.differences(header, own))

    def save(self, model: nn.Module, updates: Updates, keeper: Keeper) -> Path:
        """Write the state after an epoch, and tell where."""
        path = state_path(self.output)
        state = State(
            beginning=self.beginning,
            history=keeper.history,
            weights=model.state_dict(),
            best=keeper.best_tensors,
            updates=updates.state(),
        )
        states.write(path, state)
        return path

    def clear(self) -> None:
        """Remove the state of a training that is over."""
        state_path(self.output).unlink(missing_ok=True)

    def restore(self, model: nn.Module, updates: Updates, keeper: Keeper) -> None:
        """Bring all three to where they were in the place's state.

        Raises:
            InputError: the state's tensors do not fit.
        """
        assert self.state is not None
        try:
            model.load_state_dict(self.state.weights)
            updates.restore(self.state.updates)
        except (RuntimeError, ValueError, KeyError, IndexError):
            raise InputError(
                f"'{state_path(self.output)}' does not hold the tensors of its training: train again from the beginning"
            ) from None
        keeper.restore(self.state.history, self.state.best)


def found_beside(output: Path, beginning: Beginning) -> State | None:
    """The state beside ``output``, if it is of this training; None: there is none, it is damaged, or of another."""
    try:
        state = states.read(state_path(output))
    except InputError:
        return None
    return None if any(state.beginning.differences(beginning)) else state
