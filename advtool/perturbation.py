"""The tensor steps that training and attacks share, in the L-infinity threat model.

Images are float32 tensors (N, C, H, W) with values in the clip range, [0, 1] unless said otherwise; ``eps``
is a fraction of that range.
"""

import torch
from torch import Tensor

CLIP = (0.0, 1.0)


def sign_step(x: Tensor, gradient: Tensor, size: float) -> Tensor:
    """``x + size * sign(gradient)``: the step of FGSM (Goodfellow et al. 2014). Not projected, not clipped."""
    return torch.add(x, gradient.sign(), alpha=size)


def project(x_adv: Tensor, x: Tensor, eps: float, clip: tuple[float, float] = CLIP) -> Tensor:
    """The point nearest to ``x_adv`` that lies in the eps ball around ``x`` and in the clip range."""
    return x_adv.clamp(x - eps, x + eps).clamp_(*clip)


def ball(x: Tensor, eps: float, clip: tuple[float, float] = CLIP) -> tuple[Tensor, Tensor]:
    """The smallest and the largest values of the points that lie in the eps ball around ``x`` and in the clip range.

    Clamping between them is :func:`project` for many points around the same ``x``, itself in the clip range.
    """
    return (x - eps).clamp_(*clip), (x + eps).clamp_(*clip)


def uniform_noise(x: Tensor, eps: float, generator: torch.Generator | None = None) -> Tensor:
    """Noise of the shape of ``x``, uniform in [-eps, eps]."""
    noise = torch.empty_like(x, memory_format=torch.contiguous_format)
    return noise.uniform_(-eps, eps, generator=generator)


def random_start(
    x: Tensor, eps: float, generator: torch.Generator | None = None, clip: tuple[float, float] = CLIP
) -> Tensor:
    """A point drawn uniformly from the eps ball around ``x``, clipped (Madry et al. 2018)."""
    return (x + uniform_noise(x, eps, generator)).clamp_(*clip)
