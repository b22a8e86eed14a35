"""The model of a finished run, as the options of the command line that open it again."""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from advtool.errors import InputError
from advtool.evaluation.command import Command
from advtool.results import Evaluation
from advtool.target.opening.kinds import DEFAULT


class OfFile(BaseModel):
    """``--weights FILE``."""

    path: str


class OfLibrary(BaseModel):
    """``--weights DEFAULT``."""

    name: str


class Origin(BaseModel):
    """What a result tells of its model, as :func:`advtool.target.opening.opener.open_model` described it."""

    spec: str
    weights: OfFile | OfLibrary | None = None
    arguments: dict[str, Any] = Field(default_factory=dict)
    mean: list[float] | None = None
    std: list[float] | None = None


def command_of(run: Path, result: Evaluation) -> Command:
    """The options that name the model of a result.

    Args:
        run: the folder of the run, for messages.
        result: the answer of the run.

    Raises:
        InputError: the run was made from Python, or what it tells of its model is damaged.
    """
    if result.model.get("spec") is None:
        raise InputError(f"run '{run}' was made from Python: name its model as MODEL")
    try:
        return Command(options=dict(model_options(result)))
    except (InputError, ValidationError):
        raise InputError(f"run '{run}': what it tells of its model is damaged: name its model as MODEL") from None


def model_options(result: Evaluation) -> dict[str, str]:
    """What follows each option that names the model of a result from the command line; ``model`` is the argument MODEL.

    Raises:
        InputError: what the result tells of its model is damaged.
    """
    try:
        origin = Origin.model_validate(result.model)
    except ValidationError:
        raise InputError("what the result tells of its model is damaged") from None
    options = {"model" if result.checkpoint is None else "checkpoint": origin.spec}
    if origin.weights is not None:
        options["weights"] = DEFAULT if isinstance(origin.weights, OfLibrary) else origin.weights.path
    if origin.arguments:
        options["model-args"] = json.dumps(origin.arguments)
    for name, values in (("mean", origin.mean), ("std", origin.std)):
        if values is not None:
            options[name] = ",".join(map(str, values))
    return options
