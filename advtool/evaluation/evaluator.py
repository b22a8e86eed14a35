"""The evaluator: a run over a set of images, stage by stage and shard by shard."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from advtool import seeding
from advtool.attacks.base import StepReport
from advtool.attacks.estimator import EOTClassifier
from advtool.attacks.registry import ATTACKS, Scope, parse
from advtool.errors import InputError
from advtool.evaluation import inputs, per_image, provenance
from advtool.evaluation.batching import halving_on_out_of_memory, shard_size
from advtool.evaluation.conclusion import conclude
from advtool.evaluation.diagnostics.setup import draws, of_model
from advtool.evaluation.examples import Examples
from advtool.evaluation.inspection import Inspection, inspect
from advtool.evaluation.observer import Observer
from advtool.evaluation.run import CLEAN, Run, ShardRecord, survivors
from advtool.evaluation.stages import DIAGNOSED, Cascade, Stage, plan
from advtool.evaluation.subject import home_of, subject
from advtool.evaluation.worker import Worker
from advtool.precision import Precision, check_precision
from advtool.results import DatasetInfo, Evaluation, ThreatModel

Work = tuple[ShardRecord, Examples | None]
"""A shard's record, and the adversarial examples that an attack found there."""


@torch.inference_mode(False)
@torch.enable_grad()
def evaluate(
    model: nn.Module,
    images: Any,
    labels: Any,
    *,
    eps: float = 8 / 255,
    attacks: str | Sequence[str] = ("fgsm", "pgd", "spsa"),
    seed: int = 0,
    eot: int | None = None,
    votes: int | None = None,
    pgd_steps: int = 50,
    spsa_steps: int = 100,
    spsa_samples: int = 128,
    precision: Precision = "auto",
    device: torch.device | str | None = None,
    surrogate: nn.Module | None = None,
    run_dir: Path | str | None = None,
    save_adversarial: bool = False,
    dataset: DatasetInfo | None = None,
    indices: Sequence[int] | Tensor | None = None,
    checkpoint: dict[str, Any] | None = None,
    observer: Observer | None = None,
) -> Evaluation:
    """How robust is this model, on these images, against these attacks?

    The model is used in eval mode and left as it was. Every random draw comes from a stream derived from the
    seed, the attack and the shard; torch's, NumPy's and Python's global generators are put back afterwards.

    Args:
        model: float32 (N, C, H, W) in [0, 1] -> logits (N, classes), on any device.
        images: float (N, C, H, W) in [0, 1], array or tensor.
        labels: class indices (N,).
        eps: radius of the L-infinity ball, a fraction of the pixel range, in (0, 1].
        attacks: names, suites (``paper``, ``audit``) or any attack of ART, e.g. ``art:SquareAttack(max_iter=500)``.
        seed: of every random stream of the run.
        eot: draws that a gradient averages over; default 1, or 20 for a model found to be random. SPSA uses it
            only when it is given.
        votes: draws that a prediction averages over; the same defaults.
        pgd_steps: gradient steps of PGD.
        spsa_steps: Adam steps of SPSA.
        spsa_samples: forward evaluations a step of SPSA; half as many antithetic pairs.
        precision: of the search: float32, bfloat16, or auto, which is bfloat16 where the device gains from it. What
            counts is always verified in float32.
        device: where to compute, a CPU or CUDA device; the model is moved there, and back. None stays where it is.
        surrogate: a model of the same task; ``transfer``, also in ``audit``, tries on ``model`` what breaks it.
        run_dir: folder that keeps finished shards, and from which the same call goes on; None keeps nothing.
        save_adversarial: keep the verified examples there too, in its folder ``adversarial``.
        dataset: what the images are, for the result.
        indices: (N,), of each image in its data set, for the run's ``images.jsonl``; None counts from 0.
        checkpoint: where the model comes from, for the result.
        observer: hears of the progress.

    Returns:
        The accuracies with their uncertainty; see :class:`advtool.results.Evaluation`.

    Raises:
        InputError: anything of the above is not as it must be; the message says what would be right.
    """
    eps = inputs.as_eps(eps)
    check_precision(precision)
    inputs.check_counts(seed=(seed, 0), eot=(eot, 1), votes=(votes, 1))
    observer = observer or Observer()
    specs = parse([attacks] if isinstance(attacks, str) else attacks, surrogate=surrogate is not None)
    if surrogate is not None and not any(spec.name == "transfer" for spec in specs):
        raise InputError("--surrogate: no attack of this run uses it; add --attack transfer or --attack audit")
    place = home_of(model) if device is None else inputs.as_device(device)
    x = inputs.as_images(images)
    y = inputs.as_labels(labels, x)
    positions = inputs.as_indices(indices, x)
    data = dataset or DatasetInfo(name="given", split="given", images=len(x))
    train_mode = any(module.training for module in model.modules())
    defaults = _defaults(pgd_steps, {"steps": spsa_steps, "samples": spsa_samples, "eot": eot or 1})
    with ExitStack() as stack:
        estimator = stack.enter_context(
            subject(model, x, y, eot=eot, votes=votes, seed=seed, device=place, precision=precision)
        )
        other = None
        if surrogate is not None:
            other = stack.enter_context(_surrogate(surrogate, estimator, x, y, eot=eot, seed=seed, device=place))
        few = x[:8].to(place), y[:8].to(place)
        with seeding.global_streams(place, seed, "plan"):
            stages = plan(specs, estimator, eps=eps, defaults=defaults, surrogate=other, few=few)
            images_a_shard = shard_size([stage.attack for stage in stages], model, few[0][:1])
        configuration = {
            "code": provenance.code(),
            "model": provenance.model(model),
            "surrogate": None if surrogate is None else provenance.model(surrogate),
            "images": provenance.tensors(x, y),
            "dataset": data.model_dump(),
            "eps": eps,
            "attacks": {stage.label: stage.attack.parameters() for stage in stages},
            "stages": [f"{stage.label} on {stage.scope}" for stage in stages],
            "seed": seed,
            "eot": estimator.eot,
            "votes": estimator.votes,
            "precision": provenance.searched_in(estimator),
            "images_a_shard": images_a_shard,
        }
        run = Run(
            None if run_dir is None else Path(run_dir),
            configuration,
            provenance.environment(estimator),
            keep_examples=[s.label for s in stages if s.probed_eps is None] if save_adversarial else [],
        )
        run.put_image_ids(provenance.image_ids(x, y))
        estimator.batch_size = run.manifest.environment["images_a_pass"]
        ask = partial(_inspect, estimator, model, x[:DIAGNOSED], y[:DIAGNOSED], seed, train_mode=train_mode)
        facts = halving_on_out_of_memory(ask, partial(_halve, run, estimator, observer))
        worker = Worker(estimator, x, y, seed=seed, images_a_shard=images_a_shard)
        _tell(run, len(worker.sizes) * (1 + len(stages)), observer)
        if precision == "bfloat16" and provenance.searched_in(estimator) != precision:
            observer.note("--precision bfloat16: this model cannot be searched so, it is searched in float32")
        if not estimator.randomised:
            observer.note(f"outputs do not vary between identical calls: {draws(estimator.eot, estimator.votes)}")
        for finding in of_model(facts, estimator.randomness, estimator.eot, estimator.votes):
            observer.note(finding.message)
        records = _compute(run, worker, stages, observer)
        answer = conclude(stages, records, x, eps=eps, estimator=estimator, inspection=facts)
    evaluation = Evaluation(
        checkpoint=checkpoint,
        dataset=data,
        threat_model=ThreatModel(eps=eps),
        seed=seed,
        eot=estimator.eot,
        votes=estimator.votes,
        **answer,
        environment=run.manifest.environment,
    )
    run.put_images(per_image.lines(records, y, positions, probes={s.label for s in stages if s.probed_eps is not None}))
    run.put_result(evaluation)
    return evaluation


@contextmanager
def _surrogate(
    model: nn.Module, target: EOTClassifier, x: Tensor, y: Tensor, *, eot: int | None, seed: int, device: torch.device
) -> Iterator[EOTClassifier]:
    """The model to transfer from as an estimator; what is wrong with it is said of it, not of the model under test."""
    with ExitStack() as stack:
        try:
            other = stack.enter_context(subject(model, x, y, eot=eot, votes=None, seed=seed, device=device))
        except InputError as error:
            raise InputError(f"surrogate: {error}") from None
        if other.nb_classes != target.nb_classes:
            raise InputError(
                f"surrogate: it tells {other.nb_classes} classes apart and the model {target.nb_classes}: "
                "name one that was trained for the same task"
            )
        yield other


def _defaults(pgd_steps: int, spsa: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The parameters of attacks that the run has options for."""
    return {name: {"steps": pgd_steps} for name in ATTACKS if name.startswith("pgd")} | {"spsa": spsa}


def _inspect(
    estimator: EOTClassifier, model: nn.Module, x: Tensor, y: Tensor, seed: int, *, train_mode: bool
) -> Inspection:
    device = estimator.device
    with seeding.global_streams(device, seed, "inspect"):
        return inspect(estimator, model, x.to(device), y.to(device), train_mode=train_mode)


def _compute(run: Run, worker: Worker, stages: Sequence[Stage], observer: Observer) -> dict[str, list[ShardRecord]]:
    """The records of the clean stage and of each other, by label."""
    everything = [[True] * size for size in worker.sizes]
    clean = _stage(run, worker, observer, 0, CLEAN, lambda shard, _: (worker.classify(shard), None), everything)
    records, cascade = {CLEAN: clean}, Cascade(survivors(clean))
    for position, stage in enumerate(stages, start=1):
        asked = _by_shard(cascade.asks_for(stage), worker)
        in_turn = stage.scope is Scope.every or stage.probed_eps is not None
        counted = _by_shard(cascade.clean if in_turn else cascade.standing, worker)
        compute = partial(_attack, worker, stage, asked)
        told = stage.label if stage.probed_eps is None else f"probe, {stage.label}"
        records[stage.label] = _stage(run, worker, observer, position, told, compute, counted)
        cascade.note(stage, survivors(records[stage.label]))
    return records


def _by_shard(images: Sequence[bool], worker: Worker) -> list[list[bool]]:
    rest = iter(images)
    return [list(islice(rest, size)) for size in worker.sizes]


def _attack(worker: Worker, stage: Stage, asked: list[list[bool]], shard: int, report: StepReport) -> Work:
    return worker.attack(stage.attack, stage.label, shard, asked[shard], report)


def _stage(
    run: Run,
    worker: Worker,
    observer: Observer,
    position: int,
    name: str,
    compute: Callable[[int, StepReport], Work],
    counted: Sequence[Sequence[bool]],
) -> list[ShardRecord]:
    """Every shard of one stage: those that are finished as they are, the others computed and kept.

    ``counted`` tells of each shard which images the progress speaks of: in a cascade an attack may also see some
    that were lost before.
    """
    records: list[ShardRecord] = []
    done = standing = 0
    observer.start(name, sum(worker.sizes))
    for shard, size in enumerate(worker.sizes):
        most = sum(counted[shard])

        def report(
            step: int,
            steps: int,
            left: int,
            done: int = done,
            before: int = standing,
            size: int = size,
            most: int = most,
        ) -> None:
            observer.advance(name, done + size * step / steps, before + min(left, most))

        record = run.get(position, shard)
        if record is None:
            halve = partial(_halve, run, worker.estimator, observer)
            record, found = halving_on_out_of_memory(partial(compute, shard, report), halve)
            run.put(position, record, found)
        records.append(record)
        left = sum(counts and stands for counts, stands in zip(counted[shard], record.survives, strict=True))
        done, standing = done + size, standing + left
        observer.advance(name, done, standing)
    observer.finish(name, standing)
    return records


def _halve(run: Run, estimator: EOTClassifier, observer: Observer) -> int:
    estimator.batch_size //= 2
    if estimator.batch_size:
        observer.note(f"out of memory: going on with {estimator.batch_size} images a pass")
        run.set_images_a_pass(estimator.batch_size)
    return estimator.batch_size


def _tell(run: Run, shards: int, observer: Observer) -> None:
    """What the user should know of a run that was begun before."""
    if run.finished == shards:
        observer.note(f"run '{run.folder}' is complete: this is its answer, nothing was computed again")
        return
    if run.finished:
        observer.note(f"run '{run.folder}': going on, {run.finished} of {shards} shards are finished already")
    for name in run.damaged:
        observer.note(f"run '{run.folder}': shard {name} is damaged and is computed again")
    for key, (there, here) in run.moved.items():
        observer.note(
            f"run '{run.folder}' was begun with {key} {there}, here it is {here}: results may differ in rounding"
        )
