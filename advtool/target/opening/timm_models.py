"""``timm:NAME``: a model of timm (an extra)."""

from typing import Any

from advtool.errors import InputError, near_match
from advtool.target.opening.extras import required
from advtool.target.opening.kinds import DEFAULT, Reference
from advtool.target.opening.spec import Made, ModelSpec
from advtool.target.opening.user_code import one_line, quietly


def make(reference: Reference, spec: ModelSpec) -> Made:
    """The model with random weights, or with timm's own.

    Raises:
        InputError: timm is absent, has no such model, or its weights cannot be downloaded.
    """
    timm, name = required("timm", "timm"), reference.name
    if "/" in name or ":" in name or not timm.is_model(name):
        raise InputError(f"timm has no model '{name}'{near_match(name, timm.list_models())}")
    for argument in {"pretrained", "checkpoint_path", "pretrained_cfg"} & spec.arguments.keys():
        raise InputError(f"--model-args: give --weights {DEFAULT} or --weights FILE instead of '{argument}'")
    own = spec.weights == DEFAULT
    what = f"--weights {DEFAULT}: timm's weights for '{name}' cannot be had" if own else f"making 'timm:{name}' failed"
    with quietly(), one_line(what, lambda _: "; without a network give --weights FILE" if own else ""):
        model = timm.create_model(name, pretrained=own, **spec.arguments)
        config = timm.data.resolve_model_data_config(model)
    mean, std, size = tuple(config["mean"]), tuple(config["std"]), _size(spec.arguments.get("img_size"), config)
    return Made(
        model,
        mean=mean if own else None,
        std=std if own else None,
        input_size=size,
        description={"weights": {"name": model.pretrained_cfg.get("tag") or DEFAULT}} if own else {},
        notes=_notes(name, spec.weights, mean, std, size),
    )


def _size(asked: Any, config: dict[str, Any]) -> tuple[int, int]:
    """(H, W): timm's, unless the model was made for others."""
    height, width = [asked, asked] if isinstance(asked, int) else asked or config["input_size"][1:]
    return height, width


def _notes(name: str, weights: str | None, mean: Any, std: Any, size: Any) -> tuple[str, ...]:
    brought = f"mean {list(mean)}, std {list(std)} and images of {size[0]}x{size[1]}"
    if weights == DEFAULT:
        return (f"--weights {DEFAULT}: timm's own, which bring {brought}",)
    if weights:
        return (f"timm trains '{name}' with {brought}: if these weights were too, say so with --mean and --std",)
    return (f"'timm:{name}' has random weights: --weights FILE or --weights {DEFAULT} gives it others",)
