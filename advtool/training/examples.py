"""How training makes its adversarial examples: tensor functions with one signature.

A new kind is a function and a line in ``EXAMPLES``, which holds the names that recipes use.
"""

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from advtool.errors import InputError, near_match
from advtool.threat import ThreatModel
from advtool.training.gradients import input_gradient

Gradient = Callable[[Tensor], Tensor]
"""``dL/dx`` of images (N, C, H, W) at the present weights: a tensor like the images."""


class Examples(Protocol):
    """Makes adversarial examples of ``x`` with the ``gradient`` of the loss.

    Args:
        x: float32 (N, C, H, W) in [0, 1].
        gradient: of the loss, for images like ``x``.
        threat_model: gives eps, the geometry of its norm and the clip range.
        generator: on the device of ``x``; the only source of the examples' own noise.

    A kind may take settings of its own. Sizes of steps are fractions of the pixel range.

    Returns:
        A detached tensor like ``x``.
    """

    def __call__(
        self, x: Tensor, gradient: Gradient, *, threat_model: ThreatModel, generator: torch.Generator
    ) -> Tensor: ...


def fgsm(x: Tensor, gradient: Gradient, *, threat_model: ThreatModel, generator: torch.Generator) -> Tensor:
    """Fast gradient sign method: ``clip(x + eps sign(dL/dx))`` (Goodfellow et al. 2014).

    See :class:`Examples`. It draws nothing from ``generator``.
    """
    del generator
    return threat_model.step(x, gradient(x), threat_model.eps).clamp_(*threat_model.clip)


def r_fgsm(
    x: Tensor,
    gradient: Gradient,
    *,
    threat_model: ThreatModel,
    generator: torch.Generator,
    step_size: float | None = None,
) -> Tensor:
    """R+FGSM: a step of random signs, then a gradient step (Tramer et al. 2018, section 4.2).

    ``x' = x + (eps - a) s``, where every sign s is -1 or 1 at random; then ``clip(x' + a sign(dL/dx'))``. The
    ``step_size`` is a, eps/2 by default. See :class:`Examples`.
    """
    eps = threat_model.eps
    a = eps / 2 if step_size is None else step_size
    x_start = threat_model.step(x, uniform_noise(x, 1.0, generator), eps - a)
    return threat_model.project(threat_model.step(x_start, gradient(x_start), a), x)


def rfgsm(
    x: Tensor,
    gradient: Gradient,
    *,
    threat_model: ThreatModel,
    generator: torch.Generator,
    step_size: float | None = None,
) -> Tensor:
    """RFGSM: a uniform start in the ball, one step, projected (Wong et al. 2020, Algorithm 3).

    The ``step_size`` is 1.2 eps by default (Schwinn et al., section 4.3). The algorithm does not clip the start.
    The example lies in the ball and in the clip range. See :class:`Examples`.
    """
    a = 1.2 * threat_model.eps if step_size is None else step_size
    x_start = x + uniform_noise(x, threat_model.eps, generator)
    return threat_model.project(threat_model.step(x_start, gradient(x_start), a), x)


def nfgsm(
    x: Tensor,
    gradient: Gradient,
    *,
    threat_model: ThreatModel,
    generator: torch.Generator,
    step_size: float | None = None,
    clip: bool = False,
) -> Tensor:
    """NFGSM: noise, then a full step from the noisy point (Schwinn et al., Algorithm 1).

    ``X_bn = x + noise`` with noise uniform in [-eps, eps]; ``r = eps sign(sum of dL/dX_bn)``; the example is
    ``X_bn + r``. Its distance from ``x`` is up to 2 eps, and it is clipped to the clip range only with ``clip``.
    A ``step_size`` replaces the eps of r. See :class:`Examples`.
    """
    X_bn = x + uniform_noise(x, threat_model.eps, generator)
    x_adv = threat_model.step(X_bn, gradient(X_bn), threat_model.eps if step_size is None else step_size)
    return x_adv.clamp_(*threat_model.clip) if clip else x_adv


def pgd(
    x: Tensor,
    gradient: Gradient,
    *,
    threat_model: ThreatModel,
    generator: torch.Generator,
    steps: int = 10,
    step_size: float | None = None,
) -> Tensor:
    """Projected gradient descent: ``steps`` projected steps from a random point of the ball (Madry et al. 2018).

    The ``step_size`` is 2.5 eps / steps by default. Every step is projected to the ball and to the clip range. See
    :class:`Examples`.
    """
    a = 2.5 * threat_model.eps / steps if step_size is None else step_size
    x_adv = threat_model.random_point(x, generator)
    for _ in range(steps):
        x_adv = threat_model.project(threat_model.step(x_adv, gradient(x_adv), a), x)
    return x_adv


EXAMPLES: dict[str, Examples] = {"fgsm": fgsm, "r+fgsm": r_fgsm, "rfgsm": rfgsm, "nfgsm": nfgsm, "pgd": pgd}
"""The kinds by the names that recipes use."""


def craft(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    kind: str,
    *,
    threat_model: ThreatModel,
    generator: torch.Generator,
    eot: int = 1,
    **settings: Any,
) -> Tensor:
    """Adversarial examples against ``model``, in the mode (train or eval) that it is in.

    The model's mode, parameter gradients and batch-norm statistics stay as they were.

    Args:
        model: maps images like ``x`` to logits (N, classes).
        x: float32 (N, C, H, W) in [0, 1].
        y: labels, int64 (N,).
        kind: a name in ``EXAMPLES``.
        threat_model: of the attacker.
        generator: of the examples' noise, on the device of ``x``.
        eot: how many gradients are summed for each step.
        settings: keyword arguments of the kind.

    Raises:
        InputError: there is no such kind.
    """
    if kind not in EXAMPLES:
        raise InputError(f"unknown kind of examples '{kind}'{near_match(kind, EXAMPLES)}")
    make: Callable[..., Tensor] = EXAMPLES[kind]
    return make(
        x,
        lambda at: input_gradient(model, at, y, eot=eot),
        threat_model=threat_model,
        generator=generator,
        **settings,
    )


def uniform_noise(x: Tensor, size: float, generator: torch.Generator) -> Tensor:
    """Noise of the shape of ``x``, uniform in [-size, size] for every pixel."""
    noise = torch.empty_like(x, memory_format=torch.contiguous_format)
    return noise.uniform_(-size, size, generator=generator)
