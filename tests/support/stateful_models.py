"""Models that change what they hold when they are called."""

import collections
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tests.support.models import mlp
from tests.support.strange import SHAPE
from tests.support.strange_models import Net


class RemovesItsHook(Net):
    """Its hook removes itself at the first call."""

    def __init__(self) -> None:
        super().__init__()
        handle = self.register_forward_hook(lambda *_: handle.remove())


class KeepsActivations(Net):
    """Its hook keeps the activations, with the graph."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []
        self.model[1].register_forward_hook(lambda _module, _inputs, output: self.seen.append(output))


class Notes:
    """An object that is not a module and has a counter, a list and a tensor."""

    def __init__(self) -> None:
        self.calls, self.seen, self.total = 0, [1], torch.zeros(2)


class Slots:
    """An object with a counter in a slot."""

    __slots__ = ("calls",)

    def __init__(self) -> None:
        self.calls = 0


class ChangesEverything(Net):
    """Changes something of every kind at each call."""

    def __init__(self) -> None:
        super().__init__()
        self.notes, self.slots, self.last = Notes(), Slots(), collections.deque(maxlen=3)
        self.tally, self.groups = collections.Counter(), collections.defaultdict(list)
        self.register_buffer("count", torch.zeros(()))
        self.array, self.names = np.zeros(3), {"a"}

    def forward(self, x: Tensor) -> Any:
        self.notes.calls += 1
        self.notes.seen.append(2)
        self.notes.total += 1
        self.slots.calls += 1
        self.last.append(x.detach())
        self.tally["calls"] += 1
        self.groups["calls"].append(1)
        self.count = self.count + len(x)
        self.array += 1
        self.names.add(str(len(x)))
        self.model[1].register_forward_hook(lambda *_: None)
        if not hasattr(self, "late"):
            self.late, self.scale = nn.Identity(), nn.Parameter(torch.ones(1))
        return self.late(self.model(x)) * self.scale


class AlternatesByCounter(Net):
    """Its answers change their sign at every call. An object counts the calls."""

    def __init__(self, notes: Any) -> None:
        super().__init__()
        self.notes = notes

    def forward(self, x: Tensor) -> Any:
        self.notes.calls += 1
        return self.model(x) * (-1) ** self.notes.calls


class MovesWeights(Net):
    """Changes its weights at every call, one in place and one by new memory."""

    def forward(self, x: Tensor) -> Any:
        with torch.no_grad():
            self.model[1].weight.mul_(1.001)
            self.model[3].weight.data = self.model[3].weight.data * 1
        return self.model(x)


class WithMovedWeights(Net):
    """:class:`MovesWeights` at its first call."""

    def __init__(self) -> None:
        super().__init__()
        with torch.no_grad():
            self.model[1].weight.mul_(1.001)


class SwapsModules(Net):
    """Exchanges two of its modules at every call."""

    def __init__(self) -> None:
        super().__init__()
        self.spare = mlp(SHAPE, seed=5)

    def forward(self, x: Tensor) -> Any:
        self.model, self.spare = self.spare, self.model
        return self.spare(x)


class Memoises(Net):
    """Keeps its answers, with the graph, and gives them again for the same images."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[bytes, Tensor] = {}

    def forward(self, x: Tensor) -> Any:
        return self.answers.setdefault(x.detach().numpy().tobytes(), self.model(x))


class Adapts(Net):
    """Takes a step of an optimiser at each call, and answers as before the step."""

    def __init__(self) -> None:
        super().__init__()
        self.optimiser = torch.optim.SGD(self.model[3].parameters(), lr=0.1, momentum=0.9)

    @torch.enable_grad()
    def forward(self, x: Tensor) -> Any:
        before = self.model(x).detach()
        self.model(x).logsumexp(1).sum().backward()
        self.optimiser.step()
        return before
