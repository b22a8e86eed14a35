"""``advtool check``: the preflight of an evaluation. Nothing is attacked."""

from __future__ import annotations

from typing import Any

from advtool.cli.answer import FormatName, Output, answer
from advtool.cli.gathering import gathering
from advtool.cli.options import Device, DeviceName, resolve_device
from advtool.cli.progress import say
from advtool.cli.subject_options import (
    SUBJECT_OPTIONS,
    SubjectOptions,
    chosen,
    images_option,
    settings_options,
)

EPILOG = """
[bold]Examples[/bold]

Does advtool understand my model and its images?
[cyan]advtool check net.py:make --weights net.pth --dataset pictures --input-size 224[/cyan]

In a pipeline:  [cyan]advtool check net.py:make --dataset mnist --format json | jq .clean.accuracy[/cyan]
"""

IMAGES = images_option("The images that 'eval' would attack. Of these, only the first 100 are classified here.")


@gathering("subject", {**SUBJECT_OPTIONS, "images": (IMAGES, "1000")}, SubjectOptions.of)
@gathering("settings", settings_options(), chosen)
def check(
    *,
    subject: SubjectOptions,
    settings: dict[str, Any],
    device: Device = DeviceName.auto,
    format: FormatName = "table",
    output: Output = None,
) -> None:
    """Tell what 'advtool eval' would do with a model and its images.

    It tells the classes, randomness, state and gradient of the model, the
    images in a pass, the longest time of the attacks, the accuracy on the
    first 100 images, and whether images would be certified. If the model is no
    better than guessing, the exit code is 2, and a likely cause is named.
    (Checkpoints of 'advtool train' are not refused: their weights are surely
    the trained ones.)
    """
    subject.models.check()
    from advtool.evaluation.evaluator import check as check_model
    from advtool.evaluation.understanding import refuse_guessing
    from advtool.target.opening.user_code import prints_to_stderr

    place = resolve_device(device)
    ours = subject.open()
    for note in ours.opened.notes:
        say(note)
    with prints_to_stderr():
        result = check_model(**ours.arguments(), **{"eps": ours.eps, **settings}, device=place)
    answer(result, format, output)
    if ours.refuse_chance:
        refuse_guessing(result)
