"""The command line. A command parses its options, calls the library, and renders the result or an exit code.

Heavy imports (torch, ART) stay inside the commands, so that ``--help`` is instant.
"""

import os
import signal
import sys

import typer

from advtool.cli import (
    attacks,
    check,
    checklist,
    compare,
    data,
    evaluate,
    lr_range,
    models,
    report,
    reproduce,
    runs,
    schema,
    score,
    show,
    sweep,
    train,
)
from advtool.cli.app import App
from advtool.cli.progress import complain
from advtool.errors import InputError, is_out_of_memory, reason

EPILOG = """
[bold]Begin with[/bold]

A small network on real images:  [cyan]advtool train both --arch cnn[/cyan]

How robust is it?  [cyan]advtool eval[/cyan]

Your model: what is understood of it, in seconds:
[cyan]advtool check net.py:make --weights net.pth --dataset pictures[/cyan]

Your model: how robust it really is:
[cyan]advtool eval net.py:make --weights net.pth --dataset pictures --attack audit[/cyan]

Every command has examples:  [cyan]advtool COMMAND --help[/cyan]
"""

app = App(
    name="advtool",
    help="Train robust image classifiers, and tell how robust any PyTorch classifier really is.",
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
app.command("train", epilog=train.EPILOG, takes_config=True)(train.train)
app.command("lr-range", epilog=lr_range.EPILOG)(lr_range.lr_range)
app.command("eval", epilog=evaluate.EPILOG, takes_config=True)(evaluate.evaluate)
app.command("runs", epilog=runs.EPILOG)(runs.runs)
app.command("check", epilog=check.EPILOG, takes_config=True)(check.check)
app.command("checklist", epilog=checklist.EPILOG)(checklist.checklist)
app.command("compare", epilog=compare.EPILOG)(compare.compare)
app.command("report", epilog=report.EPILOG)(report.report)
app.command("reproduce", epilog=reproduce.EPILOG)(reproduce.reproduce)
app.command("score", epilog=score.EPILOG)(score.score)
app.command("attacks", epilog=attacks.EPILOG)(attacks.attacks)
app.command("models", epilog=models.EPILOG)(models.models)
app.command("schema", epilog=schema.EPILOG)(schema.schema)
app.command("show", epilog=show.EPILOG)(show.show)
app.add_typer(sweep.app, name="sweep")
app.add_typer(data.app, name="data")


@app.callback(invoke_without_command=True)
def root(
    version: bool = typer.Option(False, "--version", help="Print the version and leave.", is_eager=True),
) -> None:
    """Train robust image classifiers, and tell how robust any PyTorch classifier really is."""
    if version:
        from advtool import __version__

        typer.echo(f"advtool {__version__}")
        raise typer.Exit


EXIT_INTERRUPTED = 130
EXIT_BAD_INPUT = 2
EXIT_INTERNAL_ERROR = 70  # EX_SOFTWARE of sysexits.h


PYDANTICS_WORDS = {
    "Value error, ": "",
    "Input should be a valid number, unable to parse string as a number": "it must be a number, such as 0.4",
    "Input should be a valid integer, unable to parse string as an integer": "it must be a whole number",
    "Input should be greater than or equal to": "it must be at least",
    "Input should be less than or equal to": "it must be at most",
}
"""What Typer tells of a value that it cannot read, and how we say it."""


def main() -> None:
    """Run the command line. An error ends in one line on stderr and an exit code that says whose error it is."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # for who calls this in Python
    sys.exit(_run())


def _in_our_words(message: str) -> str:
    for theirs, ours in PYDANTICS_WORDS.items():
        message = message.replace(theirs, ours)
    return message


def _run() -> int:
    try:
        code = app(standalone_mode=False, prog_name="advtool") or 0
        return _complain("interrupted", code) if code == EXIT_INTERRUPTED else code  # typer swallows Ctrl-C
    except InputError as error:
        return _complain(str(error), EXIT_BAD_INPUT)
    except typer.TyperException as error:
        return _complain(_in_our_words(error.format_message()), EXIT_BAD_INPUT)
    except (KeyboardInterrupt, typer.Abort):
        return _complain("interrupted", EXIT_INTERRUPTED)
    except BrokenPipeError:
        # The reader of our pipe has left (`| head`). Python must not write to it again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        where = f"'{error.filename}'" if error.filename else "what was read or written, such as stdout"
        return _complain(f"{error.strerror or error}: {where}", EXIT_BAD_INPUT)
    except Exception as error:
        if is_out_of_memory(error):
            return _complain(f"out of memory: {reason(error)}; ask for fewer or smaller images", EXIT_BAD_INPUT)
        if os.environ.get("ADVTOOL_DEBUG"):
            raise
        return _complain(
            f"internal error, please report it: {type(error).__name__}: {error} (ADVTOOL_DEBUG=1 shows where)",
            EXIT_INTERNAL_ERROR,
        )


def _complain(message: str, code: int) -> int:
    if message:  # a bare `advtool` has shown its help
        rank = os.environ.get("RANK", "0")
        complain(message if rank == "0" else f"rank {rank}: {message}")
    return code
