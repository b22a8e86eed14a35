"""``torchvision:NAME``: a classifier of torchvision."""

import warnings
from typing import Any

import torchvision

from advtool.errors import InputError, near_match
from advtool.target.opening.kinds import DEFAULT, Reference
from advtool.target.opening.spec import Made, ModelSpec
from advtool.target.opening.user_code import one_line, quietly


def make(reference: Reference, spec: ModelSpec) -> Made:
    """The model with random weights, or with torchvision's own.

    Raises:
        InputError: there is no such classifier, it takes other arguments, or its weights cannot be downloaded.
    """
    name = reference.name
    _check_name(name)
    for argument in {"weights", "weights_backbone", "pretrained"} & spec.arguments.keys():
        raise InputError(f"--model-args: give --weights {DEFAULT} or --weights FILE instead of '{argument}'")
    if spec.weights == DEFAULT:
        return _with_own_weights(name, dict(spec.arguments))
    with one_line(f"making '{reference.text}' failed"):
        model = _get(name, **spec.arguments)
    note = f"'{reference.text}' has random weights: --weights FILE or --weights {DEFAULT} gives it others"
    return Made(model, notes=() if spec.weights else (note,))


def _with_own_weights(name: str, arguments: dict[str, Any]) -> Made:
    weights = torchvision.models.get_model_weights(name).DEFAULT
    with quietly(), one_line(f"--weights {DEFAULT}: torchvision's weights for '{name}' cannot be had", _download_hint):
        model = _get(name, weights=weights, progress=False, **arguments)
    preset = weights.transforms()
    mean, std, (size,) = tuple(preset.mean), tuple(preset.std), preset.crop_size
    return Made(
        model,
        mean=mean,
        std=std,
        input_size=(size, size),
        class_names=tuple(weights.meta["categories"]),
        description={"weights": {"name": weights.name}},
        notes=(
            f"--weights {DEFAULT}: torchvision's {weights.name}, which bring mean {list(mean)}, std {list(std)} "
            f"and images of {size}x{size}",
        ),
    )


def _check_name(name: str) -> None:
    rooms = (torchvision.models, torchvision.models.quantization)
    classifiers = [known for room in rooms for known in torchvision.models.list_models(module=room)]
    if name in classifiers:
        return
    if name in torchvision.models.list_models():
        raise InputError(f"'torchvision:{name}' is no image classifier: name one, e.g. torchvision:resnet18")
    raise InputError(f"torchvision has no classifier '{name}'{near_match(name, classifiers)}")


def _get(name: str, **arguments: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # about how some models of 2015 are initialised
        return torchvision.models.get_model(name, **arguments)


def _download_hint(error: BaseException) -> str:
    return "; without a network give --weights FILE" if isinstance(error, OSError) else ""
