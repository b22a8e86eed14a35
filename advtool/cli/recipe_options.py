"""The options that choose and change a recipe, shared by the commands that train."""

import functools
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from advtool import arguments

SUMMARIES = {
    "clean": "clean images only",
    "adv": "FGSM examples only",
    "both": "clean images and FGSM examples, weighed equally",
    "apb": "adversarial perturbation bias, on clean images unless --scenario says otherwise",
    "fgsm": "FGSM examples, as adv",
    "r+fgsm": "random signs, then a gradient step",
    "rfgsm": "uniform start, one long step, projected",
    "nfgsm": "uniform noise, then a full step around the noisy point",
    "pgd": "ten projected steps",
}
"""Those of :data:`advtool.training.RECIPES`, which would import torch: ``--help`` is instant."""

Recipe = Annotated[
    str,
    typer.Argument(
        metavar="RECIPE", help="\n\n".join(f"[bold]{name}[/]: {summary}" for name, summary in SUMMARIES.items())
    ),
]

TRAINING = "Training"
BIAS = "Perturbation bias: clean, adv, both, apb"
EXAMPLES = "Examples and noise: fgsm, r+fgsm, rfgsm, nfgsm, pgd"

SETTINGS: dict[str, Any] = {
    "arch": Annotated[
        str | None,
        typer.Option(
            help="lenet, cnn or resnet11.",
            show_default="cnn; lenet for clean, adv, both, apb; resnet11 for cifar10",
        ),
    ],
    "epochs": Annotated[
        int | None,
        typer.Option(help="Passes over the training images.", show_default="60 digits, 30 cifar10, else 10"),
    ],
    "batch_size": Annotated[
        int | None, typer.Option(help="Images a training step.", show_default="100; 128 for clean, adv, both, apb")
    ],
    "learning_rate": Annotated[
        float | None,
        typer.Option(
            rich_help_panel=TRAINING,
            help="Of Adam; where it is cyclic, the highest, reached after 40 % of the epochs.",
            show_default="cyclic 0.005; constant 0.001 for clean, adv, both, apb",
        ),
    ],
    "base_learning_rate": Annotated[
        float | None,
        typer.Option(rich_help_panel=TRAINING, help="Where a cyclic learning rate begins and ends.", show_default="0"),
    ],
    "keep": Annotated[
        Literal["pgd", "loss", "one-step", "clean"] | None,
        typer.Option(
            rich_help_panel=TRAINING,
            help="What makes an epoch the best, on the validation set: accuracy under PGD (10 steps, 500 images), "
            "the lowest loss there, accuracy on one-step examples, or clean accuracy. Where guessing does as well "
            "on examples as every epoch, one-step, then clean accuracy decide.",
            show_default="pgd; clean for clean and apb on clean images",
        ),
    ],
    "stop_on_collapse": Annotated[
        bool,
        typer.Option(
            "--stop-on-collapse",
            rich_help_panel=TRAINING,
            help="End the training at catastrophic overfitting: PGD accuracy more than 20 points below its best, "
            "while one-step accuracy is higher than in that best epoch, or at most 2 points lower.",
        ),
    ],
    "precision": Annotated[
        Literal["auto", "float32", "bfloat16"] | None,
        typer.Option(
            rich_help_panel=TRAINING,
            help="Of the passes through the model; weights and figures are float32.",
            show_default="auto: bfloat16 for resnet11 where the device has units for it",
        ),
    ],
    "scenario": Annotated[
        Literal["clean", "adv", "both"] | None,
        typer.Option(rich_help_panel=BIAS, help="For apb: what it trains on.", show_default="clean"),
    ],
    "bias": Annotated[
        Literal["plain", "naive", "multimodal"] | None,
        typer.Option(
            rich_help_panel=BIAS, help="Bias of the fully connected layers.", show_default="plain; naive for apb"
        ),
    ],
    "memories": Annotated[
        int | None,
        typer.Option(rich_help_panel=BIAS, help="Bias memories h of a multimodal bias.", show_default="8"),
    ],
    "bias_layers": Annotated[
        list[str] | None,
        typer.Option(
            metavar="LAYER",
            rich_help_panel=BIAS,
            help="Give it to this layer alone, e.g. linear3 of lenet. Repeats.",
            show_default="every fully connected layer",
        ),
    ],
    "apb_eps": Annotated[
        float | None,
        typer.Option(rich_help_panel=BIAS, help="Step of the bias or its memories a batch.", show_default="0.03"),
    ],
    "apb_direction": Annotated[
        Literal["descent", "ascent"] | None,
        typer.Option(
            rich_help_panel=BIAS,
            help="Down the loss, as Algorithm 2 reads, or up it (experimental).",
            show_default="descent",
        ),
    ],
    "fixed_examples": Annotated[
        Path | None,
        typer.Option(
            metavar="CHECKPOINT",
            rich_help_panel=BIAS,
            help="Train on FGSM examples made once from this model. Not for training on clean images.",
            show_default="made anew from the current weights",
        ),
    ],
    "pnil": Annotated[
        bool,
        typer.Option("--pnil", rich_help_panel=EXAMPLES, help="A pixelwise noise injection layer as first layer."),
    ],
    "pnil_at": Annotated[
        list[str] | None,
        typer.Option(
            metavar="LAYER", rich_help_panel=EXAMPLES, help="One more in front of this layer, e.g. conv2. Repeats."
        ),
    ],
    "eot": Annotated[
        int | None,
        typer.Option(
            metavar="L", rich_help_panel=EXAMPLES, help="Gradients summed for a step of the examples.", show_default="1"
        ),
    ],
    "step_size": Annotated[
        float | None,
        typer.Option(
            parser=functools.partial(arguments.fraction, "--step-size"),
            metavar="A",
            rich_help_panel=EXAMPLES,
            help="Step of the examples, a fraction of the pixel range. Not for fgsm.",
            show_default="eps times 0.5 r+fgsm, 1.2 rfgsm, 1 nfgsm, 2.5/steps pgd",
        ),
    ],
    "pgd_steps": Annotated[
        int | None,
        typer.Option(metavar="N", rich_help_panel=EXAMPLES, help="For pgd: steps.", show_default="10"),
    ],
    "clip_examples": Annotated[
        bool,
        typer.Option("--clip-examples", rich_help_panel=EXAMPLES, help="For nfgsm: clip its examples to [0, 1]."),
    ],
}
"""Every field of :class:`advtool.training.Settings` and its option."""


def asked(**given: Any) -> dict[str, Any]:
    """The settings as training takes them: None where an option was not given."""
    return {name: _asked(value) for name, value in given.items()}


def _asked(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value) or None
    return None if value is False else value
