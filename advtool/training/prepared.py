"""What a training starts from, and what tells it from others."""

import json
import os
import platform
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from advtool import arguments, checkpoints, files, models, seeding
from advtool.arguments import shown
from advtool.checkpoints import Architecture, Header
from advtool.compute import precision
from advtool.compute.layers import LayerGraph
from advtool.data import (
    KNOWN,
    Split,
    cache_dir,
    check_split,
    default_eps,
    first_images,
    load,
    to_float,
    train_validation,
)
from advtool.errors import InputError
from advtool.models.bias import with_perturbation_bias
from advtool.results import TrainingMetrics
from advtool.settings import checked
from advtool.threat import ThreatModel
from advtool.training.bounds import initialise, layers_of
from advtool.training.fixed import FixedExamples, precompute
from advtool.training.recipes import Recipe, recipe_for
from advtool.training.settings import Settings
from advtool.training.state import Arguments, Beginning, fingerprint
from advtool.training.validation import draws_of, pgd_images


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What a training starts from: a new model, images and fixed examples on one device, and the header.

    The layers of the model are there if its bounds train.
    """

    recipe: Recipe
    header: Header
    model: nn.Module
    training: Split
    validation: Split
    fixed: FixedExamples | None
    layers: LayerGraph | None

    @property
    def threat_model(self) -> ThreatModel:
        """What the attacker may do."""
        return self.header.threat_model


def prepare(
    data: Split | str | Path,
    recipe: str,
    *,
    eps: float | None = None,
    seed: int = 0,
    device: str | torch.device = "cpu",
    limit: int | None = None,
    data_dir: Path | None = None,
    validation: Split | None = None,
    **settings: Any,
) -> Prepared:
    """Do everything that comes before the first step of a training.

    :func:`advtool.training.train` explains arguments and errors.
    """
    name = dataset_name(data)
    chosen = recipe_for(name, recipe, **settings)
    threat_model = _threat_model(default_eps(name) if eps is None else eps, chosen)
    seed, device = arguments.seed(f"--seed {shown(seed)}", seed), arguments.device(device)
    limit, data_dir = _checked_options(limit, data_dir)
    if chosen.fixed_examples is not None:
        checkpoints.read_header(chosen.fixed_examples)
    split = data if isinstance(data, Split) else load(data, "train", data_dir)
    training, validation = (part.to(device) for part in _carve(split, limit, validation))
    architecture = _architecture(chosen, split)
    model = _initialise(architecture, chosen, seed).to(device)
    chosen = _resolved(chosen, model, threat_model, device)
    fixed = None
    if chosen.fixed_examples is not None:
        fixed = precompute(chosen.fixed_examples, training, validation, threat_model=threat_model, seed=seed)
    header = Header(
        architecture=architecture,
        dataset=name,
        recipe=described(chosen) | {"limit": limit, "train_images": len(training)},
        threat_model=threat_model,
        seed=seed,
        date=checkpoints.now(),
        versions=_versions(),
        metrics=_without_epochs(chosen, validation).to_dict(),
    )
    image = to_float(training.images[:1])
    model = _laid_out(model, image)
    layers = layers_of(model, chosen, image) if chosen.by_bounds else None
    return Prepared(
        recipe=chosen,
        header=header,
        model=model,
        training=training,
        validation=validation,
        fixed=fixed,
        layers=layers,
    )


def _laid_out(model: nn.Module, image: Tensor) -> nn.Module:
    """The model in the layout in which it trains. One that calls ``view`` may bear contiguous tensors alone."""
    model = model.to(memory_format=precision.training_layout(model, image.device))
    try:
        with torch.no_grad(), seeding.global_streams(image.device, 0, "layout"):
            model.eval()(image)
    except RuntimeError:
        model = model.to(memory_format=torch.contiguous_format)
    return model.train()


def _checked_options(limit: int | None, data_dir: Path | None) -> tuple[int | None, Path | None]:
    limit = None if limit is None else arguments.count(f"--limit {shown(limit)}: it", limit, most=sys.maxsize)
    return limit, None if data_dir is None else arguments.path(f"--data-dir {shown(data_dir)}", data_dir)


def _resolved(recipe: Recipe, model: nn.Module, threat_model: ThreatModel, device: torch.device) -> Recipe:
    """The recipe with the precision and the radius that it trains with."""
    recipe = replace(recipe, precision=precision.resolve(recipe.precision, model, device))
    return replace(recipe, train_eps=recipe.radius(threat_model.eps)) if recipe.by_bounds else recipe


def _versions() -> dict[str, str]:
    return {"advtool": version("advtool"), "torch": torch.__version__, "python": platform.python_version()}


def _without_epochs(recipe: Recipe, validation: Split) -> TrainingMetrics:
    """On what every epoch will be measured."""
    return TrainingMetrics(
        validation_images=len(validation), pgd_images=len(pgd_images(validation)), pgd_draws=draws_of(recipe)
    )


def beginning_of(
    prepared: Prepared, output: Path, data_dir: Path | None, settings: Mapping[str, Any] | None
) -> Beginning:
    """What tells this training from others; ``settings`` that were asked for are None if it has images of its own."""
    header = prepared.header
    asked = None
    if settings is not None:
        given = checked(Settings, {name: value for name, value in settings.items() if value is not None})
        asked = Arguments(
            data=header.dataset,
            recipe=prepared.recipe.name,
            eps=header.threat_model.eps,
            seed=header.seed,
            limit=header.recipe["limit"],
            data_dir=_absolute(cache_dir(data_dir)),
            # The device decides what "auto" is.
            settings=json.loads(json.dumps(given | {"precision": prepared.recipe.precision}, default=_absolute)),
        )
    images = fingerprint(prepared.training, prepared.validation)
    return Beginning(output=output.name, header=header, images=images, arguments=asked)


def dataset_name(data: Split | str | Path) -> str:
    """The name of a known data set, or the absolute path of another, so that ``advtool eval`` finds it anywhere."""
    if isinstance(data, Split):
        check_split(data)
        return data.name
    data = arguments.path(f"--dataset {shown(data)}", data)
    return os.fspath(data) if os.fspath(data) in KNOWN else str(Path(data).resolve())


def _architecture(recipe: Recipe, split: Split) -> Architecture:
    if max(split.shape) > checkpoints.LARGEST_SIZE:
        raise InputError(
            f"the images of '{split.name}' are {'x'.join(map(str, split.shape))}: a model takes at most "
            f"{checkpoints.LARGEST_SIZE} channels and pixels of a side"
        )
    options = dict(recipe.arch_args or {}) | ({"pnil": ["", *recipe.pnil_at]} if recipe.pnil else {})
    return Architecture(name=recipe.arch, input_shape=split.shape, classes=len(split.classes), options=options)


def described(recipe: Recipe) -> dict[str, Any]:
    """The recipe for the header, with a hash of the checkpoint that its fixed examples come from."""
    if recipe.fixed_examples is None:
        return recipe.to_dict()
    digest = files.sha256(recipe.fixed_examples)
    return recipe.to_dict() | {"fixed_examples_sha256": digest}


def _carve(split: Split, limit: int | None, given: Split | None = None) -> tuple[Split, Split]:
    training, validation = train_validation(split) if given is None else (split, _checked_validation(given, split))
    if limit is None:
        return training, validation
    if not 1 <= limit <= len(training):
        apart = f" without the {len(validation)} for validation" if given is None else ""
        raise InputError(
            f"--limit {limit}: it must lie in 1..{len(training)}, the training images of '{split.name}'{apart}"
        )
    return first_images(training, limit), validation


def _checked_validation(given: Split, training: Split) -> Split:
    if not isinstance(given, Split):
        raise InputError(f"validation={shown(given)} must be a Split (advtool.data)")
    check_split(given)
    if (given.shape, given.classes) != (training.shape, training.classes):
        raise InputError("validation: it must have the image shape and the classes of the training images")
    return given


def _initialise(architecture: Architecture, recipe: Recipe, seed: int) -> nn.Module:
    with seeding.global_streams(torch.device("cpu"), seed, "init"):
        with _naming("--pnil-at" if architecture.options.get("pnil", [])[1:] else None):
            model = models.build(architecture)
        if recipe.by_bounds:
            initialise(model)
        if recipe.bias == "plain":
            return model
        layers = recipe.bias_layers or None
        with _naming("--bias-layers" if layers else f"--bias {recipe.bias}"):
            return with_perturbation_bias(model, bias=recipe.bias, memories=recipe.memories, layers=layers)


@contextmanager
def _naming(option: str | None) -> Iterator[None]:
    """Put the option in front of what is wrong with its value; Python's arguments have other names."""
    try:
        yield
    except InputError as error:
        raise InputError(str(error) if option is None else f"{option}: {error}") from None


def _threat_model(given: float, recipe: Recipe) -> ThreatModel:
    eps = arguments.number(given)
    if eps is None or not 0 < eps <= 1:
        raise InputError(f"--eps {shown(given)}: it must be a number in (0, 1], a fraction of the pixel range")
    if recipe.examples == "r+fgsm" and recipe.step_size is not None and recipe.step_size > eps:
        raise InputError(
            f"--step-size {recipe.step_size}: for r+fgsm it must lie in (0, {eps:g}]: its random step takes "
            "the rest of eps"
        )
    return ThreatModel(eps=eps)


def _absolute(path: Path) -> str:
    return str(path.resolve())
