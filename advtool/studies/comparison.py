"""Compares two runs image by image, on the images that both saw."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from advtool.errors import InputError
from advtool.evaluation.finished import FinishedRun, read_finished
from advtool.evaluation.manifest import FOLLOWING, IDENTITY, differences
from advtool.evaluation.uncertainty import mcnemar_exact, paired_difference
from advtool.results import (
    CERTIFIED,
    CLEAN,
    ComparedRun,
    Comparison,
    Outcomes,
    PairedAccuracy,
    PairedAttack,
    PairedMinimum,
    SideBySide,
    notation,
)
from advtool.target.identity import Identity

UNNOTED_SETTINGS = ("model", "images", "dataset", *FOLLOWING)
"""Differences that no note names: they are expected, or other notes tell them."""


def compare(run_a: Path | str, run_b: Path | str) -> Comparison:
    """Is one model more robust than the other, or was it luck with the images?

    Accuracies are compared on the images that both runs saw: all images, or the first N if one run saw only N. The
    worst case counts every attack if both runs made the same attacks. Otherwise it counts the common attacks that saw
    every image, since the survivors that a later attack of a cascade sees depend on the attacks before it. The
    intervals and p-values tell how other test images from the same source might come out. They do not tell how another
    training might come out.

    Args:
        run_a: folder of a finished run.
        run_b: folder of another finished run; the differences are a minus b.

    Raises:
        InputError: a folder holds no finished run, the runs saw different images, or they have no attack in common
            that can be compared.
    """
    return compare_finished(read_finished(run_a), read_finished(run_b))


def side_by_side(*runs: Path | str) -> SideBySide:
    """Compare the first run with each of the others, as :func:`compare` does, on the images and attacks of all.

    Args:
        runs: folders of at least two finished runs.

    Raises:
        InputError: as :func:`compare`, or there are fewer than two runs.
    """
    if len(runs) < 2:
        raise InputError(f"{len(runs)} runs given: name two or more folders of finished runs")
    first, *others = (read_finished(run) for run in runs)
    return SideBySide(comparisons=[compare_finished(first, other, beside=others) for other in others])


def compare_finished(a: FinishedRun, b: FinishedRun, *, beside: Sequence[FinishedRun] = ()) -> Comparison:
    """Compare two runs that are read already, as :func:`compare` does.

    Args:
        a: a run.
        b: another run.
        beside: more runs; only images and attacks count that all have.

    Raises:
        InputError: the runs saw different images, or they have no attack in common that can be compared.
    """
    others = (b, *beside)
    images = min(_common_images(a, other) for other in others)
    shared = [name for name in a.attacks if all(name in other.attacks for other in others)]
    full = [name for name in shared if all(name in run.full for run in (a, *others))]
    counted = shared if all(set(a.attacks) == set(other.attacks) for other in others) else full
    if not counted:
        raise InputError(
            f"the runs have no attack in common that saw every image in both ('{a.folder}': {', '.join(a.attacks)}; "
            f"'{b.folder}': {', '.join(b.attacks)}): evaluate both models with the same attacks"
        )
    of_a, of_b = _part(a, images, counted), _part(b, images, counted)
    return Comparison(
        a=_compared(a),
        b=_compared(b),
        images=images,
        clean=PairedAccuracy(**_paired(of_a.clean, of_b.clean)),
        attacks=[PairedAttack(name=name, **_paired(of_a.survives(name), of_b.survives(name))) for name in full],
        effective_robustness=_minimum(of_a, of_b, full) if full else None,
        worst_case=PairedAccuracy(**_paired(of_a.worst_case, of_b.worst_case)),
        certified=_certified(a, b, images),
        notes=list(_notes(a, b, images, shared, counted)),
    )


def _part(run: FinishedRun, images: int, attacks: list[str]) -> Outcomes:
    """The outcomes of the first images under some attacks."""
    return run.result.outcomes.part([CLEAN, *attacks], images)


def _common_images(a: FinishedRun, b: FinishedRun) -> int:
    """How many images both runs saw. They must begin with the same images."""
    fewer, more = sorted((a, b), key=lambda run: len(run.result.outcomes))
    if a.manifest.configuration["images"] == b.manifest.configuration["images"]:
        return len(a.result.outcomes)
    if fewer.image_ids and more.image_ids and more.image_ids[: len(fewer.image_ids)] == fewer.image_ids:
        return len(fewer.image_ids)
    raise InputError(
        f"the runs saw different images ('{a.folder}': {_images(a)}; '{b.folder}': {_images(b)}), "
        "but runs are compared image by image: evaluate both models on the same images"
    )


def _images(run: FinishedRun) -> str:
    data = run.result.dataset
    return f"{len(run.result.outcomes)} {data.split} images of {data.name}"


def _paired(a: Tensor, b: Tensor) -> dict[str, Any]:
    paired = paired_difference(a, b)
    return {
        "accuracy_a": int(a.sum()) / len(a),
        "accuracy_b": int(b.sum()) / len(b),
        "difference": paired.difference,
        "interval": paired.interval,
        "only_a": paired.only_a,
        "only_b": paired.only_b,
        "p_value": mcnemar_exact(paired.only_a, paired.only_b),
    }


def _minimum(a: Outcomes, b: Outcomes, attacks: list[str]) -> PairedMinimum:
    """The effective robustness of both runs. Each run counts the first attack that reached its lowest accuracy."""
    of_a, of_b = (min(attacks, key=lambda name: int(run.survives(name).sum())) for run in (a, b))
    return PairedMinimum(attack_a=of_a, attack_b=of_b, **_paired(a.survives(of_a), b.survives(of_b)))


def _certified(a: FinishedRun, b: FinishedRun, images: int) -> PairedAccuracy | None:
    """The images that are proved robust in both runs; None if one of them proved nothing."""
    if not _both_certify(a, b):
        return None
    return PairedAccuracy(**_paired(*(run.result.outcomes.certified[:images] for run in (a, b))))


def _both_certify(a: FinishedRun, b: FinishedRun) -> bool:
    return all(CERTIFIED in run.result.outcomes.stages for run in (a, b))


def _compared(run: FinishedRun) -> ComparedRun:
    shown = ComparedRun.model_fields.keys() - {"run"}
    return ComparedRun(run=str(run.folder), **run.result.model_dump(include=shown))


def _notes(a: FinishedRun, b: FinishedRun, images: int, shared: list[str], counted: list[str]) -> Iterator[str]:
    """Whether both runs have the same model, what was left out, and what else differs."""
    letters = (("A", a), ("B", b))
    models = [Identity.read(run.folder / IDENTITY) for run in (a, b)]
    if models[0] is not None and models[1] is not None and models[0].difference(models[1]) is None:
        yield "A and B are the same model"
    if any(len(run.result.outcomes) > images for run in (a, b)):
        yield f"compared on the first {images} images: A saw {len(a.result.outcomes)}, B {len(b.result.outcomes)}"
    for letter, run, other in (("A", a, b), ("B", b, a)):
        if alone := [name for name in run.attacks if name not in other.attacks]:
            yield f"left out, since only {letter} ran it: {', '.join(alone)}"
    if unshared := [name for name in a.attacks if name in b.attacks and name not in shared]:
        yield f"left out, since another run did not make it: {', '.join(unshared)}"
    if uncounted := [name for name in shared if name not in counted]:
        yield (
            f"left out, since they saw survivors only, and A and B had different survivors: {', '.join(uncounted)}; "
            f"the worst case is that of {', '.join(counted)}"
        )
    for letter, run in letters:
        if set(counted) != set(run.attacks):
            own = notation.percent(run.result.worst_case.accuracy)
            yield f"{letter}'s own worst case, under all its attacks: {own}"
    noted = [*shared, CERTIFIED] if _both_certify(a, b) else shared
    for key, (of_a, of_b) in differences(_noted(a, noted), _noted(b, noted)).items():
        yield f"{key}: A {of_a}, B {of_b}"


def _noted(run: FinishedRun, stages: list[str]) -> dict[str, Any]:
    """What a note names where it differs: settings, parameters of the attacks, how the model was opened."""
    configuration, model = run.manifest.configuration, run.result.model
    opened: dict[str, Any] = {key: model[key] for key in ("arguments", "mean", "std") if key in model}
    if path := (model.get("weights") or {}).get("path"):
        opened["weights"] = path
    parameters = {name: configuration["attacks"][name] for name in stages}
    settings = {key: value for key, value in configuration.items() if key not in UNNOTED_SETTINGS}
    return settings | {"eps": notation.eps(run.result.threat_model.eps)} | parameters | opened
