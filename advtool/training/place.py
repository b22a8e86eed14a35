"""The files of a training: its checkpoint, and what lies beside it until the training is over."""

import glob
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import advtool.training.state as states
from advtool import files, locks
from advtool.checkpoints import SUFFIX
from advtool.errors import InputError
from advtool.training.state import State

PARTIAL, STATE = ".partial", ".state"


@dataclass(frozen=True)
class Place:
    """Where one training at a time writes its checkpoint. Different outputs share no file.

    Attributes:
        output: the checkpoint. A training that is over leaves this file alone.
    """

    output: Path

    @classmethod
    def of(cls, file: Path) -> Self:
        """The place of a checkpoint, which may be named by one of the files beside it."""
        stem, suffix = _cut(file.name, SUFFIX)
        while (shorter := _cut(stem, PARTIAL, STATE)[0]) != stem:
            stem = shorter
        return cls(file.with_name(stem + suffix))

    @property
    def partial(self) -> Path:
        """``NAME.partial.safetensors`` beside ``NAME.safetensors``: the best epoch so far."""
        return self._beside(PARTIAL)

    @property
    def state(self) -> Path:
        """``NAME.state.safetensors`` beside ``NAME.safetensors``: the state after the last epoch."""
        return self._beside(STATE)

    @property
    def is_begun(self) -> bool:
        """Whether a training was stopped here, or finished."""
        return self.state.is_file() or self.output.is_file()

    def check(self) -> None:
        """See before the training whether it may write here.

        Raises:
            InputError: it cannot; the output is a pipe or a device, which has no files beside it; or it has the name
                of a file beside another one.
        """
        files.check_writable(self.output)
        if files.is_special(self.output):
            raise InputError(f"--output '{self.output}' is no regular file: a training writes more files beside it")
        if (other := Place.of(self.output).output) != self.output:
            raise InputError(
                f"--output '{self.output}': {PARTIAL} and {STATE} mark what lies beside '{other}' while it trains: "
                "give another name"
            )

    def read_state(self) -> State:
        """Read the state.

        Raises:
            InputError: there is none, it is damaged, or the file was renamed.
        """
        state = states.read(self.state)
        if state.beginning.output != self.output.name:  # a name with folders in it leads nowhere
            own = _named(Path(state.beginning.output).name, STATE)
            raise InputError(
                f"'{self.state}' was renamed: call it '{own}' again, and the output will have its own name"
            )
        return state

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Try to be the only one that trains here, and remove what killed writes have left.

        The lock lies beside the checkpoint, where every machine that writes it sees it, and is removed in the end.

        Yields:
            Whether this process may train here. False: another one does.

        Raises:
            InputError: nobody may write here.
        """
        checkpoint = files.resolved(self.output)  # two links to one checkpoint have one lock
        lock = checkpoint.with_name(f".{checkpoint.name}.lock")
        with locks.alone(lock) as ours:
            try:
                if ours:
                    self._remove_unfinished()
                yield ours
            finally:
                if ours:
                    with suppress(OSError):
                        lock.unlink()

    def _remove_unfinished(self) -> None:
        for file in (self.output, self.partial, self.state):
            written = files.resolved(file)
            files.remove_unfinished(written.parent, glob.escape(written.name))

    def _beside(self, part: str) -> Path:
        return self.output.with_name(_named(self.output.name, part))


def _named(output: str, part: str) -> str:
    """The name of a file beside an output."""
    stem, suffix = _cut(output, SUFFIX)
    return f"{stem}{part}{suffix}"


def _cut(name: str, *suffixes: str) -> tuple[str, str]:
    """A name without its suffix, and that suffix, if it is one of these and more than dots stand before it."""
    path = Path(name)
    return (path.stem, path.suffix) if path.suffix in suffixes and path.stem.strip(".") else (name, "")
