"""What the models of torchvision and timm share: weights come by ``--weights`` alone, and notes say what they bring."""

from collections.abc import Mapping, Sequence
from typing import Any

from advtool.errors import InputError
from advtool.target.opening.kinds import DEFAULT

OFFLINE_HINT = "; without a network give --weights FILE"


def refuse_weights_among(arguments: Mapping[str, Any], names: set[str]) -> None:
    """Refuse arguments of ``--model-args`` that load weights.

    Args:
        arguments: keyword arguments for the library's factory.
        names: arguments of the factory that load weights.

    Raises:
        InputError: ``arguments`` has one of the names.
    """
    for argument in names & arguments.keys():
        raise InputError(f"--model-args: give --weights {DEFAULT} or --weights FILE instead of '{argument}'")


def random_weights_note(model: str) -> str:
    """The note about a MODEL that was made without weights."""
    return f"'{model}' has random weights: --weights FILE or --weights {DEFAULT} loads trained ones"


def preprocessing(mean: Sequence[float], std: Sequence[float], size: tuple[int, int]) -> str:
    """Words for a normalisation and an image size (H, W)."""
    return f"mean {list(mean)}, std {list(std)} and images of {size[0]}x{size[1]}"
