"""What the second paper's tables share: its models, how they are asked, and what each scale spends."""

from functools import partial
from typing import Any

from advtool.data.folds import REPEATS, Fold
from advtool.reproduce.registry import Scale
from advtool.reproduce.steps import Budget, Model
from advtool.reproduce.table import Table

table = partial(
    Table,
    paper="Schwinn, Raab & Eskofier, Towards Rapid and Robust Adversarial Training with One-Step Attacks",
    datasets=("cifar10",),
    differs=("a fixed number of epochs instead of training till convergence",),
)
WITHOUT_GPU = {Scale.smoke: ("digits",), Scale.cpu: ("mnist", "fashion-mnist")}
STATED_EPS = {"mnist": 8 / 255, "fashion-mnist": 4 / 255, "cifar10": 0.03, "digits": 8 / 255}
"""In the paper's text (section 4.3)."""
FITTED_EPS = {"mnist": 0.3, "fashion-mnist": 0.1, "cifar10": 0.03, "digits": 0.3}
"""Madry's, which fit the paper's table 1 where the stated ones do not."""
VOTES = 20
"""Draws of a prediction with PNIL; the paper does not say how it predicts."""
PAPERS_BUDGET = Budget(epochs=10, spsa=(100, 2048), folds=2 * REPEATS)
"""By the epoch of the lowest adversarial validation loss (section 4.4); CIFAR-10 is trained three times as long."""
SCALES = {
    Scale.smoke: Budget(epochs=2, limit=300, validated=50, images=20, folds=2),
    Scale.cpu: Budget(epochs=10, limit=12_000, validated=250, images=200, folds=2, keep="pgd"),
    Scale.paper: PAPERS_BUDGET,
}


def models(
    budget: Budget, dataset: str, recipe: str, eps: float, *, seeds: int = 1, **changes: Any
) -> tuple[Model, ...]:
    """One for each fold and seed; ``changes`` are further settings of the training."""
    folds = [Fold(number // 2, number % 2) for number in range(budget.folds)]
    longer = 3 if dataset == "cifar10" and budget.limit is None else 1
    return tuple(
        Model(
            dataset=dataset,
            recipe=recipe,
            eps=eps,
            epochs=budget.epochs * longer,
            limit=budget.limit,
            validated=budget.validated,
            settings=tuple(sorted({"keep": budget.keep, **changes}.items())),
            fold=fold,
            seed=seed,
        )
        for fold in folds or (None,)
        for seed in range(seeds)
    )


def draws(budget: Budget, *, pnil: bool) -> dict[str, int]:
    """How a model is asked: with PNIL by averages over its noise."""
    return {"eot": budget.eot, "votes": VOTES} if pnil else {}


def title(recipe: str, *, pnil: bool = False) -> str:
    """In a table: ``NFGSM + PNIL``."""
    return recipe.upper() + (" + PNIL" if pnil else "")
