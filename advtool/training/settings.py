"""The settings of a training: options of ``advtool train`` and keyword arguments of :func:`advtool.training.train`.

This file and the recipes import nothing heavy: the commands' ``--help`` reads them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from advtool import arguments
from advtool.arguments import LARGEST_NUMBER
from advtool.compute import Precision
from advtool.documents import json_object
from advtool.errors import InputError
from advtool.settings import About, Need, checked, option_name, settings_of

Scenario = Literal["clean", "adv", "both"]
Bias = Literal["plain", "naive", "multimodal"]
Direction = Literal["descent", "ascent"]
Step = Literal["direct", "optimizer"]
Optimizer = Literal["adam", "sgd"]
Keep = Literal["pgd", "loss", "one-step", "clean", "certified", "last"]
Schedule = Literal["constant", "cyclic", "falling"]

TRAINING = "Training"
BIAS = "Perturbation bias"
EXAMPLES = "Examples and noise"
BOUNDS = "Interval bounds"

BY_BOUNDS = "interval bounds"

OF_WHOLE_TRAININGS = frozenset({"epochs", "learning_rate", "base_learning_rate", "keep", "stop_on_collapse"})
"""Settings that mean nothing in a range test."""

WITH_EXAMPLES = Need("scenario", ("adv", "both"))
WITH_PERTURBATION_BIAS = Need("bias", ("naive", "multimodal"))


def _architectures() -> list[str]:
    from advtool.models import ARCHITECTURES  # noqa: PLC0415 - it imports torch

    return list(ARCHITECTURES)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a model is trained. Fields without an ``About`` belong to the recipe and cannot be asked for.

    Attributes:
        examples: a name in ``advtool.training.EXAMPLES``: how the recipe makes its adversarial examples; or
            ``BY_BOUNDS``: bounds of all examples in the ball take their place (:mod:`advtool.training.bounds`).
        schedule: of the learning rate: constant; a triangle that is highest after 40 % of the steps (Smith 2017); or
            constant until eps has grown, then falling linearly to 0.

    Raises:
        InputError: a value has another type or is out of range; the message names the option.
    """

    examples: str = "fgsm"
    arch: Annotated[str, About("Architecture; 'advtool models' lists them.", names=_architectures)]
    arch_args: Annotated[
        dict[str, Any] | None,
        About(
            "Sizes of the architecture, if it has any: resnet11 takes '{\"width\": 16}', by default 64.",
            metavar="JSON",
            panel=TRAINING,
            read=json_object,
            check=arguments.named,
        ),
    ] = None
    epochs: Annotated[int, About("Passes over the training images.")] = 10
    batch_size: Annotated[int, About("Images in a training step.")]
    optimizer: Annotated[
        Optimizer, About("Adam, or SGD with momentum 0.9, for the first paper's recipes.", panel=TRAINING)
    ] = "adam"
    learning_rate: Annotated[
        float,
        About(
            "Learning rate of the optimizer; of a cyclic one the highest value, after 40 % of the steps.",
            panel=TRAINING,
        ),
    ]
    base_learning_rate: Annotated[float, About("Where a cyclic learning rate begins and ends.", panel=TRAINING)] = 0.0
    schedule: Schedule
    keep: Annotated[
        Keep | None,
        About(
            "Which epoch is the best, on the validation images: the one with the highest accuracy under PGD (10 steps, "
            "500 images), the lowest loss there, the highest accuracy on one-step examples, the highest clean "
            "accuracy, or for ibp the highest accuracy that its bounds prove. If no epoch does better on adversarial "
            "examples than a constant answer, the one-step accuracy decides, then the clean accuracy. last: the last "
            "epoch, whatever it measures.",
            panel=TRAINING,
            default="pgd; clean if only clean images train; certified for ibp",
        ),
    ] = None
    stop_on_collapse: Annotated[
        bool,
        About(
            "Stop at catastrophic overfitting: the PGD accuracy is more than 20 points below its best, and the "
            "one-step accuracy has fallen by at most 2 points since then.",
            panel=TRAINING,
            needs=WITH_EXAMPLES,
        ),
    ] = False
    precision: Annotated[
        Precision,
        About(
            "Precision of the passes through the model. Weights and accuracies are always float32.",
            panel=TRAINING,
            default="auto: bfloat16 for resnet11 on a device that computes it in hardware",
        ),
    ] = "auto"
    scenario: Annotated[Scenario, About("For apb: train on clean images, adversarial examples, or both.", panel=BIAS)]
    bias: Annotated[Bias, About("Bias of the fully connected layers.", panel=BIAS)] = "plain"
    memories: Annotated[int, About("Number h of bias memories.", panel=BIAS, needs=Need("bias", ("multimodal",)))] = 8
    bias_layers: Annotated[
        tuple[str, ...],
        About(
            "Give the bias to this layer only, e.g. linear3 of lenet. Repeats.",
            metavar="LAYER",
            panel=BIAS,
            default="every fully connected layer",
            needs=WITH_PERTURBATION_BIAS,
        ),
    ] = ()
    apb_eps: Annotated[
        float,
        About(
            "Step of the bias, or of its memories, at each batch; through SGD the learning rate multiplies it.",
            panel=BIAS,
            needs=WITH_PERTURBATION_BIAS,
        ),
    ] = 0.03
    apb_direction: Annotated[
        Direction,
        About(
            "Step down the loss, as Algorithm 2 says, or up (experimental).",
            panel=BIAS,
            needs=WITH_PERTURBATION_BIAS,
        ),
    ] = "descent"
    apb_step: Annotated[
        Step,
        About(
            "The bias takes its sign step directly, or the optimizer gets eps times the sign as its gradient.",
            panel=BIAS,
            needs=WITH_PERTURBATION_BIAS,
        ),
    ] = "direct"
    fixed_examples: Annotated[
        Path | None,
        About(
            "Train on FGSM examples that are made once, from this model.",
            metavar="CHECKPOINT",
            panel=BIAS,
            default="made anew from the current weights",
            needs=WITH_EXAMPLES,
        ),
    ] = None
    pnil: Annotated[bool, About("Put a pixelwise noise injection layer first.", panel=EXAMPLES)] = False
    pnil_at: Annotated[
        tuple[str, ...],
        About(
            "Put another one in front of this layer, e.g. conv2. Repeats.",
            metavar="LAYER",
            panel=EXAMPLES,
            needs=Need("pnil", (True,)),
        ),
    ] = ()
    eot: Annotated[
        int,
        About(
            "Gradients that are summed for one step of the examples.",
            metavar="L",
            panel=EXAMPLES,
            needs=Need("pnil", (True,)),
        ),
    ] = 1
    step_size: Annotated[
        float | None,
        About(
            "Step of the examples, a fraction of the pixel range. Not for fgsm.",
            metavar="A",
            panel=EXAMPLES,
            default="eps times 0.5 r+fgsm, 1.2 rfgsm, 1 nfgsm, 2.5/steps pgd",
            read=arguments.fraction,
        ),
    ] = None
    pgd_steps: Annotated[int, About("For pgd: steps of an example.", metavar="N", panel=EXAMPLES)] = 10
    clip_examples: Annotated[bool, About("For nfgsm: clip its examples to [0, 1].", panel=EXAMPLES)] = False
    train_eps: Annotated[
        float | None,
        About(
            "Radius to which the bounds grow, a fraction of the pixel range.",
            metavar="E",
            panel=BOUNDS,
            default="4/3 of --eps",
            read=arguments.fraction,
        ),
    ] = None
    kappa: Annotated[
        float, About("Weight of the clean images at the end; it falls from 1 while the radius grows.", panel=BOUNDS)
    ] = 0.5
    warm_up: Annotated[
        float, About("Share of the training steps, at its beginning, on clean images only.", panel=BOUNDS)
    ] = 0.03
    ramp: Annotated[
        float, About("Share of the training steps, after the warm-up, in which the radius grows.", panel=BOUNDS)
    ] = 0.5

    def __post_init__(self) -> None:
        checked(type(self), {name: getattr(self, name) for name in settings_of(type(self))})
        for name in ("learning_rate", "apb_eps"):
            if not 0 < getattr(self, name) < float("inf"):
                raise InputError(
                    f"{option_name(name)} {getattr(self, name)}: it must be a positive number, such as 0.001"
                )
        if self.apb_eps > LARGEST_NUMBER:
            raise InputError(f"--apb-eps {self.apb_eps}: it must be at most {LARGEST_NUMBER:g}")
        if self.step_size is not None and not 0 < self.step_size <= 1:
            raise InputError(f"--step-size {self.step_size}: it must lie in (0, 1], a fraction of the pixel range")
        if self.train_eps is not None and not 0 < self.train_eps <= 1:
            raise InputError(f"--train-eps {self.train_eps}: it must lie in (0, 1], a fraction of the pixel range")
        if not 0 <= self.kappa < 1:
            raise InputError(f"--kappa {self.kappa}: it must lie in [0, 1); with 1 no bounds would train")
        if not (self.warm_up >= 0 and self.ramp > 0 and self.warm_up + self.ramp <= 1):
            raise InputError(
                f"--warm-up {self.warm_up} --ramp {self.ramp}: shares of the training steps, from 0 and above 0, "
                "at most 1 together"
            )
        if not 0 <= self.base_learning_rate < self.learning_rate:
            raise InputError(
                f"--base-learning-rate {self.base_learning_rate}: it must lie in [0, {self.learning_rate}), "
                "below --learning-rate"
            )
