"""``torchvision:NAME``: make a classifier of torchvision."""

import warnings
from typing import Any

import torchvision

from advtool.errors import InputError, near_match
from advtool.target.opening.kinds import DEFAULT, Reference
from advtool.target.opening.library_models import (
    OFFLINE_HINT,
    preprocessing,
    random_weights_note,
    refuse_weights_among,
)
from advtool.target.opening.spec import ModelSpec, Opened
from advtool.target.opening.user_code import one_line, quietly


def make(reference: Reference, spec: ModelSpec) -> Opened:
    """Make the model with random weights, or with torchvision's own.

    Raises:
        InputError: torchvision does not have the classifier, the classifier takes other arguments, or torchvision
            cannot load its own weights.
    """
    name = reference.name
    _check_name(name)
    refuse_weights_among(spec.model_args, {"weights", "weights_backbone", "pretrained"})
    if spec.weights == DEFAULT:
        return _with_own_weights(name, dict(spec.model_args))
    with one_line(f"making '{reference.text}' failed"):
        model = _get(name, **spec.model_args)
    return Opened(model, notes=() if spec.weights else (random_weights_note(reference.text),))


def _with_own_weights(name: str, arguments: dict[str, Any]) -> Opened:
    weights = torchvision.models.get_model_weights(name).DEFAULT
    failed = f"--weights {DEFAULT}: torchvision's weights for '{name}' cannot be loaded"
    with quietly(), one_line(failed, _download_hint):
        model = _get(name, weights=weights, progress=False, **arguments)
    preset = weights.transforms()
    mean, std, (size,) = tuple(preset.mean), tuple(preset.std), preset.crop_size
    return Opened(
        model,
        mean=mean,
        std=std,
        input_size=(size, size),
        class_names=tuple(weights.meta["categories"]),
        description={"weights": {"name": weights.name}},
        notes=(
            f"--weights {DEFAULT}: torchvision's {weights.name}, which bring {preprocessing(mean, std, (size, size))}",
        ),
    )


def _check_name(name: str) -> None:
    packages = (torchvision.models, torchvision.models.quantization)
    classifiers = [known for package in packages for known in torchvision.models.list_models(module=package)]
    if name in classifiers:
        return
    if name in torchvision.models.list_models():
        raise InputError(f"'torchvision:{name}' is not an image classifier: name one, e.g. torchvision:resnet18")
    raise InputError(f"torchvision has no classifier '{name}'{near_match(name, classifiers)}")


def _get(name: str, **arguments: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # GoogLeNet and Inception warn about their initialisation
        return torchvision.models.get_model(name, **arguments)


def _download_hint(error: BaseException) -> str:
    return OFFLINE_HINT if isinstance(error, OSError) else ""
