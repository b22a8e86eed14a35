"""One training from the images to the checkpoint: defaults, random streams, the card."""

import hashlib
import os
import platform
import sys
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Unpack

import torch
from torch import nn

from advtool import arguments, checkpoints, files, models, seeding
from advtool.arguments import shown
from advtool.checkpoints import Architecture, Header
from advtool.compute import precision
from advtool.compute.convolution import quick_convolutions
from advtool.compute.memory import freed_memory_kept
from advtool.data import KNOWN, Split, check_split, default_eps, first_images, load, train_validation
from advtool.errors import InputError
from advtool.models.bias import with_perturbation_bias
from advtool.threat import ThreatModel
from advtool.training import loop
from advtool.training.fixed import FixedExamples, precompute
from advtool.training.history import floor_of
from advtool.training.keeper import Keeper, Trained
from advtool.training.observer import Observer
from advtool.training.recipes import Recipe, recipe_for
from advtool.training.settings import Settings
from advtool.training.validation import draws_of, pgd_images


def train(
    data: Split | str | Path,
    recipe: str,
    *,
    eps: float | None = None,
    seed: int = 0,
    device: str | torch.device = "cpu",
    limit: int | None = None,
    data_dir: Path | None = None,
    validation: Split | None = None,
    output: Path | None = None,
    observer: Observer | None = None,
    **settings: Unpack[Settings],
) -> Trained:
    """Train a classifier with a recipe, and keep its best epoch by the recipe's rule.

    Equal arguments give equal weights, bit for bit, on the CPU at one thread count, torch build and precision.
    The epoch is kept by clean accuracy where only clean images train, else by PGD accuracy (``keep`` chooses).
    Epochs whose accuracy on examples does not exceed what guessing reaches tie, and one-step, then clean accuracy
    decide (:func:`advtool.training.history.best`).

    Args:
        data: training images, or what :func:`advtool.data.load` takes. A fixed validation set is carved from
            them; the test images are not read.
        recipe: a name in ``RECIPES``.
        eps: the attacker's radius in linf, a fraction of the pixel range in (0, 1]; None: the data set's own.
        seed: of the initial weights, the order of the images and all noise.
        device: where to train.
        limit: train on that many images only, taken after the validation set; the same ones for every seed.
        data_dir: the cache of data sets.
        validation: images that choose the epoch, in place of a part of ``data``, all of which then trains.
        output: where to write the checkpoint; an existing file is replaced. Until training ends, its best
            epoch so far lies beside it as ``NAME.partial.safetensors``; after an interrupt it stays there.
        observer: is told of every batch and epoch.
        settings: fields of :class:`Recipe` on top of the recipe's and data set's own.

    Raises:
        InputError: an argument is unknown, out of range or does not go with the others, the data cannot be
            read, the loss diverges, or ``output`` cannot be written.
    """
    observer = observer or Observer()
    if output is not None:
        output = arguments.path(f"--output {shown(output)}", output)
        files.check_writable(output)
    prepared = prepare(
        data,
        recipe,
        eps=eps,
        seed=seed,
        device=device,
        limit=limit,
        data_dir=data_dir,
        validation=validation,
        **settings,
    )
    chosen = prepared.recipe
    floor = floor_of(pgd_images(prepared.validation).labels)
    keeper = Keeper(prepared.header, chosen, floor, output=output, observer=observer)
    observer.started(prepared.header, loop.batches_per_epoch(len(prepared.training), chosen.batch_size))
    with freed_memory_kept(), quick_convolutions(prepared.model):
        for figures in loop.epochs(
            prepared.model,
            chosen,
            prepared.training,
            prepared.validation,
            eps=prepared.eps,
            seed=prepared.header.seed,
            fixed=prepared.fixed,
            observer=observer,
        ):
            keeper.offer(prepared.model, figures)
            if keeper.collapse is not None and chosen.stop_on_collapse:
                break
    return keeper.finish(prepared.training.images.device)


def default_output(dataset: str | Path, arch: str, recipe: str, seed: int) -> Path:
    """``checkpoints/DATASET-ARCH-RECIPE-sSEED.safetensors`` in the current folder."""
    name = Path(dataset).resolve().name.removesuffix(".npz")
    return Path("checkpoints") / f"{name}-{arch}-{recipe}-s{seed}{checkpoints.SUFFIX}"


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What a training starts from: a new model, images and fixed examples on one device, and the card."""

    recipe: Recipe
    header: Header
    model: nn.Module
    training: Split
    validation: Split
    fixed: FixedExamples | None

    @property
    def eps(self) -> float:
        """The attacker's radius, a fraction of the pixel range in (0, 1]."""
        return self.header.threat_model.eps


def prepare(
    data: Split | str | Path,
    recipe: str,
    *,
    eps: float | None,
    seed: int,
    device: str | torch.device,
    limit: int | None,
    data_dir: Path | None,
    validation: Split | None = None,
    **settings: Unpack[Settings],
) -> Prepared:
    """Everything before the first step of a training; arguments and errors are those of :func:`train`."""
    name = _name(data)
    chosen = recipe_for(name, recipe, **settings)
    threat_model = ThreatModel(eps=_checked_eps(default_eps(name) if eps is None else eps, chosen))
    seed, device = arguments.seed(f"--seed {shown(seed)}", seed), arguments.device(device)
    limit = None if limit is None else arguments.count(f"--limit {shown(limit)}: it", limit, most=sys.maxsize)
    data_dir = None if data_dir is None else arguments.path(f"--data-dir {shown(data_dir)}", data_dir)
    if chosen.fixed_examples is not None:
        checkpoints.read_header(chosen.fixed_examples)
    split = data if isinstance(data, Split) else load(data, "train", data_dir)
    training, validation = (part.to(device) for part in _carve(split, limit, validation))
    architecture = _architecture(chosen, split)
    model = _initialise(architecture, chosen, seed).to(device)
    chosen = replace(chosen, precision=precision.resolve(chosen.precision, model, device))
    fixed = None
    if chosen.fixed_examples is not None:
        fixed = precompute(chosen.fixed_examples, training, validation, eps=threat_model.eps, seed=seed)
    header = Header(
        architecture=architecture,
        dataset=name,
        recipe=_described(chosen) | {"limit": limit, "train_images": len(training)},
        threat_model=threat_model,
        seed=seed,
        date=checkpoints.now(),
        versions={
            "advtool": version("advtool"),
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
        metrics={
            "validation_images": len(validation),
            "pgd_images": len(pgd_images(validation)),
            "pgd_draws": draws_of(chosen),
        },
    )
    model = model.to(memory_format=precision.layout(model))
    return Prepared(recipe=chosen, header=header, model=model, training=training, validation=validation, fixed=fixed)


def _name(data: Split | str | Path) -> str:
    """A known name as it is; a path in full, so that ``advtool eval`` finds the data from any folder."""
    if isinstance(data, Split):
        check_split(data)
        return data.name
    data = arguments.path(f"--dataset {shown(data)}", data)
    return os.fspath(data) if os.fspath(data) in KNOWN else str(Path(data).resolve())


def _architecture(recipe: Recipe, split: Split) -> Architecture:
    options = {"pnil": ["", *recipe.pnil_at]} if recipe.pnil else {}
    return Architecture(name=recipe.arch, input_shape=split.shape, classes=len(split.classes), options=options)


def _described(recipe: Recipe) -> dict[str, Any]:
    """The recipe for the card; the checkpoint of its fixed examples is identified by its content too."""
    if recipe.fixed_examples is None:
        return recipe.to_dict()
    digest = hashlib.sha256(recipe.fixed_examples.read_bytes()).hexdigest()
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
        raise InputError("validation: its images and classes must be like those that train")
    return given


def _initialise(architecture: Architecture, recipe: Recipe, seed: int) -> nn.Module:
    with seeding.global_streams(torch.device("cpu"), seed, "init"):
        model = models.build(architecture)
        if recipe.bias == "plain":
            return model
        layers = recipe.bias_layers or None
        return with_perturbation_bias(model, bias=recipe.bias, memories=recipe.memories, layers=layers)


def _checked_eps(given: float, recipe: Recipe) -> float:
    eps = arguments.number(given)
    if eps is None or not 0 < eps <= 1:
        raise InputError(f"--eps {shown(given)}: it must be a number in (0, 1], a fraction of the pixel range")
    if recipe.examples == "r+fgsm" and recipe.step_size is not None and recipe.step_size > eps:
        raise InputError(
            f"--step-size {recipe.step_size}: for r+fgsm it must lie in (0, {eps:g}], for its random step takes "
            "what it leaves of eps"
        )
    return eps
