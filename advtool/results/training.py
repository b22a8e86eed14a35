"""What a training measures: the figures of each epoch, and what a checkpoint's header keeps of them."""

from dataclasses import asdict, dataclass, fields
from typing import Any

from pydantic import BaseModel, ConfigDict


@dataclass(frozen=True, kw_only=True)
class Validated:
    """Validation figures of a model: accuracies in [0, 1], and a mean cross entropy in nats.

    Attributes:
        clean: accuracy on clean images.
        one_step: accuracy on one-step examples against this model (white box), of the kind that the recipe trains on.
        pgd: accuracy on PGD examples against this model, on a fixed part of the images.
        adversarial_loss: mean cross entropy on the PGD examples.
        certified: accuracy that interval bounds prove for every image of the ball; None if no bounds train.
        fixed: accuracy on examples that were made once from another model; None if the training has none.
        noise_centre: mean standard deviation of a PNIL's noise in the centre of the images, a fraction of the pixel
            range; None without a PNIL.
        noise_border: the same for the border of the images.
    """

    clean: float
    one_step: float
    pgd: float
    adversarial_loss: float
    certified: float | None = None
    fixed: float | None = None
    noise_centre: float | None = None
    noise_border: float | None = None


@dataclass(frozen=True, kw_only=True)
class Figures(Validated):
    """One epoch, and the validation figures after it.

    Attributes:
        epoch: from 1.
        loss: the mean over the training images, while the weights changed.
        seconds: wall time.
        learning_rate: the optimizer's, at the last step of the epoch; older checkpoints do not have it.
    """

    epoch: int
    loss: float
    seconds: float
    learning_rate: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON's types, without what is None."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def metrics(self) -> dict[str, float]:
        """As trackers take them, e.g. ``training/loss`` and ``validation/pgd``; ``epoch`` is the step."""
        measured = {field.name for field in fields(Validated)}
        figures = {name: float(value) for name, value in self.to_dict().items() if name != "epoch"}
        return {f"{'validation' if name in measured else 'training'}/{name}": v for name, v in figures.items()}


@dataclass(frozen=True, kw_only=True)
class Collapse:
    """Catastrophic overfitting (Wong et al. 2020).

    It holds the accuracies of ``epoch``, and of the earlier epoch with the best PGD accuracy.
    """

    epoch: int
    one_step: float
    pgd: float
    best_epoch: int
    best_one_step: float
    best_pgd: float


class TrainingMetrics(BaseModel):
    """The ``metrics`` in a checkpoint's header: of the kept epoch, on validation images, and of all epochs.

    A header may lack any of them.

    Attributes:
        validation_images: how many there are.
        pgd_images: how many of them PGD attacks.
        pgd_draws: of the noise of a PNIL, in each gradient of PGD and each prediction under it.
        epoch: the kept one.
        decided_by_floor: the accuracy that a constant answer reaches, if no epoch is above it.
        collapse: None if there was none.
        history: all epochs, in order.
    """

    model_config = ConfigDict(frozen=True)

    validation_images: int | None = None
    pgd_images: int | None = None
    pgd_draws: int = 1
    epoch: int | None = None
    clean_accuracy: float | None = None
    one_step_accuracy: float | None = None
    pgd_accuracy: float | None = None
    adversarial_loss: float | None = None
    certified_accuracy: float | None = None
    fixed_examples_accuracy: float | None = None
    noise_centre: float | None = None
    noise_border: float | None = None
    decided_by_floor: float | None = None
    collapse: Collapse | None = None
    history: list[Figures] = []

    def to_dict(self) -> dict[str, Any]:
        """As JSON's types: what was set and is not None."""
        return self.model_dump(mode="json", exclude_unset=True, exclude_none=True)
