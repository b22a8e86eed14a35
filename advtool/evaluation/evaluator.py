"""``evaluate`` and ``check``: they make a run of their arguments, and an answer of the run."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from advtool import arguments
from advtool.errors import InputError
from advtool.evaluation.beginning import beginning
from advtool.evaluation.conclusion import conclude
from advtool.evaluation.diagnosed import DIAGNOSED_IMAGES
from advtool.evaluation.diagnostics.setup import draws, model_findings
from advtool.evaluation.engine import Engine, halve, tell_of_damage
from advtool.evaluation.observer import Observer
from advtool.evaluation.preparation import Prepared, prepared
from advtool.evaluation.question import Question
from advtool.evaluation.recognition import recognise
from advtool.evaluation.run import Run
from advtool.evaluation.settings import Settings
from advtool.evaluation.understanding import refuse_guessing, understand
from advtool.evaluation.worker import Worker
from advtool.ranks import Ranks
from advtool.results import Check, DatasetInfo, Evaluation
from advtool.settings import with_settings
from advtool.target.arithmetic import plain_defaults
from advtool.target.handling import home_of
from advtool.target.inspection import Inspection, inspect
from advtool.target.memory_use import halving_on_out_of_memory


@with_settings(Settings)
@plain_defaults()
@torch.inference_mode(False)
@torch.enable_grad()
def evaluate(
    model: nn.Module,
    images: Any,
    labels: Any = None,
    *,
    limit: int | None = None,
    device: torch.device | str | None = None,
    surrogate: nn.Module | None = None,
    run_dir: Path | str | None = None,
    save_adversarial: bool = False,
    dataset: DatasetInfo | None = None,
    indices: Sequence[int] | Tensor | None = None,
    checkpoint: dict[str, Any] | None = None,
    origin: dict[str, Any] | None = None,
    refuse_chance: bool = False,
    observer: Observer | None = None,
    **settings: Any,
) -> Evaluation:
    """How robust is this model, on these images, against these attacks?

    The model is used in eval mode and left as it was. Every random draw comes from a stream that belongs to the seed,
    the attack and the place of the images. The global generators of torch, NumPy and Python are left as they were.

    Args:
        model: float32 (N, C, H, W) in [0, 1] -> logits (N, classes), on any device.
        images: float (N, C, H, W) in [0, 1], array or tensor; or a Dataset, DataLoader or iterable of (image, label).
        labels: class indices (N,); None where ``images`` brings them.
        limit: evaluate the first ``limit`` images; None takes all.
        device: where to compute, a CPU or CUDA device; afterwards the model is where it was. None computes there.
        surrogate: a model of the same task; the attack ``transfer``, also in ``audit``, tries its adversarial examples
            on ``model``.
        run_dir: folder of the run; the same call goes on from the shards in it. None keeps nothing.
        save_adversarial: keep the verified examples in ``run_dir`` too, in the folder ``adversarial``.
        dataset: what the images are, for the result.
        indices: int (N,), the index of each image in its data set, for the run's ``images.jsonl``; None counts from 0.
        checkpoint: the card of the checkpoint that the model comes from, for the result.
        origin: where the model comes from if it is no checkpoint of ours, for the result's ``model``.
        refuse_chance: stop before the attacks if the model is no better than guessing.
        observer: is told of the progress.
        settings: what is asked of the model, and how hard the attacks try; see below.

    Returns:
        The accuracies with their uncertainty. Its ``outcomes`` tell what became of every image.

    Raises:
        InputError: an argument is wrong, or the model is broken; the message says what would be right.
        ContradictionError: an image is proved robust and yet was broken, which is an error of advtool.
    """
    observer = Observer.of(observer)
    arguments.flag(f"save_adversarial={arguments.shown(save_adversarial)}", save_adversarial)
    arguments.flag(f"refuse_chance={arguments.shown(refuse_chance)}", refuse_chance)
    _check_descriptions(checkpoint=checkpoint, origin=origin)
    question = Question.of(
        images,
        labels,
        Settings.of(settings),
        limit=limit,
        dataset=dataset,
        indices=indices,
        surrogate=surrogate is not None,
    )
    folder = None if run_dir is None else arguments.path(f"run_dir={arguments.shown(run_dir)}", run_dir)
    opening = partial(prepared, model, question, _place(model, device), surrogate=surrogate, folder=folder)
    with _begun(folder, opening, observer, save_adversarial=save_adversarial) as (ready, run):
        origin, worker = _origin(origin, ready), ready.worker()
        lower = partial(halve, run, ready.targets, observer)
        _recognise(ready, run, worker)
        if run.finished == _parts(ready, worker) and run.inspection is not None:
            observer.note(f"run '{run.folder}' is complete: this is its answer, and nothing was computed again")
        else:
            check = _check(ready, run, worker, lower, checkpoint, origin)
            _tell(ready, run, worker, check, observer)
            if refuse_chance:
                refuse_guessing(check)
        ranks = Ranks.of_environment()
        ledger = Engine(run, worker, ready.stages, observer, question.indices, lower, ranks).compute()
        for reason in ledger.unplantable:
            observer.note(f"not planted: {reason}")
        inspection = _inspected(ready, run, observer, lower)
        evaluation = conclude(
            ready, worker.shards, ledger, inspection, checkpoint=checkpoint, origin=origin, environment=run.environment
        )
        run.put_images(evaluation.to_lines())
        run.put_result(evaluation)
    return evaluation


@with_settings(Settings)
@plain_defaults()
@torch.inference_mode(False)
@torch.enable_grad()
def check(
    model: nn.Module,
    images: Any,
    labels: Any = None,
    *,
    limit: int | None = None,
    device: torch.device | str | None = None,
    dataset: DatasetInfo | None = None,
    indices: Sequence[int] | Tensor | None = None,
    checkpoint: dict[str, Any] | None = None,
    origin: dict[str, Any] | None = None,
    observer: Observer | None = None,
    **settings: Any,
) -> Check:
    """Tell what :func:`evaluate` would find out about the model and the images before it attacks. Nothing is attacked.

    The settings decide which attacks would run, and so how long they would take.

    Args:
        model: as for :func:`evaluate`.
        images: as for :func:`evaluate`.
        labels: class indices (N,); None where ``images`` brings them.
        limit: evaluate the first ``limit`` images; None takes all.
        device: as for :func:`evaluate`.
        dataset: what the images are, for the result.
        indices: as for :func:`evaluate`.
        checkpoint: the card of the checkpoint that the model comes from, for the result.
        origin: where the model comes from if it is no checkpoint of ours, for the result's ``model``.
        observer: is told of the progress.
        settings: as for :func:`evaluate`; see below.

    Raises:
        InputError: :func:`evaluate` would refuse an argument or the model.
    """
    observer = Observer.of(observer)
    _check_descriptions(checkpoint=checkpoint, origin=origin)
    question = Question.of(images, labels, Settings.of(settings), limit=limit, dataset=dataset, indices=indices)
    with prepared(model, question, _place(model, device)) as ready:
        run = ready.begin_run()
        lower = partial(halve, run, ready.targets, observer)
        return _check(ready, run, ready.worker(), lower, checkpoint, _origin(origin, ready))


@contextmanager
def _begun(
    folder: Path | None,
    opening: Callable[[], AbstractContextManager[Prepared]],
    observer: Observer,
    *,
    save_adversarial: bool,
) -> Iterator[tuple[Prepared, Run]]:
    """Open the models, and begin the run or go on with it. Afterwards the models are as they were."""
    with ExitStack() as stack:
        with beginning(folder, partial(observer.waits, "begins this run")):
            ready = stack.enter_context(opening())
            run = stack.enter_context(ready.begin_run(save_adversarial=save_adversarial))
        if folder is not None:
            observer.begun(folder)
        yield ready, run


def _check_descriptions(**descriptions: Any) -> None:
    for name, value in descriptions.items():
        if value is not None and not isinstance(value, dict):
            raise InputError(f"{name}={arguments.shown(value)} must be a dictionary, or None")


def _place(model: nn.Module, device: torch.device | str | None) -> torch.device:
    return home_of(model) if device is None else arguments.device(device)


def _origin(origin: dict[str, Any] | None, ready: Prepared) -> dict[str, Any]:
    return {**(origin or {"spec": None}), "fingerprint": ready.ours.identity.fingerprint}


def _recognise(ready: Prepared, run: Run, worker: Worker) -> None:
    recognise(ready.begun, ready.ours, [(run.get(0, shard.number), shard.x) for shard in worker.shards])
    ready.ours.handled.state.restore()


def _parts(ready: Prepared, worker: Worker) -> int:
    """The number of parts of the run: each stage, the clean one too, on each shard."""
    return len(worker.shards) * (1 + len(ready.stages))


def _check(
    ready: Prepared,
    run: Run,
    worker: Worker,
    lower: Callable[[], int],
    checkpoint: dict[str, Any] | None,
    origin: dict[str, Any],
) -> Check:
    preview = halving_on_out_of_memory(partial(worker.preview, partial(run.get, 0)), lower)
    return understand(ready, preview, checkpoint=checkpoint, origin=origin, environment=run.manifest.environment)


def _inspected(ready: Prepared, run: Run, observer: Observer, lower: Callable[[], int]) -> Inspection:
    """What the gradient of the model is worth. Of several processes one asks, and the others read it."""
    if run.inspection is not None:
        return run.inspection
    with run.claim("inspection", waits=partial(observer.waits, "asks what the gradient is worth")):
        inspection = run.inspection or halving_on_out_of_memory(partial(_inspect, ready), lower)
        run.put_inspection(inspection)
    return inspection


def _inspect(ready: Prepared) -> Inspection:
    target = ready.ours.target
    with target.streams(ready.question.settings.seed, "inspect"):
        return inspect(target, *ready.question.first(DIAGNOSED_IMAGES, target.device))


def _tell(ready: Prepared, run: Run, worker: Worker, check: Check, observer: Observer) -> None:
    """Tell the user what matters before the attacks begin."""
    if run.finished:
        parts = _parts(ready, worker)
        observer.note(f"run '{run.folder}': going on, {run.finished} of {parts} parts are finished already")
    tell_of_damage(run, run.damaged, observer)
    for key, (there, here) in run.changed_environment.items():
        observer.note(
            f"run '{run.folder}' was begun with {key} {there}, here it is {here}: rounding may change results"
        )
    facts, target = ready.ours.facts, ready.ours.target
    precision = ready.question.settings.precision
    if precision == "bfloat16" and facts.search_precision != precision:
        observer.note("--precision bfloat16: this model does not run in bfloat16, so attacks search it in float32")
    observer.understood(check)
    if facts.logits_from:
        observer.note(f"the logits are {facts.logits_from}: if they are others, give these alone")
    if not target.randomised:
        observer.note(f"outputs do not vary between identical calls: {draws(target.eot, target.votes)}")
    for finding in model_findings(facts, target.eot, target.votes):
        observer.note(finding.message)
    if ready.certification is not None and ready.certification.reason is not None:
        observer.note(f"not certified: {ready.certification.reason}")
