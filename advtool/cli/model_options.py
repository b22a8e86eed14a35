"""The options that name a model, for every command that opens one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from advtool.documents import json_object
from advtool.errors import InputError
from advtool.target.opening.kinds import DEFAULT, KINDS, check_exists, checkpoint, refer

if TYPE_CHECKING:
    from advtool.target.opening.spec import Opened

PANEL = "Your model"


def parse_numbers(option: str, text: str) -> tuple[float, ...]:
    """Read ``0.485,0.456,0.406``: one number for all channels, or one for each channel.

    Raises:
        InputError: a part is no number; the message names the option.
    """
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"{option} '{text}': write numbers separated by commas, e.g. 0.485,0.456,0.406") from None


def parse_arguments(text: str) -> dict[str, Any]:
    """Read a JSON object: the keyword arguments of a factory.

    Raises:
        InputError: the text is no JSON object.
    """
    return json_object("--model-args", text, '{"num_classes": 10}')


def model_argument(default: str) -> Any:
    """The argument MODEL; ``default`` says what is taken without it."""
    kinds = f"{', '.join(kind.written for kind in KINDS)}: 'advtool models' tells what they are."
    argument: Any = Annotated
    return argument[str | None, typer.Argument(metavar="MODEL", help=kinds, show_default=default)]


MODEL_OPTIONS: dict[str, Any] = {
    "model": model_argument("the newest checkpoint in checkpoints/"),
    "checkpoint": Annotated[
        str | None,
        typer.Option(
            "--checkpoint",
            metavar="FILE",
            rich_help_panel=PANEL,
            help="A checkpoint of ours, instead of MODEL. The file may have any name.",
        ),
    ],
    "weights": Annotated[
        str | None,
        typer.Option(
            "--weights",
            metavar=f"FILE|{DEFAULT}",
            rich_help_panel=PANEL,
            help=f"Weights of the model: safetensors, or a state dict of torch.save. {DEFAULT}: the library's own.",
            show_default="the model's own",
        ),
    ],
    "model_args": Annotated[
        str | None,
        typer.Option(
            "--model-args",
            metavar="JSON",
            rich_help_panel=PANEL,
            help="Keyword arguments of the factory, e.g. '{\"num_classes\": 10}'.",
        ),
    ],
    "mean": Annotated[
        str | None,
        typer.Option(
            "--mean",
            metavar="M,...",
            rich_help_panel=PANEL,
            help="Mean that the model subtracts from its pixels: one number, or one for each channel.",
            show_default="nothing is normalised",
        ),
    ],
    "std": Annotated[
        str | None,
        typer.Option(
            "--std",
            metavar="S,...",
            rich_help_panel=PANEL,
            help="Standard deviation that the model divides its pixels by.",
        ),
    ],
}


def check_surrogate(model: str | None, weights: str | None) -> None:
    """Refuse a surrogate that cannot be opened, before anything heavy is imported.

    Raises:
        InputError: a file does not exist, or the weights have no model.
    """
    if model is None and weights is None:
        return
    if model is None:
        raise InputError(f"--surrogate-weights '{weights}': name their model with --surrogate")
    try:
        check_exists(refer(model), weights)
    except InputError as error:
        raise InputError(f"--surrogate: {error}") from None


@dataclass(frozen=True)
class ModelOptions:
    """The values of ``MODEL_OPTIONS``."""

    model: str | None = None
    checkpoint: str | None = None
    weights: str | None = None
    model_args: dict[str, Any] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    @classmethod
    def of(cls, *, model_args: str | None, mean: str | None, std: str | None, **given: str | None) -> ModelOptions:
        """The values as Typer gives them, read.

        Raises:
            InputError: a value cannot be read.
        """
        return cls(
            **given,
            model_args=None if model_args is None else parse_arguments(model_args),
            mean=None if mean is None else parse_numbers("--mean", mean),
            std=None if std is None else parse_numbers("--std", std),
        )

    @property
    def is_given(self) -> bool:
        """Whether a model was named."""
        return self.model is not None or self.checkpoint is not None

    def check(self) -> None:
        """Refuse a model that cannot be opened, before anything heavy is imported.

        Raises:
            InputError: two models are named, or a file does not exist.
        """
        if self.model is not None and self.checkpoint is not None:
            raise InputError(f"MODEL '{self.model}' and --checkpoint '{self.checkpoint}' together: name one model")
        if self.model is not None:
            check_exists(refer(self.model), self.weights)
        elif self.checkpoint is not None:
            check_exists(checkpoint(self.checkpoint), self.weights)

    def open(self) -> tuple[Opened, str]:
        """The opened model, and its name for people.

        Raises:
            InputError: the model cannot be opened.
        """
        from advtool import checkpoints
        from advtool.target.opening.opener import open_model
        from advtool.target.opening.spec import ModelSpec

        self.check()
        named = self.model or self.checkpoint
        spec = named or str(checkpoints.newest(checkpoints.FOLDER))
        asked = ModelSpec(spec, self.weights, self.model_args or {}, self.mean, self.std)
        opened = open_model(asked, is_checkpoint=self.model is None)
        return opened, spec if named else f"the newest checkpoint, {spec}"
