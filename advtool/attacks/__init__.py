"""The attacks, as ART's ``EvasionAttack``s: ``from advtool.attacks import PGD, SPSA``."""

from importlib import import_module
from typing import Any


def __getattr__(name: str) -> Any:
    """The attacks by the names of their classes. ART takes seconds to import: only who asks for a class waits."""
    attacks = import_module("advtool.attacks.registry").ATTACKS.values() if name[0].isupper() else ()
    for attack in attacks:
        if attack.__name__ == name:
            return attack
    raise AttributeError(f"module 'advtool.attacks' has no attribute '{name}'")
