"""How training makes its adversarial examples: with the methods of :mod:`advtool.perturb`.

A new kind is a function and a line in ``EXAMPLES``, which holds the names that recipes use.
"""

from typing import Any, Protocol

import torch
from torch import Tensor, nn

from advtool import perturb
from advtool.errors import InputError, near_match
from advtool.perturb.checks import unchecked
from advtool.threat import Linf, ThreatModel


class Examples(Protocol):
    """Makes adversarial examples of ``images``. :mod:`advtool.perturb` explains the arguments.

    A kind may take settings of its own. Sizes of steps are fractions of the pixel range.

    Returns:
        A detached tensor like ``images``.
    """

    def __call__(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        *,
        eps: float,
        eot: int,
        generator: torch.Generator,
    ) -> Tensor: ...


EXAMPLES: dict[str, Examples] = {
    "fgsm": perturb.fgsm,
    "r+fgsm": perturb.r_fgsm,
    "rfgsm": perturb.rfgsm,
    "nfgsm": perturb.nfgsm,
    "pgd": perturb.pgd,
}
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
        threat_model: of the attacker; its norm is linf.
        generator: of the examples' noise, on the device of ``x``.
        eot: how many gradients are summed for each step.
        settings: keyword arguments of the kind.

    Raises:
        InputError: there is no such kind, or none in that norm.
    """
    if threat_model.norm != Linf.name:
        raise InputError(f"the examples of trainings are made in {Linf.name} alone, not in {threat_model.norm}")
    if kind not in EXAMPLES:
        raise InputError(f"unknown kind of examples '{kind}'{near_match(kind, EXAMPLES)}")
    return unchecked(EXAMPLES[kind])(model, x, y, eps=threat_model.eps, eot=eot, generator=generator, **settings)
