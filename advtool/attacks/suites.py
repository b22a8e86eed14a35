"""Suites: attacks that are asked for by one name, each with the images that it sees."""

from enum import StrEnum


class Scope(StrEnum):
    """Which images an attack sees."""

    every = "every image"
    diagnosed = "survivors, and the images of the diagnostics"
    survivors = "survivors"


SHORT_SMOOTH = "pgd-smooth(samples=10, steps=20)"
"""A fifth of its default cost, and on masked models within a point or two of its strength."""
SHORT_SPSA = "spsa(delta=0.05, samples=64, steps=20)"
"""A wider delta than the papers' looks past steps and noise. After all other attacks, a short search is enough."""
SHORT_TARGETED = "apgd-targeted(finalists=2, targets=5)"
"""For random models, for which the search that doubles is too dear: only the two classes that come nearest, of the
five whose borders are nearest."""
FROM_OUTSIDE = "nearest(reach=2, rounds=9)"
"""It comes back from beyond the ball. Some images that APGD misses from every start fall to it alone."""
LONG_SQUARE = "square(patience=5, queries=5000)"
"""As many queries as AutoAttack's; on a model that hides its gradients it took four points more than all others.

It gives up what is far out of reach. The short Square, which the diagnostics compare with other attacks, does not.
"""

SUITES: dict[str, dict[str, Scope]] = {
    "paper": dict.fromkeys(("fgsm", "pgd", "spsa"), Scope.every),
    "audit": dict.fromkeys(("fgsm", "pgd", "noise"), Scope.every)
    | dict.fromkeys(
        ("pgd-margin", "pgd-temperature", "pgd-straight", SHORT_SMOOTH, "square", "transfer"), Scope.diagnosed
    )
    | dict.fromkeys(
        ("apgd", "apgd(loss='dlr')", SHORT_TARGETED, "doubling", FROM_OUTSIDE, SHORT_SPSA, LONG_SQUARE), Scope.survivors
    ),
}
"""Suites by name: their attacks, in order, with what each sees. Without a surrogate ``transfer`` is left out."""
