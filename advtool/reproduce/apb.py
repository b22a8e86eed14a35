"""What the first paper's figures share: LeNet with and without its bias, and how much is spent at each scale."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from advtool.reproduce.plan import Model, Question, limit_of, settings
from advtool.reproduce.scale import Scale
from advtool.training.settings import Bias, Direction, Scenario

EPS = 0.3
"""The paper's only radius but in figure 3a."""
EPOCHS = 500
"""The paper's (section 5.2)."""
DATASETS = ("mnist", "fashion-mnist")
SCENARIOS: tuple[Scenario, ...] = ("clean", "adv", "both")
BIASES: tuple[Bias, ...] = ("naive", "multimodal")
MEMORIES = 8
"""The paper does not say how many bias memories its figure 2 has."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What a scale spends.

    Attributes:
        epochs: of every training.
        limit: training images; None: all.
        validated: validation images that choose the epoch; None: all.
        images: test images that the paper's own evaluation sees; None: all.
        audited: test images of the audit and of SPSA.
        spsa_steps: of SPSA.
        spsa_samples: forward evaluations a step of SPSA.
    """

    epochs: int
    limit: int | None
    validated: int | None
    images: int | None
    audited: int
    spsa_steps: int = 100
    spsa_samples: int = 128

    def cuts(self, datasets: Sequence[str]) -> tuple[str, ...]:
        """In what it is less than the paper's protocol, and less than our own for what the paper does not have."""
        return tuple(self._cuts(datasets))

    def _cuts(self, datasets: Sequence[str]) -> Iterator[str]:
        if self.epochs < EPOCHS:
            yield f"{self.epochs} epochs in place of {EPOCHS}"
        if any(limit_of(dataset, self.limit) for dataset in datasets):
            yield f"{self.limit} training images in place of 60000"
        else:
            yield "training images less those that choose the epoch"
        if self.validated is not None:
            yield f"{self.validated} validation images in place of all"
        if self.images is not None:
            yield f"the first {self.images} test images of the fixed permutation in place of all"
        if self.audited < 1000:
            yield f"{self.audited} of these in the audit and for SPSA in place of 1000"
        if (self.spsa_steps, self.spsa_samples) != (100, 128):
            yield f"SPSA with {self.spsa_steps} steps of {self.spsa_samples} evaluations in place of 100 of 128"


SCALES = {
    Scale.smoke: Budget(epochs=2, limit=600, validated=60, images=50, audited=5, spsa_steps=5, spsa_samples=16),
    Scale.cpu: Budget(epochs=6, limit=10_000, validated=250, images=1000, audited=50, spsa_steps=40, spsa_samples=64),
    Scale.paper: Budget(epochs=EPOCHS, limit=None, validated=None, images=None, audited=1000),
}


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A LeNet of the paper: in which scenario, with which bias, on which kind of examples."""

    scenario: Scenario
    bias: Bias = "plain"
    direction: Direction = "descent"
    memories: int = MEMORIES
    fixed: bool = False
    """trained on examples that were made once from the classical LeNet of the scenario clean"""

    @property
    def baseline(self) -> "Variant":
        """The classical LeNet that it is held against."""
        return Variant(scenario=self.scenario, fixed=self.fixed)

    @property
    def title(self) -> str:
        """In a table: ``classical``, ``naive, descent``, ``multimodal h=8, ascent``."""
        if self.bias == "plain":
            return "classical"
        structure = f"multimodal h={self.memories}" if self.bias == "multimodal" else "naive"
        return f"{structure}, {self.direction}"

    @property
    def examples(self) -> str:
        """In a table: of what kind the training examples are."""
        return "" if self.scenario == "clean" else "fixed" if self.fixed else "on the fly"


def model(dataset: str, variant: Variant, budget: Budget) -> Model:
    """The variant on a data set, as a plan names it."""
    fields: dict[str, object] = {"arch": "lenet"}
    if variant.bias != "plain":
        fields |= {"bias": variant.bias, "apb_direction": variant.direction}
    if variant.bias == "multimodal":
        fields |= {"memories": variant.memories}
    source = model(dataset, Variant(scenario="clean"), budget) if variant.fixed else None
    return Model(
        dataset=dataset,
        recipe=variant.scenario,
        eps=EPS,
        epochs=budget.epochs,
        limit=limit_of(dataset, budget.limit),
        settings=settings(**fields),
        examples_of=source,
        validated=budget.validated,
    )


def shown(trained: Model, budget: Budget, eps: float = EPS) -> Question:
    """What the paper measures: clean accuracy and FGSM."""
    return Question(model=trained, eps=eps, images=budget.images, attacks=("fgsm",))


def audit(trained: Model, budget: Budget) -> Question:
    """What a sceptic measures: the suite audit and SPSA, on the same images."""
    return Question(
        model=trained,
        eps=EPS,
        images=budget.audited,
        attacks=("audit", "spsa"),
        spsa_steps=budget.spsa_steps,
        spsa_samples=budget.spsa_samples,
    )
