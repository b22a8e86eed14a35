"""Attacks as ART ``EvasionAttack``s, and the ART estimator they run on."""
