"""``advtool score``: do the adversarial examples of a run fool its model again, or another model?"""

from pathlib import Path
from typing import Annotated

import typer

from advtool.cli.answer import FormatName, Output, answer
from advtool.cli.gathering import gathering
from advtool.cli.model_options import MODEL_OPTIONS, ModelOptions, model_argument
from advtool.cli.options import Device, DeviceName, resolve_device
from advtool.cli.progress import complain
from advtool.errors import InputError
from advtool.settings import option_name

EPILOG = """
[bold]Examples[/bold]

Do the examples of a run fool its model again?
[cyan]advtool eval --save-adversarial --run-dir runs/mine[/cyan]
[cyan]advtool score runs/mine[/cyan]

Do they fool another model?  [cyan]advtool score runs/mine other.safetensors[/cyan]
"""


@gathering(
    "model", {**MODEL_OPTIONS, "model": model_argument("the run's own model, unless it is code")}, ModelOptions.of
)
def score(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run with --save-adversarial.")],
    *,
    model: ModelOptions,
    votes: Annotated[
        int | None,
        typer.Option(
            "--votes",
            min=1,
            metavar="N",
            help="Draws of a prediction.",
            show_default="the run's; for another model 1, or 20 if random",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of a random model's noise.")] = 1,
    device: Device = DeviceName.auto,
    format: FormatName = "table",
    output: Output = None,
) -> None:
    """Classify a run's saved adversarial examples again.

    The model predicts in float32, and a random model with fresh draws. Every
    example must fool the run's own model again, or the exit code is 1. For a
    random model, or another model, the answer is the share of examples that
    fool it, among the images that it gets right.
    """
    model.check()
    from advtool import checkpoints
    from advtool.studies.score import score as score_run
    from advtool.target.opening.user_code import prints_to_stderr

    place = resolve_device(device)
    opened = (model if model.is_given else _own(run, model)).open()[0]
    card = None if opened.header is None else checkpoints.describe(Path(opened.description["spec"]), opened.header)
    with prints_to_stderr():
        result = score_run(
            run, opened.model, seed=seed, votes=votes, device=place, checkpoint=card, origin=opened.description
        )
    answer(result, format, output)
    if result.agrees is False:
        complain("the score disagrees with the run: not every example fools the run's own model again")
        raise typer.Exit(1)


def _own(run: Path, given: ModelOptions) -> ModelOptions:
    """The options that open the run's own model again, unless that runs code: only the user says which code runs.

    Raises:
        InputError: it runs code, it is not where it was, or the user has ``given`` options of another model.
    """
    from advtool.evaluation.finished import read_finished
    from advtool.evaluation.origin import command_of

    without_model = [option_name(name) for name, value in vars(given).items() if value is not None]
    if without_model:
        named = ", ".join(without_model)
        raise InputError(f"{named}: only for another model than the run's: name it as MODEL, or leave this out")
    command = command_of(run, read_finished(run).result)
    if command.to_name_again:
        raise InputError(
            f"run '{run}': a run's folder alone does not say which code runs here; if you trust it: "
            f"{command.scored(str(run))}"
        )
    texts: dict[str, str | None] = dict.fromkeys(MODEL_OPTIONS)
    texts |= {name.replace("-", "_"): str(value) for name, value in command.options.items()}
    options = ModelOptions.of(**texts)
    try:
        options.check()
    except InputError as error:
        raise InputError(f"run '{run}': its model is not where it was ({error}): name it as MODEL") from None
    return options
