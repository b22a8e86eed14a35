"""What the second paper's tables share: recipes with and without PNIL, eps, cross-validation, budgets, questions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from advtool.reproduce.folds import REPEATS, Fold, all_folds
from advtool.reproduce.plan import TRAIN_IMAGES, Model, Question, limit_of, settings
from advtool.reproduce.scale import Scale
from advtool.training.settings import Keep

DATASETS = ("cifar10", "fashion-mnist", "mnist")
STATED_EPS = {"mnist": 8 / 255, "fashion-mnist": 4 / 255, "cifar10": 0.03, "digits": 8 / 255}
"""In the paper's text (section 4.3)."""
FITTED_EPS = {"mnist": 0.3, "fashion-mnist": 0.1, "cifar10": 0.03, "digits": 0.3}
"""Madry's, which fit the paper's table 1 where the stated ones do not."""
RECIPES = ("rfgsm", "nfgsm")
EPOCHS = {"cifar10": 30}
"""At the scale paper, which trains "till convergence"; 10 elsewhere."""
VOTES = 20
"""Draws of a prediction with PNIL; the paper does not say how it predicts."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What a scale spends.

    Attributes:
        epochs: of every training; None: until our recipes converge.
        limit: training images; None: all of a fold.
        validated: validation images; None: all of a fold's.
        images: test images of an evaluation; None: all of a fold's.
        repeats: of the two-fold cross-validation; None: the data set's own split.
        keep: the kept epoch. The paper's has the lowest adversarial validation loss (section 4.4).
    """

    epochs: int | None
    limit: int | None
    validated: int | None
    images: int | None
    repeats: int | None
    keep: Keep = "loss"

    def folds(self) -> list[Fold]:
        """The folds that are trained."""
        return all_folds(self.repeats or 0)

    def cuts(self, datasets: Sequence[str]) -> tuple[str, ...]:
        """In what it is less than the paper's protocol."""
        return tuple(self._cuts(datasets))

    def _cuts(self, datasets: Sequence[str]) -> Iterator[str]:
        epochs = {str(self.epochs or EPOCHS.get(dataset, 10)) for dataset in datasets}
        yield f"{' or '.join(sorted(epochs))} epochs in place of training till convergence"
        if self.repeats is None and not self.limit:
            yield "training images less those that choose the epoch"
        if self.keep == "pgd":
            yield "the epoch of the best PGD accuracy in place of the lowest adversarial loss, an early one of so few"
        if any(limit_of(dataset, self.limit) for dataset in datasets):
            yield f"{self.limit} training images{self._of_each} in place of all"
        if self.validated:
            yield f"{self.validated} validation images{self._of_each} in place of all"
        if self.images:
            yield f"{self.images} test images{self._of_each} in place of all"
        if self.repeats is not None and self.repeats < REPEATS:
            yield f"{self.repeats} x 2-fold cross-validation in place of {REPEATS} x 2"

    @property
    def _of_each(self) -> str:
        return "" if self.repeats is None else " of each fold"


@dataclass(frozen=True, kw_only=True)
class AuditBudget(Budget):
    """What a scale spends where the models are attacked by more than PGD.

    Attributes:
        audited: test images, of each fold, of SPSA and of the audit; 0: neither is made.
        spsa_steps: of SPSA.
        spsa_samples: forward evaluations a step of SPSA.
        eot: draws that every gradient of a model with PNIL averages over.
        first_folds: so many of the folds are trained; None: all.
    """

    audited: int = 1000
    spsa_steps: int = 100
    spsa_samples: int = 2048
    eot: int = 100
    first_folds: int | None = None

    def folds(self) -> list[Fold]:
        """The folds that are trained."""
        return super().folds()[: self.first_folds]

    def _cuts(self, datasets: Sequence[str]) -> Iterator[str]:
        yield from super()._cuts(datasets)
        if self.first_folds:
            yield f"{self.first_folds} of its folds trained"
        if not self.audited:
            yield "neither SPSA nor the audit"
        elif self.audited < 1000:
            yield f"SPSA and the audit on {self.audited} images{self._of_each} in place of 1000"
        if self.audited and (self.spsa_steps, self.spsa_samples) != (100, 2048):
            yield f"SPSA with {self.spsa_steps} steps of {self.spsa_samples} evaluations in place of 100 of 2048"
        if self.eot < 100:
            yield f"{self.eot} EOT draws for models with PNIL in place of 100"


SCALES = {
    Scale.smoke: Budget(epochs=2, limit=300, validated=50, images=20, repeats=1),
    Scale.cpu: Budget(epochs=10, limit=12_000, validated=250, images=200, repeats=1, keep="pgd"),
    Scale.paper: Budget(epochs=None, limit=None, validated=None, images=None, repeats=REPEATS),
}


def model(
    dataset: str, recipe: str, budget: Budget, *, eps: float, pnil: bool, fold: Fold | None, **changes: object
) -> Model:
    """A model of the paper; ``changes`` are further settings of the training.

    Args:
        dataset: its name.
        recipe: one of ``RECIPES``, or another to hold it against.
        budget: of the scale.
        eps: radius that it is trained for.
        pnil: whether a PNIL stands in front.
        fold: of the cross-validation; None: the data set's own split.
        changes: fields of ``advtool.training.Settings``.
    """
    most = TRAIN_IMAGES.get(dataset, 50_000) // (2 if fold else 1)
    return Model(
        dataset=dataset,
        recipe=recipe,
        eps=eps,
        epochs=budget.epochs or EPOCHS.get(dataset, 10),
        limit=None if budget.limit is None or budget.limit >= most else budget.limit,
        settings=settings(**({"pnil": True} if pnil else {}), **{"keep": budget.keep, **changes}),
        fold=fold,
        validated=budget.validated,
    )


def shown(trained: Model, budget: AuditBudget, eps: float) -> Question:
    """What the paper measures on all images: clean accuracy and PGD-50."""
    return Question(model=trained, eps=eps, images=budget.images, attacks=("pgd",), **_draws(trained, budget))


def audit(trained: Model, budget: AuditBudget, eps: float) -> Question:
    """SPSA as the paper has it, and the suite audit, on the same images."""
    return Question(
        model=trained,
        eps=eps,
        images=budget.audited,
        attacks=("audit", "spsa"),
        spsa_steps=budget.spsa_steps,
        spsa_samples=budget.spsa_samples,
        **_draws(trained, budget),
    )


def title(recipe: str, *, pnil: bool) -> str:
    """In a table: ``NFGSM + PNIL``."""
    return recipe.upper() + (" + PNIL" if pnil else "")


def _draws(trained: Model, budget: AuditBudget) -> dict[str, Any]:
    return {"eot": budget.eot, "votes": VOTES} if trained.resolved.pnil else {}
