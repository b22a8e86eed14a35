"""``advtool eval``: how robust is this model?"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from advtool import arguments
from advtool.cli import resuming
from advtool.cli.answer import Output, answer, format_option
from advtool.cli.gathering import gathering, options_of
from advtool.cli.model_options import check_surrogate
from advtool.cli.options import Device, DeviceName, resolve_device
from advtool.cli.progress import complain, say
from advtool.cli.resuming import Resume
from advtool.cli.subject_options import (
    SUBJECT_OPTIONS,
    RunDir,
    Subject,
    SubjectOptions,
    chosen,
    settings_options,
)
from advtool.errors import InputError
from advtool.evaluation.settings import ATTACKS, RUNS
from advtool.gates.gates import Gates
from advtool.ranks import Ranks

if TYPE_CHECKING:
    import torch

    from advtool.results import Evaluation

CHECKLIST = "checklist"
"""The format that shows the checklists' items, and not the accuracies."""
EPILOG = """
[bold]Examples[/bold]

The newest checkpoint under fgsm, pgd and spsa:  [cyan]advtool eval[/cyan]

Your model, by the function that makes it, with your weights and images:
[cyan]advtool eval net.py:make --weights net.pth --dataset pictures --input-size 224 --mean 0.5 --std 0.5[/cyan]

A stronger attack, on all test images:
[cyan]advtool eval --attack "pgd(steps=100, restarts=5)" --images all[/cyan]

Does the model only hide its gradients?  [cyan]advtool eval --attack audit[/cyan]

Which images can no attack break?  [cyan]advtool eval --certify[/cyan]

Would the attack find what surely exists?  [cyan]advtool eval --attack pgd --planted[/cyan]

An attack of ART:  [cyan]advtool eval --attack "art:SquareAttack(max_iter=500)"[/cyan]

What a reviewer will ask, and what of it this run did:  [cyan]advtool eval --attack audit --format checklist[/cyan]

Go on with a run that was stopped:  [cyan]advtool eval --resume runs/mine[/cyan]

Repeat with five seeds:  [cyan]advtool eval --attack pgd --seeds 5[/cyan]

In a pipeline:  [cyan]advtool eval --format json | jq .worst_case.accuracy[/cyan]

In CI, exit code 1 if the model is too weak, or if it hides its gradients:
[cyan]advtool eval --attack audit --fail-under 0.4 --fail-on-warning masking[/cyan]
"""

MOST_SEEDS = 1000
"""Each is a whole evaluation."""


@gathering("subject", SUBJECT_OPTIONS, SubjectOptions.of)
@gathering("settings", settings_options(), chosen)
@gathering("gates", options_of(Gates), partial(Gates, as_options=True))
def evaluate(
    *,
    context: typer.Context,
    subject: SubjectOptions,
    settings: dict[str, Any],
    seeds: Annotated[
        int,
        typer.Option(
            "--seeds",
            min=1,
            max=MOST_SEEDS,
            metavar="N",
            help="Repeat with N seeds from --seed on, and tell the spread.",
        ),
    ] = 1,
    surrogate: Annotated[
        str | None,
        typer.Option(
            "--surrogate",
            metavar="MODEL",
            rich_help_panel=ATTACKS,
            help="Another model; the attack 'transfer', also in 'audit', tries its adversarial examples.",
            show_default="none",
        ),
    ] = None,
    surrogate_weights: Annotated[
        str | None,
        typer.Option(
            "--surrogate-weights",
            metavar="FILE",
            rich_help_panel=ATTACKS,
            help="Weights of the surrogate.",
            show_default="its own",
        ),
    ] = None,
    save_adversarial: Annotated[
        bool,
        typer.Option("--save-adversarial", help="Keep the verified examples in the run's folder, for 'advtool score'."),
    ] = False,
    device: Device = DeviceName.auto,
    format: Annotated[str, format_option(CHECKLIST)] = "table",
    output: Output = None,
    run_dir: RunDir = None,
    resume: Resume = None,
    gates: Gates,
) -> None:
    """Tell how robust a model really is.

    Every attack works on every image; in a cascade such as audit, later attacks
    work on the survivors. An adversarial example counts only after it is
    verified with noise that its search never saw. The effective robustness (Min)
    is the lowest accuracy over the attacks. The worst case is the share of
    images that survive all attacks. With --certify a lower bound stands beside it.
    """
    _refuse_restarts(gates)
    if resume is not None:
        resuming.check(context, resume)
    with resuming.paths_of(resume):
        subject.models.check()
    check_surrogate(surrogate, surrogate_weights)
    if format == CHECKLIST and seeds > 1:
        raise InputError(f"--format checklist answers from one run: leave out --seeds {seeds}")
    from advtool.cli.evaluation_progress import EvaluationProgress
    from advtool.evaluation.checklist.checklist import checklist
    from advtool.evaluation.evaluator import evaluate as run_evaluation
    from advtool.results import SeedsEvaluation
    from advtool.studies.seeds import evaluate_seeds

    place = resolve_device(device)
    with resuming.paths_of(resume):
        ours = subject.open()
    settings = {"eps": ours.eps, **settings}
    seed = settings.pop("seed", 0)
    arguments.seed(f"--seed {seed}: with --seeds {seeds} the last seed", seed + seeds - 1)
    other = None if surrogate is None else ours.surrogate(surrogate, surrogate_weights)
    question = settings | {"surrogate": surrogate and [surrogate, surrogate_weights]}
    runs = _run_folders(range(seed, seed + seeds), run_dir, ours, question, place)
    kept_in = runs[seed] if seeds == 1 else run_dir or RUNS
    found = {} if subject.models.is_given else {"model": ours.opened.description["spec"]}
    begun = _noting({**resuming.written(context), **found}, runs)
    with EvaluationProgress(f"evaluating {ours.title}", kept_in, ours.opened.notes, begun) as progress:
        asked = {
            **ours.arguments(),
            **settings,
            "surrogate": other,
            "save_adversarial": save_adversarial,
            "device": place,
            "refuse_chance": ours.refuse_chance,
            "observer": progress,
        }
        result: Evaluation | SeedsEvaluation
        if seeds == 1:
            result = run_evaluation(**asked, seed=seed, run_dir=runs[seed])
        else:
            result = evaluate_seeds(**asked, seeds=list(runs), run_dirs=list(runs.values()))
    evaluations = result.evaluations if isinstance(result, SeedsEvaluation) else [result]
    _tell_memory(evaluations[-1])
    if format == CHECKLIST:
        answer(checklist(evaluations[0]), "table", output)
    else:
        answer(result, format, output)
    _hold_to(gates, evaluations)


def _refuse_restarts(gates: Gates) -> None:
    """Torchrun takes the code 1 of a gate for a crash: all ranks would start again, and print the answer again."""
    if gates != Gates(as_options=True) and Ranks.of_environment().max_restarts:
        raise InputError(
            "a gate such as --fail-under ends with code 1, which torchrun takes for a crash: leave out --max-restarts, "
            "or ask afterwards with 'advtool eval --resume RUN --fail-under X'"
        )


def _tell_memory(evaluation: Evaluation) -> None:
    """The most memory that the process took, where the system tells it, and how many images went through at once."""
    from advtool.compute.memory import peak_bytes

    peak = peak_bytes()
    words = "" if peak is None else f"peak memory {peak / 2**30:.2f} GiB, "
    say(f"{words}{evaluation.environment['images_a_pass']} images a pass")


def _hold_to(gates: Gates, evaluations: list[Evaluation]) -> None:
    """Tell what the gates find, and leave with code 1 if one is not passed. Of several ranks the first one does."""
    for note in gates.notes(evaluations):
        say(f"note: {note}")
    failures = gates.failures(evaluations) if Ranks.of_environment().is_first else []
    for failure in failures:
        complain(failure)
    if failures:
        raise typer.Exit(1)


def _noting(options: dict[str, Any], runs: dict[int, Path]) -> Callable[[Path], None]:
    """Keeps the options of the command in a run's folder, each seed its own."""
    from advtool.evaluation import command

    seeds = {folder: seed for seed, folder in runs.items()}
    return lambda folder: command.write(folder, {**options, "seed": str(seeds[folder])})


def _run_folders(
    seeds: range, run_dir: Path | None, subject: Subject, settings: dict[str, Any], device: torch.device
) -> dict[int, Path]:
    """The folder of each seed's run, by seed."""
    from advtool import files

    if run_dir is None:
        return {seed: subject.run_folder({**settings, "seed": seed}, device) for seed in seeds}
    if len(seeds) == 1:
        return {seeds[0]: run_dir}
    names = {seed: f"seed-{seed}" for seed in seeds}
    files.refuse_links(run_dir, *names.values())
    return {seed: run_dir / name for seed, name in names.items()}
