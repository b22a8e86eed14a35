"""Families of attacks that the rules compare, by what each attack declares of itself."""

from collections.abc import Callable

from advtool.attacks.base import Guide, TensorAttack
from advtool.attacks.losses import tempered_cross_entropy
from advtool.attacks.pgd import PGD
from advtool.target.scores import Loss, per_image_cross_entropy

Family = Callable[[type[TensorAttack]], bool]
"""Whether an attack belongs to it."""


def guided_by(guide: Guide) -> Family:
    """All attacks whose way this tells."""
    return lambda attack: attack.guide is guide


def pgd_on(*losses: Loss) -> Family:
    """PGD along the model's own gradient of one of these losses."""
    return lambda attack: issubclass(attack, PGD) and attack.guide is Guide.gradient and attack.loss in losses


def single_step(attack: type[TensorAttack]) -> bool:
    """Attacks of one step along the model's own gradient."""
    return attack.one_step and attack.guide is Guide.gradient


def many_steps(attack: type[TensorAttack]) -> bool:
    """Attacks of many steps along the model's own gradient, whatever their loss."""
    return not attack.one_step and attack.guide is Guide.gradient


plain_pgd = pgd_on(per_image_cross_entropy)
pgd_on_cross_entropy = pgd_on(per_image_cross_entropy, tempered_cross_entropy)
"""With or without a temperature: the losses whose smoothed and straight-through gradients PGD follows, too."""
