"""The processes of one command. torchrun starts several, and tells each its rank in the environment."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

from advtool.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch.distributed.distributed_c10d import Store

LONGEST_WAIT = timedelta(hours=2)
"""While rank 0 validates or makes examples, the others wait for it. torchrun itself sees a process that dies."""

MEETING = "advtool meets at"
"""The key in torchrun's store where rank 0 leaves the name."""
SECONDS_BETWEEN_LOOKS = 0.05


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """One of the processes that work together, and how many there are.

    Attributes:
        rank: its number, from 0.
        world_size: how many there are, on all machines.
        local_rank: its number on its machine.
        local_world_size: how many there are on its machine.
        restarts: how often torchrun has started all of them again, because one had died.
        max_restarts: how often it will at most.
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    local_world_size: int = 1
    restarts: int = 0
    max_restarts: int = 0

    @classmethod
    def of_environment(cls, environment: Mapping[str, str] = os.environ) -> Ranks:
        """What torchrun says in the environment; one process alone without ``RANK`` and ``WORLD_SIZE``.

        Raises:
            InputError: a variable is no whole number, or the rank lies outside of the world.
        """
        if not {"RANK", "WORLD_SIZE"} <= environment.keys():
            return cls()
        rank, world_size = _number(environment, "RANK", 0), _number(environment, "WORLD_SIZE", 1)
        if rank >= world_size:
            raise InputError(
                f"RANK={rank} WORLD_SIZE={world_size} in the environment: ranks count from 0; use torchrun"
            )
        return cls(
            rank=rank,
            world_size=world_size,
            local_rank=_number(environment, "LOCAL_RANK", 0),
            local_world_size=_number(environment, "LOCAL_WORLD_SIZE", 1),
            restarts=_number(environment, "TORCHELASTIC_RESTART_COUNT", 0),
            max_restarts=_number(environment, "TORCHELASTIC_MAX_RESTARTS", 0),
        )

    @property
    def is_first(self) -> bool:
        """Whether this process speaks and writes for all."""
        return self.rank == 0

    @property
    def are_several(self) -> bool:
        """Whether there are other processes."""
        return self.world_size > 1

    def device(self, place: torch.device) -> torch.device:
        """Where this process computes: of several, each takes a CUDA device of its own while there are enough."""
        import torch  # noqa: PLC0415 - it takes seconds, and a command asks for the ranks before it needs torch

        if self.are_several and place == torch.device("cuda"):
            return torch.device("cuda", self.local_rank % torch.cuda.device_count())
        return place

    @contextmanager
    def group(self, device: torch.device) -> Iterator[None]:
        """Join the others in torch's process group, and leave it at the end. One process alone joins nothing.

        A group that the caller has made is used as it is.

        Args:
            device: where this process computes, see :meth:`device`. CUDA devices talk through NCCL, which wants one
                for each process; otherwise all talk through Gloo.

        Raises:
            InputError: another process ended.
        """
        import torch  # noqa: PLC0415
        import torch.distributed as dist  # noqa: PLC0415
        from torch.distributed.distributed_c10d import PrefixStore  # noqa: PLC0415
        from torch.distributed.rendezvous import rendezvous  # noqa: PLC0415

        if not self.are_several or dist.is_initialized():
            yield
            return
        enough = device.type == "cuda" and self.local_world_size <= torch.cuda.device_count()
        if enough:
            torch.cuda.set_device(device)
        try:
            store, rank, world_size = next(rendezvous("env://", timeout=LONGEST_WAIT))
            dist.init_process_group(
                "nccl" if enough else "gloo",
                store=PrefixStore(meet(store, rank, world_size), store),
                rank=rank,
                world_size=world_size,
                timeout=LONGEST_WAIT,
            )
            yield
        except RuntimeError as error:
            if isinstance(error, dist.DistError) or "gloo" in str(error).lower():
                raise InputError(f"rank {self.rank} lost another rank; see its message above, if it left one") from None
            raise
        finally:
            if dist.is_initialized():
                dist.destroy_process_group()


ALONE = Ranks()
"""One process that works with nobody."""


def meet(store: Store, rank: int, world_size: int) -> str:
    """A name that the ranks have in common and that no ranks had before.

    torchrun keeps its store over a restart, with the addresses of dead ranks in it: what the ranks write there belongs
    below a new name. The number of restarts is no such name, because each machine counts its own.

    Args:
        store: that all ranks share.
        rank: of this process.
        world_size: how many call this.
    """
    own = uuid4().hex
    if rank == 0:
        store.set(MEETING, own)
        for other in range(1, world_size):
            store.set(store.get(f"{own}/{other}").decode(), "seen")
        return own
    while True:
        meeting = store.get(MEETING).decode()  # of dead ranks, until rank 0 is here
        store.set(f"{meeting}/{rank}", own)
        if store.check([own]):
            return meeting
        time.sleep(SECONDS_BETWEEN_LOOKS)


def _number(environment: Mapping[str, str], name: str, least: int) -> int:
    """A whole number; the ``least`` where there is no such variable."""
    text = environment.get(name, str(least))
    if not text.isdecimal() or int(text) < least:
        raise InputError(f"{name}={text} in the environment: torchrun sets it to a whole number from {least} on")
    return int(text)
