"""How training makes its adversarial examples: plain tensor functions with one signature.

A new kind is a function and a line in ``EXAMPLES``, the names by which recipes know them.
"""

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from advtool.perturbation import CLIP, project, random_start, sign_step, uniform_noise
from advtool.training.gradients import input_gradient

Gradient = Callable[[Tensor], Tensor]
"""``dL/dx`` of images (N, C, H, W), at the weights as they are now; likewise (N, C, H, W)."""


class Examples(Protocol):
    """Makes adversarial examples of ``x`` by the loss's ``gradient``.

    Arguments: ``x`` float32 (N, C, H, W) in [0, 1]; ``eps`` in (0, 1], a fraction of the pixel range;
    ``generator`` on the device of ``x``, the only source of the examples' own noise. Returns a tensor like
    ``x``, detached. A kind may take settings of its own, sizes being fractions of the pixel range too.
    """

    def __call__(self, x: Tensor, gradient: Gradient, *, eps: float, generator: torch.Generator) -> Tensor: ...


def fgsm(x: Tensor, gradient: Gradient, *, eps: float, generator: torch.Generator) -> Tensor:
    """Fast gradient sign method: ``clip(x + eps sign(dL/dx))`` (Goodfellow et al. 2014).

    See :class:`Examples`; it draws nothing from ``generator``.
    """
    del generator
    return sign_step(x, gradient(x), eps).clamp_(*CLIP)


def r_fgsm(
    x: Tensor, gradient: Gradient, *, eps: float, generator: torch.Generator, step_size: float | None = None
) -> Tensor:
    """R+FGSM: a step of random signs, then a gradient step from there (Tramer et al. 2018, section 4.2).

    ``x' = x + (eps - a) s``, every sign s being -1 or 1 at random, then ``clip(x' + a sign(dL/dx'))``: a is the
    ``step_size``, eps/2 by default. See :class:`Examples`.
    """
    a = eps / 2 if step_size is None else step_size
    x_start = sign_step(x, uniform_noise(x, 1.0, generator), eps - a)
    return project(sign_step(x_start, gradient(x_start), a), x, eps)


def rfgsm(
    x: Tensor, gradient: Gradient, *, eps: float, generator: torch.Generator, step_size: float | None = None
) -> Tensor:
    """RFGSM: a uniform start in the ball, one step, projected (Wong et al. 2020, Algorithm 3).

    ``step_size`` is 1.2 eps by default, as in section 4.3 of Schwinn et al. As in the algorithm the start is not
    clipped; what comes out lies in the ball and in [0, 1]. See :class:`Examples`.
    """
    x_start = x + uniform_noise(x, eps, generator)
    return project(sign_step(x_start, gradient(x_start), 1.2 * eps if step_size is None else step_size), x, eps)


def nfgsm(
    x: Tensor,
    gradient: Gradient,
    *,
    eps: float,
    generator: torch.Generator,
    step_size: float | None = None,
    clip: bool = False,
) -> Tensor:
    """NFGSM: noise, then a full step around the noisy point (Schwinn et al., Algorithm 1).

    ``X_bn = x + noise`` with noise uniform in [-eps, eps]; ``r = eps sign(sum of dL/dX_bn)``; the example is
    ``X_bn + r``. It may lie 2 eps from ``x``, and outside of [0, 1] unless ``clip``. ``step_size``, eps by
    default, stands for the eps of r. See :class:`Examples`.
    """
    X_bn = x + uniform_noise(x, eps, generator)
    x_adv = sign_step(X_bn, gradient(X_bn), eps if step_size is None else step_size)
    return x_adv.clamp_(*CLIP) if clip else x_adv


def pgd(
    x: Tensor,
    gradient: Gradient,
    *,
    eps: float,
    generator: torch.Generator,
    steps: int = 10,
    step_size: float | None = None,
) -> Tensor:
    """Projected gradient descent: ``steps`` sign steps from a random start in the ball (Madry et al. 2018).

    ``step_size`` is 2.5 eps / steps by default; each step is projected to the ball and to [0, 1]. See
    :class:`Examples`.
    """
    a = 2.5 * eps / steps if step_size is None else step_size
    x_adv = random_start(x, eps, generator)
    for _ in range(steps):
        x_adv = project(sign_step(x_adv, gradient(x_adv), a), x, eps)
    return x_adv


EXAMPLES: dict[str, Examples] = {"fgsm": fgsm, "r+fgsm": r_fgsm, "rfgsm": rfgsm, "nfgsm": nfgsm, "pgd": pgd}


def craft(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    kind: str,
    *,
    eps: float,
    generator: torch.Generator,
    eot: int = 1,
    **settings: Any,
) -> Tensor:
    """Examples of a kind in ``EXAMPLES`` against ``model``, in the mode (train or eval) that it is in.

    ``y`` is int64 (N,); ``eot`` gradients are summed at each step; ``settings`` are the kind's own. The model's
    parameter gradients and batch-norm statistics stay as they were.
    """
    make: Callable[..., Tensor] = EXAMPLES[kind]
    return make(x, lambda at: input_gradient(model, at, y, eot=eot), eps=eps, generator=generator, **settings)
