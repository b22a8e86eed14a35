"""Families of attacks that the rules compare. What an attack class declares decides where it belongs."""

from collections.abc import Callable

from advtool.attacks.base import Guide, TensorAttack
from advtool.attacks.losses import tempered_cross_entropy
from advtool.attacks.pgd import PGD
from advtool.target.scores import Loss, per_image_cross_entropy

Family = Callable[[type[TensorAttack]], bool]
"""Tells whether a class of attacks belongs to the family."""


def guided_by(guide: Guide) -> Family:
    """The attacks that follow this guide."""
    return lambda attack: attack.guide is guide


def pgd_on(*losses: Loss) -> Family:
    """PGD along the model's own gradient of one of these losses, however many steps it takes."""
    return lambda attack: issubclass(attack, PGD) and attack.guide is Guide.gradient and attack.loss in losses


def single_step(attack: type[TensorAttack]) -> bool:
    """Whether the attack takes one step along the model's own gradient."""
    return attack.one_step and attack.guide is Guide.gradient


def many_steps(attack: type[TensorAttack]) -> bool:
    """Whether the attack takes many steps along the model's own gradient, whatever its loss."""
    return not attack.one_step and attack.guide is Guide.gradient


plain_pgd = pgd_on(per_image_cross_entropy)
"""PGD on cross entropy, without a temperature."""
pgd_on_cross_entropy = pgd_on(per_image_cross_entropy, tempered_cross_entropy)
"""PGD on cross entropy, with or without a temperature. Smoothed and straight-through PGD use these two losses."""
