"""What the attacker may do, and its geometry. A new norm is one class here and one line in ``NORMS``.

Images are float32 tensors (N, C, H, W) with values in the clip range. ``eps`` is a fraction of the pixel range [0, 1].
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from advtool import arguments
from advtool.arguments import choice, shown
from advtool.errors import InputError

CLIP = (0.0, 1.0)
"""The range of pixel values."""
ROUNDING = 2 * torch.finfo(torch.float32).eps
"""By so much a pixel of ``x + eps`` in float32 may miss the surface of the ball."""


def uniform(x: Tensor, size: float, generator: torch.Generator | None) -> Tensor:
    """Noise of the shape of ``x``, uniform in [-size, size] for every pixel."""
    # Contiguous, so that the draws do not depend on the layout (channels_last) of the images.
    noise = torch.empty_like(x, memory_format=torch.contiguous_format)
    return noise.uniform_(-size, size, generator=generator)


class Norm(ABC):
    """The geometry of the eps ball around an image. It knows nothing of the clip range."""

    name: ClassVar[str]
    largest_eps: ClassVar[float]
    """A larger ball means nothing: it holds every image already."""

    @abstractmethod
    def project(self, x_adv: Tensor, x: Tensor, eps: float | Tensor) -> Tensor:
        """The point of the ball around ``x`` that is nearest to ``x_adv``. ``eps`` is a number, or (N, 1, 1, 1)."""

    @abstractmethod
    def step(self, x_adv: Tensor, gradient: Tensor, size: float | Tensor) -> Tensor:
        """The steepest step of length ``size`` (a number, or one for each image) along ``gradient``."""

    @abstractmethod
    def random_point(self, x: Tensor, eps: float, generator: torch.Generator | None) -> Tensor:
        """A point drawn uniformly from the ball around ``x``."""

    @abstractmethod
    def box(self, x: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        """The lowest and the highest value of each pixel in the ball around ``x``. Proofs hold for all of this box."""

    @abstractmethod
    def distance(self, x_adv: Tensor, x: Tensor) -> Tensor:
        """The length of ``x_adv - x`` of each image, float64 (N,)."""


class Linf(Norm):
    """Every pixel moves by at most eps (Goodfellow et al. 2014)."""

    name = "linf"
    largest_eps = 1.0

    def project(self, x_adv: Tensor, x: Tensor, eps: float | Tensor) -> Tensor:
        return x_adv.clamp(x - eps, x + eps)

    def step(self, x_adv: Tensor, gradient: Tensor, size: float | Tensor) -> Tensor:
        if isinstance(size, Tensor):
            return x_adv + size.view(-1, 1, 1, 1) * gradient.sign()
        return torch.add(x_adv, gradient.sign(), alpha=size)

    def random_point(self, x: Tensor, eps: float, generator: torch.Generator | None) -> Tensor:
        return x + uniform(x, eps, generator)

    def box(self, x: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        return x - eps, x + eps

    def distance(self, x_adv: Tensor, x: Tensor) -> Tensor:
        return (x_adv.double() - x.double()).abs().flatten(1).amax(1)


NORMS: dict[str, Norm] = {norm.name: norm for norm in (Linf(),)}


def _radius(eps: Any, norm: Any, *, above_0: bool) -> float:
    """The number that ``eps`` is, if the norm has a ball of that radius."""
    most = NORMS[choice(f"norm={shown(norm)}", norm, NORMS)].largest_eps
    radius = arguments.number(eps)
    if radius is None or not 0 <= radius <= most or (above_0 and radius == 0):
        raise InputError(
            f"eps={shown(eps)} is no number in {'(' if above_0 else '['}0, {most:g}]: it is a fraction of the pixel "
            "range, e.g. 8/255"
        )
    return radius


class ThreatModel(BaseModel):
    """The attacker may move an image within the eps ball of a norm, inside the clip range.

    All methods take and give float32 images (N, C, H, W).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    norm: str = Linf.name
    eps: float
    clip: tuple[float, float] = CLIP

    def __init__(self, *, eps: Any, norm: Any = Linf.name, clip: Any = CLIP) -> None:
        """Check what a caller of Python gives; eps may be 0, where nothing moves.

        Raises:
            InputError: an unknown norm, an eps that is no number from 0 to the norm's largest, or a clip that is no
                (low, high).
        """
        radius = _radius(eps, norm, above_0=False)
        super().__init__(eps=radius, norm=norm, clip=arguments.interval(f"clip={shown(clip)}", clip))

    # Pydantic reads documents without __init__: a damaged one is a ValueError there.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    @classmethod
    def of(cls, eps: Any, norm: Any = Linf.name) -> Self:
        """The threat model that a user asks for.

        Raises:
            InputError: an unknown norm, or an eps that is no number above 0 or larger than the norm's largest.
        """
        return cls(norm=norm, eps=_radius(eps, norm, above_0=True))

    def with_eps(self, eps: float) -> Self:
        """The same with another radius."""
        return self.model_copy(update={"eps": eps})

    def project(self, x_adv: Tensor, x: Tensor, eps: Tensor | None = None) -> Tensor:
        """The point nearest to ``x_adv`` in the ball around ``x``, moved into the clip range.

        ``eps`` (N,) gives each image a ball of its own; None gives all of them the threat model's.
        """
        radius = self.eps if eps is None else eps.view(-1, 1, 1, 1)
        return self._norm.project(x_adv, x, radius).clamp_(*self.clip)

    def distance(self, x_adv: Tensor, x: Tensor) -> Tensor:
        """How far each point is from its image: the smallest eps whose ball holds it, float64 (N,)."""
        return self._norm.distance(x_adv, x)

    def step(self, x_adv: Tensor, gradient: Tensor, size: float | Tensor) -> Tensor:
        """``x_adv`` after the steepest step of length ``size`` along ``gradient``. Not projected."""
        return self._norm.step(x_adv, gradient, size)

    def random_point(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """A point drawn uniformly from the ball around ``x``, moved into the clip range (Madry et al. 2018)."""
        return self._norm.random_point(x, self.eps, generator).clamp_(*self.clip)

    def box(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The lowest and the highest value of each pixel in the ball around ``x``, within the clip range."""
        low, high = self._norm.box(x, self.eps)
        return low.clamp(*self.clip), high.clamp(*self.clip)

    def contains(self, x_adv: Tensor, x: Tensor) -> Tensor:
        """Whether ``x_adv`` lies in the ball around ``x`` and in the clip range, to float32 rounding: bool (N,)."""
        low, high = x_adv.flatten(1).aminmax(dim=1)
        rounding = self._norm.distance(torch.full_like(x[:1], ROUNDING), torch.zeros_like(x[:1]))
        near = self._norm.distance(x_adv, x) <= self.eps + rounding
        return near & (low >= self.clip[0]) & (high <= self.clip[1])  # NaN fails every comparison

    @property
    def _norm(self) -> Norm:
        return NORMS[self.norm]
