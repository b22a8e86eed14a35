"""The evaluator: a run over a set of images, stage by stage and shard by shard."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from advtool.attacks.base import StepReport, TensorAttack
from advtool.attacks.estimator import EOTClassifier
from advtool.attacks.registry import build, parse
from advtool.evaluation import inputs, provenance, summary
from advtool.evaluation.batching import halving_on_out_of_memory
from advtool.evaluation.observer import Observer
from advtool.evaluation.run import Run, ShardRecord
from advtool.evaluation.subject import home_of, subject
from advtool.evaluation.worker import CLEAN, Worker
from advtool.results import DatasetInfo, Evaluation, ThreatModel

IMAGES_A_SHARD = {"cpu": 100, "cuda": 1000}
"""Small enough that a kill loses minutes, large enough to fill the device."""


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
    device: torch.device | str | None = None,
    run_dir: Path | str | None = None,
    dataset: DatasetInfo | None = None,
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
        attacks: names, suites (``paper``) or any attack of ART, e.g. ``art:SquareAttack(max_iter=500)``.
        seed: of every random stream of the run.
        eot: draws that a gradient averages over; default 1, or 20 for a model found to be random. SPSA uses it
            only when it is given.
        votes: draws that a prediction averages over; the same defaults.
        pgd_steps: gradient steps of PGD.
        spsa_steps: Adam steps of SPSA.
        spsa_samples: forward evaluations a step of SPSA; half as many antithetic pairs.
        device: where to compute, a CPU or CUDA device; the model is moved there, and back. None stays where it is.
        run_dir: folder that keeps finished shards, and from which the same call goes on; None keeps nothing.
        dataset: what the images are, for the result.
        checkpoint: where the model comes from, for the result.
        observer: hears of the progress.

    Returns:
        The accuracies with their uncertainty; see :class:`advtool.results.Evaluation`.

    Raises:
        InputError: anything of the above is not as it must be; the message says what would be right.
    """
    eps = inputs.as_eps(eps)
    inputs.check_counts(seed=(seed, 0), eot=(eot, 1), votes=(votes, 1))
    specs, observer = parse([attacks] if isinstance(attacks, str) else attacks), observer or Observer()
    place = home_of(model) if device is None else inputs.as_device(device)
    x = inputs.as_images(images)
    y = inputs.as_labels(labels, x)
    defaults: dict[str, dict[str, Any]] = {
        "pgd": {"steps": pgd_steps},
        "spsa": {"steps": spsa_steps, "samples": spsa_samples, "eot": eot or 1},
    }
    data = dataset or DatasetInfo(name="given", split="given", images=len(x))
    with subject(model, x, y, eot=eot, votes=votes, seed=seed, device=place) as estimator:
        stages = {spec.label: build(spec, estimator, eps=eps, defaults=defaults.get(spec.name, {})) for spec in specs}
        configuration = {
            "code": provenance.code(),
            "model": provenance.model(model),
            "images": provenance.tensors(x, y),
            "dataset": data.model_dump(),
            "eps": eps,
            "attacks": {label: attack.parameters() for label, attack in stages.items()},
            "seed": seed,
            "eot": estimator.eot,
            "votes": estimator.votes,
            "images_a_shard": IMAGES_A_SHARD[place.type],
        }
        run = Run(None if run_dir is None else Path(run_dir), configuration, provenance.environment(estimator))
        run.put_image_ids(provenance.image_ids(x, y))
        estimator.batch_size = run.manifest.environment["images_a_pass"]
        worker = Worker(estimator, x, y, eps=eps, seed=seed, images_a_shard=IMAGES_A_SHARD[place.type])
        _tell(run, len(worker.sizes) * (1 + len(stages)), observer)
        records = _compute(run, worker, stages, observer)
    results = [summary.attack_result(name, attack, records[name]) for name, attack in stages.items()]
    evaluation = Evaluation(
        checkpoint=checkpoint,
        dataset=data,
        threat_model=ThreatModel(eps=eps),
        seed=seed,
        eot=estimator.eot,
        votes=estimator.votes,
        clean=summary.clean_accuracy(records[CLEAN]),
        attacks=results,
        effective_robustness=summary.effective_robustness(results),
        worst_case=summary.worst_case(records),
        warnings=[],
        environment=run.manifest.environment,
    )
    run.put_result(evaluation)
    return evaluation


def _compute(
    run: Run, worker: Worker, attacks: Mapping[str, TensorAttack], observer: Observer
) -> dict[str, list[ShardRecord]]:
    """The records of the clean stage and of each attack, by name."""
    records = {CLEAN: _stage(run, worker, observer, 0, CLEAN, lambda shard, _: worker.classify(shard))}
    for position, (name, attack) in enumerate(attacks.items(), start=1):

        def compute(shard: int, report: StepReport, name: str = name, attack: TensorAttack = attack) -> ShardRecord:
            return worker.attack(attack, name, shard, records[CLEAN][shard].survives, report)

        records[name] = _stage(run, worker, observer, position, name, compute)
    return records


def _stage(
    run: Run,
    worker: Worker,
    observer: Observer,
    position: int,
    name: str,
    compute: Callable[[int, StepReport], ShardRecord],
) -> list[ShardRecord]:
    """Every shard of one stage: those that are finished as they are, the others computed and kept."""
    records: list[ShardRecord] = []
    done = standing = 0
    observer.start(name, sum(worker.sizes))
    for shard, size in enumerate(worker.sizes):

        def report(
            step: int, steps: int, left: int, done: int = done, before: int = standing, size: int = size
        ) -> None:
            observer.advance(name, done + size * step / steps, before + left)

        record = run.get(position, shard)
        if record is None:
            halve = partial(_halve, run, worker.estimator, observer)
            record = halving_on_out_of_memory(partial(compute, shard, report), halve)
            run.put(position, record)
        records.append(record)
        done, standing = done + size, standing + sum(record.survives)
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
