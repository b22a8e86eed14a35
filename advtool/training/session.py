"""One training, from the images to the checkpoint."""

import os
import platform
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from advtool import arguments, checkpoints, files, models, seeding
from advtool.arguments import shown
from advtool.checkpoints import Architecture, Header
from advtool.compute import precision
from advtool.compute.convolution import quick_convolutions
from advtool.compute.memory import freed_memory_kept
from advtool.data import (
    KNOWN,
    Split,
    available,
    check_split,
    default_eps,
    first_images,
    load,
    to_float,
    train_validation,
)
from advtool.errors import InputError
from advtool.models.bias import with_perturbation_bias
from advtool.ranks import ALONE, Ranks
from advtool.settings import with_settings
from advtool.threat import ThreatModel
from advtool.training.bounds import initialise, layers_of
from advtool.training.fixed import precompute
from advtool.training.history import floor_of
from advtool.training.keeper import Keeper, Trained
from advtool.training.loop import batches_per_epoch, epochs, updates_of
from advtool.training.observer import Observer
from advtool.training.place import Place, found_beside
from advtool.training.prepared import Prepared, beginning_of
from advtool.training.recipes import Recipe, recipe_for
from advtool.training.settings import Settings
from advtool.training.sharing import check_agreement, wait_for_all
from advtool.training.validation import draws_of, pgd_images


@with_settings(Settings, optional=True)
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
    resume: bool = False,
    ranks: Ranks = ALONE,
    observer: Observer | None = None,
    **settings: Any,
) -> Trained:
    """Train a classifier with a recipe, and keep its best epoch.

    Equal arguments give equal weights, bit for bit, on a CPU with the same thread count, torch build and precision.
    The best epoch has the highest clean accuracy if only clean images train, the highest certified accuracy if bounds
    train, and the highest PGD accuracy otherwise; ``keep`` chooses another figure
    (:func:`advtool.training.history.best`).

    Args:
        data: training images, or a name or path that :func:`advtool.data.load` takes. A fixed part of them becomes
            the validation images. Test images are not read.
        recipe: a name in ``RECIPES``.
        eps: the attacker's radius in linf, a fraction of the pixel range in (0, 1]; None: the data set's own.
        seed: of the initial weights, the order of the images and all noise.
        device: where to train.
        limit: train on that many images only; every seed gets the same ones. Validation images do not count.
        data_dir: the cache of data sets.
        validation: images that choose the epoch; None: a part of ``data``.
        output: where to write the checkpoint; an existing file is replaced. During the training the best epoch so far
            lies beside it as ``NAME.partial.safetensors``, and the state after the last epoch as
            ``NAME.state.safetensors``. After an interrupt both stay.
        resume: go on from the state beside ``output``, if there is one and it is of this very training. A state of
            another one, or a damaged one, is replaced after the first epoch. :func:`advtool.training.resume` refuses
            these instead, and knows the arguments.
        ranks: the processes that train together, ``Ranks.of_environment()`` of :mod:`advtool.ranks` under torchrun.
            Every process makes this call and gets the same model; rank 0 alone validates, writes and has its observer
            told. With a ``device`` of "cuda" each takes one of its own. After a restart they go on as with ``resume``.
        observer: hears of every batch and epoch.
        settings: fields of :class:`Settings`, listed below; None: the recipe's own value, or the data set's.

    Raises:
        InputError: an argument is unknown, out of range or does not go with another one; the data cannot be read; the
            loss diverges; or ``output`` cannot be written.
    """
    place, resume = None, resume or ranks.restarts > 0
    device = ranks.device(arguments.device(device))
    check_fetched(data, data_dir, ranks)
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
    if output is not None:
        by_name = not isinstance(data, Split) and validation is None
        beginning = beginning_of(prepared, output, data_dir, settings if by_name else None)
        place = Place(output, beginning, found_beside(output, beginning) if resume else None)
    return carry_out(prepared, place, ranks, observer)


def carry_out(prepared: Prepared, place: Place | None, ranks: Ranks, observer: Observer | None) -> Trained:
    """Train to the end, in the ``place`` if there is one.

    Raises:
        InputError: the loss diverges, the output cannot be written, the tensors of the place's state do not fit, or
            not every rank finds that state.
    """
    model, chosen, device = prepared.model, prepared.recipe, prepared.training.images.device
    written, observer = (place, observer or Observer()) if ranks.is_first else (None, Observer())
    floor = floor_of(pgd_images(prepared.validation).labels)
    keeper = Keeper(
        prepared.header, chosen, floor, output=None if written is None else written.output, observer=observer
    )
    updates = updates_of(model, chosen, len(prepared.training))
    with ranks.group(device), freed_memory_kept(), quick_convolutions(model):
        if place is not None and place.state is not None:
            place.restore(model, updates, keeper)
            observer.resumed(place.state.beginning.header, len(keeper.history))
        check_agreement(len(keeper.history), ranks, "the ranks go on after different epochs: they must share --output")
        observer.started(prepared.header, batches_per_epoch(len(prepared.training), chosen.batch_size))
        remaining = epochs(
            model,
            chosen,
            prepared.training,
            prepared.validation,
            updates=updates,
            after=len(keeper.history),
            threat_model=prepared.threat_model,
            seed=prepared.header.seed,
            fixed=prepared.fixed,
            layers=prepared.layers,
            ranks=ranks,
            observer=observer,
        )
        while not keeper.is_over and (figures := next(remaining, None)) is not None:
            keeper.offer(model, figures)
            if written is not None:
                observer.resumable(written.save(model, updates, keeper))
        trained = keeper.finish(device)
        wait_for_all(ranks)  # a rank that died here would find no state and begin anew
        if written is not None:
            written.clear()
    return trained


def check_fetched(data: Split | str | Path, data_dir: Path | None, ranks: Ranks) -> None:
    """Refuse to download a data set by several processes into one folder at once.

    Raises:
        InputError: the data set is not in the cache.
    """
    if ranks.are_several and not isinstance(data, Split):
        missing = [entry.name for entry in available(data_dir) if entry.cached is None]
        if str(data) in missing:
            raise InputError(f"--dataset {data} is not here yet: run 'advtool data fetch {data}' before torchrun")


def default_output(dataset: str | Path, arch: str, recipe: str, seed: int) -> Path:
    """``checkpoints/DATASET-ARCH-RECIPE-sSEED.safetensors`` in the current folder."""
    name = Path(dataset).resolve().name.removesuffix(".npz")
    return Path("checkpoints") / f"{name}-{arch}-{recipe}-s{seed}{checkpoints.SUFFIX}"


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
    """Do everything that comes before the first step of a training; :func:`train` explains arguments and errors."""
    name = _name(data)
    chosen = recipe_for(name, recipe, **settings)
    threat_model = _threat_model(default_eps(name) if eps is None else eps, chosen)
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
    if chosen.by_bounds:
        chosen = replace(chosen, train_eps=chosen.radius(threat_model.eps))
    fixed = None
    if chosen.fixed_examples is not None:
        fixed = precompute(chosen.fixed_examples, training, validation, threat_model=threat_model, seed=seed)
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
    layers = layers_of(model, chosen, to_float(training.images[:1])) if chosen.by_bounds else None
    return Prepared(
        recipe=chosen,
        header=header,
        model=model,
        training=training,
        validation=validation,
        fixed=fixed,
        layers=layers,
    )


def _name(data: Split | str | Path) -> str:
    """The name of a known data set, or the absolute path of another, so that ``advtool eval`` finds it anywhere."""
    if isinstance(data, Split):
        check_split(data)
        return data.name
    data = arguments.path(f"--dataset {shown(data)}", data)
    return os.fspath(data) if os.fspath(data) in KNOWN else str(Path(data).resolve())


def _architecture(recipe: Recipe, split: Split) -> Architecture:
    options = dict(recipe.arch_args or {}) | ({"pnil": ["", *recipe.pnil_at]} if recipe.pnil else {})
    return Architecture(name=recipe.arch, input_shape=split.shape, classes=len(split.classes), options=options)


def _described(recipe: Recipe) -> dict[str, Any]:
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
        model = models.build(architecture)
        if recipe.by_bounds:
            initialise(model)
        if recipe.bias == "plain":
            return model
        layers = recipe.bias_layers or None
        return with_perturbation_bias(model, bias=recipe.bias, memories=recipe.memories, layers=layers)


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
