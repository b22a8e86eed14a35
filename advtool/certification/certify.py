"""``certify``: which of these images can no attack break?"""

from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import nn

from advtool import arguments, seeding
from advtool.certification.certifier import Certificate, Certifier, NotCertifiable
from advtool.data import as_pairs
from advtool.errors import InputError
from advtool.target.arithmetic import plain_defaults
from advtool.target.handling import handled, home_of
from advtool.target.making import open_target
from advtool.target.memory_use import halving_on_out_of_memory
from advtool.target.preflight import preflight
from advtool.target.scores import refuse_missing_classes
from advtool.target.target import Target
from advtool.threat import ThreatModel

FEW_IMAGES = 8
"""Images on which the model is looked at."""


@plain_defaults()
@torch.inference_mode(False)
@torch.no_grad()
def certify(
    model: nn.Module,
    images: Any,
    labels: Any = None,
    *,
    eps: float,
    norm: str = "linf",
    seconds: float = 2.0,
    limit: int | None = None,
    device: torch.device | str | None = None,
) -> Certificate:
    """Prove of as many images as possible that no adversarial example exists.

    Linear bounds are propagated backwards through the model (CROWN; Zhang et al. 2018). For images that they leave
    undecided slopes are optimised (Xu et al. 2021), and the ball is cut at ReLUs (Bunel et al. 2020; Wang et al.
    2021). A proof holds for the model as it computes in float32.

    Args:
        model: float32 (N, C, H, W) in [0, 1] -> logits (N, classes), on any device; it is left as it was.
        images: as for :func:`advtool.evaluate`.
        labels: class indices (N,); None where ``images`` brings them.
        eps: radius of the ball, a fraction of the pixel range.
        norm: of the ball.
        seconds: time for each image that linear bounds leave undecided; 0: linear bounds alone.
        limit: the first ``limit`` images; None takes all.
        device: where to compute; None computes where the model is.

    Returns:
        ``certified`` (N,) and ``lower`` (N,), on the CPU, and ``method``.

    Raises:
        InputError: an argument is wrong, the model is broken, it has no bounds, or memory runs out with one image at a
            time; the message says why.
    """
    time_for_each = arguments.seconds(f"seconds={arguments.shown(seconds)}", seconds)
    threat_model = ThreatModel.of(eps, norm)
    x, y = as_pairs(images, labels, limit)
    place = home_of(model) if device is None else arguments.device(device)
    with handled(model, place) as ours:
        few = x[:FEW_IMAGES].to(place)
        with seeding.global_streams(place, 0, "probe"):
            facts = preflight(ours, few)
        target, _ = open_target(ours, few, known=facts)  # without a search form, which no proof needs
        refuse_missing_classes(y, target.classes)
        try:
            certifier = Certifier(target, few)
        except NotCertifiable as error:
            raise InputError(f"the model has no bounds: {error}") from None
        prove = partial(certifier.certify, x.to(place), y.to(place), threat_model, seconds=time_for_each)
        found = halving_on_out_of_memory(prove, partial(_halve, target))
    return replace(found, certified=found.certified.cpu(), lower=found.lower.cpu())


def _halve(target: Target) -> int:
    """Halve the images in a pass, and with them what the bounds keep at once; 0 if not even one fitted."""
    target.batch_size //= 2
    return target.batch_size
