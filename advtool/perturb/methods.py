"""The methods, one function each. :mod:`advtool.perturb` explains what they share.

The recipes train on the same functions (:mod:`advtool.training.examples`).
"""

import torch
from torch import Tensor, nn

from advtool.errors import InputError
from advtool.perturb.checks import with_checks
from advtool.perturb.gradients import input_gradient
from advtool.threat import ThreatModel, uniform


@with_checks
def fgsm(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    eps: float = 8 / 255,
    eot: int = 1,
    generator: torch.Generator | None = None,
) -> Tensor:
    """The fast gradient sign method: ``x' = clip(x + eps sign(dL/dx))`` (Goodfellow et al. 2014).

    It draws nothing from ``generator``.
    """
    del generator
    threat_model = ThreatModel(eps=eps)
    gradient = input_gradient(model, images, labels, eot=eot)
    return threat_model.step(images, gradient, eps).clamp_(*threat_model.clip)


@with_checks
def r_fgsm(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    eps: float = 8 / 255,
    step_size: float | None = None,
    eot: int = 1,
    generator: torch.Generator | None = None,
) -> Tensor:
    """R+FGSM: a step of random signs, then a gradient step (Tramer et al. 2018, section 4.2).

    ``x_s = x + (eps - a) s``, where every sign s is -1 or 1 at random; then ``x' = clip(x_s + a sign(dL/dx_s))``. The
    ``step_size`` is a, in (0, eps]; None is eps/2.
    """
    a = eps / 2 if step_size is None else step_size
    if a > eps:
        raise InputError(f"step_size={a:g} must be at most eps={eps:g}: the random step takes the rest of eps")
    threat_model = ThreatModel(eps=eps)
    x_s = threat_model.step(images, uniform(images, 1.0, generator), eps - a)
    gradient = input_gradient(model, x_s, labels, eot=eot)
    return threat_model.project(threat_model.step(x_s, gradient, a), images)


@with_checks
def rfgsm(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    eps: float = 8 / 255,
    step_size: float | None = None,
    eot: int = 1,
    generator: torch.Generator | None = None,
) -> Tensor:
    """RFGSM: a uniform start in the ball, one step, projected (Wong et al. 2020, Algorithm 3).

    ``x_s = x + U(-eps, eps)``, which may leave [0, 1]; then ``x' = project(x_s + a sign(dL/dx_s))``, to the ball and to
    [0, 1]. The ``step_size`` is a; None is 1.2 eps (Schwinn et al., section 4.3).
    """
    a = 1.2 * eps if step_size is None else step_size
    threat_model = ThreatModel(eps=eps)
    x_s = images + uniform(images, eps, generator)
    gradient = input_gradient(model, x_s, labels, eot=eot)
    return threat_model.project(threat_model.step(x_s, gradient, a), images)


@with_checks
def nfgsm(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    eps: float = 8 / 255,
    step_size: float | None = None,
    clip: bool = True,
    eot: int = 1,
    generator: torch.Generator | None = None,
) -> Tensor:
    """NFGSM: uniform noise, then a full step from the noisy point (Schwinn et al., Algorithm 1).

    ``X_bn = x + U(-eps, eps)``, ``r = eps sign(sum of eot gradients dL/dX_bn)``, ``x' = clip(X_bn + r)``. It is not
    projected to the ball: its distance from ``x`` is up to 2 eps. A ``step_size`` replaces the eps of r.

    The algorithm itself does not clip, and ``advtool train nfgsm`` does not either: with ``clip=False`` x' is up to
    2 eps outside of [0, 1].
    """
    threat_model = ThreatModel(eps=eps)
    X_bn = images + uniform(images, eps, generator)
    gradient = input_gradient(model, X_bn, labels, eot=eot)
    x_adv = threat_model.step(X_bn, gradient, eps if step_size is None else step_size)
    return x_adv.clamp_(*threat_model.clip) if clip else x_adv


@with_checks
def pgd(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    eps: float = 8 / 255,
    steps: int = 10,
    step_size: float | None = None,
    eot: int = 1,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Projected gradient descent from a random point of the ball (Madry et al. 2018).

    ``x_0 = clip(x + U(-eps, eps))``, then ``steps`` times ``x_t+1 = project(x_t + a sign(dL/dx_t))``, to the ball and
    to [0, 1]. The ``step_size`` is a; None is 2.5 eps / steps. It returns the last point, which is what a training
    needs. To measure robustness use :func:`advtool.evaluate`.
    """
    a = 2.5 * eps / steps if step_size is None else step_size
    threat_model = ThreatModel(eps=eps)
    x_adv = threat_model.random_point(images, generator)
    for _ in range(steps):
        gradient = input_gradient(model, x_adv, labels, eot=eot)
        x_adv = threat_model.project(threat_model.step(x_adv, gradient, a), images)
    return x_adv
