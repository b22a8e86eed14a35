"""A random model whose noise is known: it draws the same noise at every call."""

from functools import partial

from torch import Tensor, nn

from advtool.target.facts import Randomness
from advtool.target.target import Target


def with_known_noise(target: Target, seed: int, *place: str | int) -> Target:
    """A target without randomness: ``target``'s model with the noise of the stream ``place`` at every call.

    A call's noise belongs to the rows of its batch. So ask for the same images in the same order each time.

    Args:
        target: a random model.
        seed: the seed of the run.
        place: the name of the stream; each name is another field of noise.
    """

    def hold(model: nn.Module) -> nn.Module:
        return _Held(model, target, seed, *place)

    return target.behind(hold, eot=1, votes=1, randomness=Randomness.none)


class _Held(nn.Module):
    """A model whose every call begins from the same stream."""

    def __init__(self, model: nn.Module, target: Target, seed: int, *place: str | int) -> None:
        super().__init__()
        self.model = model
        self._stream = partial(target.streams, seed, *place)

    def forward(self, x: Tensor) -> Tensor:
        with self._stream():
            logits: Tensor = self.model(x)
        return logits
