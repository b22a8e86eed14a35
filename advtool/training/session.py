"""One training, from the images to the checkpoint."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch

from advtool import arguments, checkpoints, models
from advtool.arguments import shown
from advtool.compute.memory import freed_memory_kept
from advtool.compute.quick import quick_layers
from advtool.data import Split, check_fetched
from advtool.errors import InputError
from advtool.ranks import ALONE, Ranks
from advtool.settings import with_settings
from advtool.training.course import Course
from advtool.training.history import floor_of
from advtool.training.keeper import Keeper, Trained
from advtool.training.loop import batches_per_epoch, epochs, updates_of
from advtool.training.observer import Observer
from advtool.training.place import Place
from advtool.training.prepared import Prepared, beginning_of, prepare
from advtool.training.schedule import Updates
from advtool.training.settings import Settings
from advtool.training.sharing import by_the_first, check_agreement, on_any, wait_for_all
from advtool.training.validation import pgd_images


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
            ``NAME.state.safetensors``. After an interrupt both stay. No other process may train there meanwhile.
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
            training diverges; ``output`` cannot be written, or has the name of a file beside another output; or
            another process trains there.
    """
    device = ranks.device(arguments.device(device))
    check_fetched(data, data_dir, ranks)
    place = None
    if output is not None:
        place = Place(arguments.path(f"--output {shown(output)}", output))
        place.check()
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
    course = None
    if place is not None:
        by_name = not isinstance(data, Split) and validation is None
        beginning = beginning_of(prepared, place.output, data_dir, settings if by_name else None)
        course = Course(place, beginning, resumes=resume)
    return carry_out(prepared, course, ranks, observer)


def carry_out(prepared: Prepared, course: Course | None, ranks: Ranks, observer: Observer | None) -> Trained:
    """Train to the end, alone in the place of the ``course`` if there is one.

    Raises:
        InputError: the training diverges, another process trains in the place, it cannot be written, the tensors of its
            state do not fit, or not every rank finds that state or that checkpoint.
    """
    model, device = prepared.model, prepared.training.images.device
    written = course if ranks.is_first else None
    place = None if written is None else written.place
    observer = heard(observer, ranks)
    floor = floor_of(pgd_images(prepared.validation).labels)
    keeper = Keeper(prepared.header, prepared.recipe, floor, place=place, observer=observer)
    updates = updates_of(model, prepared.recipe, len(prepared.training))
    with ranks.group(device), freed_memory_kept(), quick_layers(model):
        if course is None:
            return _to_the_end(prepared, None, keeper, updates, ranks, observer)
        with _alone(course.place, ranks):
            if _goes_on(course, prepared, keeper, updates, ranks, observer):
                return _to_the_end(prepared, written, keeper, updates, ranks, observer)
            observer.nothing_left(course.place.output)
            return finished(course.place.output, device)


@contextmanager
def _alone(place: Place, ranks: Ranks) -> Iterator[None]:
    """Be the only ones that train in a place. The first rank holds its lock for all.

    Raises:
        InputError: on every rank, if another process holds it, or nobody may write there.
    """
    with ExitStack() as held:
        if not by_the_first(lambda: held.enter_context(place.alone()), ranks):
            raise InputError(
                f"another process trains '{place.output}' now: wait for it, or give every training an --output of "
                "its own"
            )
        yield


def _goes_on(
    course: Course, prepared: Prepared, keeper: Keeper, updates: Updates, ranks: Ranks, observer: Observer
) -> bool:
    """Go to where the training was stopped, if it was. Returns whether something is left to do."""
    was_begun = on_any(course.was_begun or ranks.restarts > 0, ranks)
    state = course.find() if was_begun or course.resumes else None
    if state is not None:
        course.restore(state, prepared.model, updates, keeper)
        observer.resumed(state.beginning.header, len(keeper.history))
    is_over = state is None and was_begun and course.is_over
    if course.was_begun and state is None and not is_over:
        raise InputError(f"another process has begun another training at '{course.place.output}' meanwhile")
    done = "all" if is_over else len(keeper.history)
    check_agreement(done, ranks, "the ranks go on after different epochs: they must share --output")
    return not is_over


def _to_the_end(
    prepared: Prepared, written: Course | None, keeper: Keeper, updates: Updates, ranks: Ranks, observer: Observer
) -> Trained:
    """Train the epochs that ``keeper`` has not yet; each leaves its state in the place where this rank writes."""
    model, training = prepared.model, prepared.training
    batches = batches_per_epoch(len(training), prepared.recipe.batch_size)
    by_the_first(partial(observer.started, prepared.header, batches), ranks)  # it may write, and fail
    remaining = epochs(
        model,
        prepared.recipe,
        training,
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
            written.save(model, updates, keeper)
            observer.resumable(written.place.state)
    trained = keeper.finish(training.images.device)
    wait_for_all(ranks)
    observer.finished(trained.header)
    if written is not None:  # last: a restart that finds no state knows that the observer was told
        written.place.state.unlink(missing_ok=True)
    return trained


def finished(output: Path, device: torch.device) -> Trained:
    """What a training that is over had given.

    Raises:
        InputError: the checkpoint is damaged.
    """
    header, tensors = checkpoints.read(output)
    return Trained(models.from_checkpoint(header, tensors).to(device), header)


def heard(observer: Observer | None, ranks: Ranks) -> Observer:
    """The observer on rank 0; on the others one that does nothing."""
    return observer if ranks.is_first and observer is not None else Observer()


def default_output(dataset: str | Path, arch: str, recipe: str, seed: int) -> Path:
    """``checkpoints/DATASET-ARCH-RECIPE-sSEED.safetensors`` in the current folder."""
    name = Path(dataset).resolve().name.removesuffix(".npz")
    return checkpoints.FOLDER / f"{name}-{arch}-{recipe}-s{seed}{checkpoints.SUFFIX}"
