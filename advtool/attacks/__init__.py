"""Attacks as ART ``EvasionAttack``s, and the target as ART sees it."""
