"""``advtool eval``: how robust is this checkpoint?"""

from typing import Annotated, Any

import typer

from advtool.cli.answer import Format, FormatName, Output, answer
from advtool.cli.options import DataDir, Device, DeviceName, Seed, eps_option, resolve_device
from advtool.cli.progress import say
from advtool.cli.subject_options import (
    CheckpointFile,
    Eot,
    Images,
    PgdSteps,
    RunDir,
    SpsaSamples,
    SpsaSteps,
    TestSet,
    Votes,
    attack_option,
    open_subject,
)

EPILOG = """
[bold]Examples[/bold]

The newest checkpoint under fgsm, pgd and spsa:  [cyan]advtool eval[/cyan]

Stronger, and on all test images:
[cyan]advtool eval --attack "pgd(steps=100, restarts=5)" --images all[/cyan]

An attack of ART:  [cyan]advtool eval --attack "art:SquareAttack(max_iter=500)"[/cyan]

In a pipeline:  [cyan]advtool eval --format json | jq .worst_case.accuracy[/cyan]

In CI, exit code 1 if too weak:  [cyan]advtool eval --fail-under 0.4[/cyan]
"""


def evaluate(
    checkpoint: CheckpointFile = None,
    attack: Annotated[list[str] | None, attack_option("paper")] = None,
    dataset: TestSet = None,
    images: Images = "1000",  # type: ignore[assignment]  # typer parses defaults too
    eps: Annotated[float | None, eps_option("the checkpoint's")] = None,
    eot: Eot = None,
    votes: Votes = None,
    pgd_steps: PgdSteps = 50,
    spsa_steps: SpsaSteps = 100,
    spsa_samples: SpsaSamples = 128,
    seed: Seed = 0,
    device: Device = DeviceName.auto,
    data_dir: DataDir = None,
    format: FormatName = Format.table,
    output: Output = None,
    run_dir: RunDir = None,
    fail_under: Annotated[
        float | None,
        typer.Option("--fail-under", min=0, max=1, metavar="X", help="Exit with 1 if the worst case is below X."),
    ] = None,
) -> None:
    """Tell how robust a model really is.

    Every image is attacked with each attack, and what is found counts only
    after it was verified with fresh noise. The effective robustness (Min) is
    the lowest accuracy over the attacks; the worst case is the share of images
    that survive them all.
    """
    from advtool import checkpoints
    from advtool.cli.evaluation_progress import EvaluationProgress
    from advtool.evaluation.evaluator import evaluate as run_evaluation
    from advtool.report import FORMATS
    from advtool.report.table import renderable

    if output is not None:
        checkpoints.check_writable(output)
    place = resolve_device(device)
    subject = open_subject(checkpoint, dataset, images, data_dir)
    asked: dict[str, Any] = {
        "eps": subject.header.threat_model.eps if eps is None else eps,
        "attacks": attack or ["paper"],
        "seed": seed,
        "eot": eot,
        "votes": votes,
        "pgd_steps": pgd_steps,
        "spsa_steps": spsa_steps,
        "spsa_samples": spsa_samples,
    }
    folder = run_dir or subject.run_folder(asked, place)
    with EvaluationProgress(f"evaluating {subject.title}", folder) as progress:
        result = run_evaluation(**subject.arguments(), **asked, device=place, run_dir=folder, observer=progress)
    answer(result, format, output, formats=FORMATS, renderable=renderable)
    if fail_under is not None and result.worst_case.accuracy < fail_under:
        say(f"the worst case, {result.worst_case.accuracy:.4f}, is below --fail-under {fail_under:g}")
        raise typer.Exit(1)
