"""``advtool check``: what would be evaluated? Nothing is attacked."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from advtool.cli.answer import Output, answer
from advtool.cli.gathering import gathering
from advtool.cli.options import Device, DeviceName, resolve_device
from advtool.cli.progress import say
from advtool.cli.subject_options import (
    SUBJECT_OPTIONS,
    SubjectOptions,
    chosen,
    settings_options,
)

EPILOG = """
[bold]Examples[/bold]

Is my model understood, and are its images?
[cyan]advtool check net.py:make --weights net.pth --dataset pictures --input-size 224[/cyan]

In a pipeline:  [cyan]advtool check net.py:make --dataset mnist --format json | jq .clean.accuracy[/cyan]
"""


class CheckFormat(StrEnum):
    """How the facts are written."""

    table = "table"
    json = "json"


@gathering("subject", SUBJECT_OPTIONS, SubjectOptions.of)
@gathering("settings", settings_options(), chosen)
def check(
    *,
    subject: SubjectOptions,
    settings: dict[str, Any],
    device: Device = DeviceName.auto,
    format: Annotated[CheckFormat, typer.Option("--format", help="How the facts are written.")] = CheckFormat.table,
    output: Output = None,
) -> None:
    """Tell what 'advtool eval' would do with a model and its images.

    The model is opened and asked: classes, randomness, state, gradient,
    images a pass, the time that the attacks take at most, and its accuracy on
    the first 100 images. If that is no better than guessing the exit code is
    2, and a likely cause is named.
    """
    subject.models.check()
    from advtool import files
    from advtool.evaluation.evaluator import check as check_model
    from advtool.evaluation.understanding import refuse_guessing
    from advtool.report import CHECK_FORMATS
    from advtool.report import check as report
    from advtool.target.opening.user_code import prints_to_stderr

    if output is not None:
        files.check_writable(output)
    place = resolve_device(device)
    ours = subject.open()
    for note in ours.opened.notes:
        say(note)
    with prints_to_stderr():
        result = check_model(**ours.arguments(), **{"eps": ours.eps, **settings}, device=place)
    answer(result, format, output, formats=CHECK_FORMATS, renderable=report.renderable)
    if ours.refuse_chance:
        refuse_guessing(result)
