"""``timm:NAME``: make a model of timm (an extra)."""

from typing import Any

from advtool.errors import InputError, near_match
from advtool.target.opening.extras import required
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
    """Make the model with random weights, or with timm's own.

    Raises:
        InputError: timm is absent, does not have the model, or cannot load its own weights.
    """
    (timm,), name = required(reference.kind), reference.name
    if "/" in name or ":" in name or not timm.is_model(name):
        raise InputError(f"timm has no model '{name}'{near_match(name, timm.list_models())}")
    refuse_weights_among(spec.model_args, {"pretrained", "checkpoint_path", "pretrained_cfg"})
    own = spec.weights == DEFAULT
    loading = f"--weights {DEFAULT}: timm's weights for '{name}' cannot be loaded"
    making = f"making 'timm:{name}' failed"
    with quietly(), one_line(loading if own else making, lambda _: OFFLINE_HINT if own else ""):
        model = timm.create_model(name, pretrained=own, **spec.model_args)
        config = timm.data.resolve_model_data_config(model)
    mean, std, size = tuple(config["mean"]), tuple(config["std"]), _size(spec.model_args.get("img_size"), config)
    return Opened(
        model,
        mean=mean if own else None,
        std=std if own else None,
        input_size=size,
        description={"weights": {"name": model.pretrained_cfg.get("tag") or DEFAULT}} if own else {},
        notes=_notes(name, spec.weights, mean, std, size),
    )


def _size(asked: Any, config: dict[str, Any]) -> tuple[int, int]:
    """The size (H, W) that the user has asked for, or timm's own."""
    height, width = [asked, asked] if isinstance(asked, int) else asked or config["input_size"][1:]
    return height, width


def _notes(name: str, weights: str | None, mean: Any, std: Any, size: Any) -> tuple[str, ...]:
    usual = preprocessing(mean, std, size)
    if weights == DEFAULT:
        return (f"--weights {DEFAULT}: timm's own, which bring {usual}",)
    if weights:
        return (f"timm trains '{name}' with {usual}: if your weights need them too, give --mean and --std",)
    return (random_weights_note(f"timm:{name}"),)
