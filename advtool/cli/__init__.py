"""The command line. A command parses its options, calls the library, and renders the result or an exit code.

Heavy imports (torch, ART) stay inside the commands, so that ``--help`` is instant.
"""

import os
import sys

import typer

from advtool.cli import (
    check,
    checklist,
    compare,
    data,
    evaluate,
    lr_range,
    report,
    reproduce,
    score,
    show,
    sweep,
    train,
)
from advtool.cli.group import Group
from advtool.errors import InputError

app = typer.Typer(
    name="advtool",
    cls=Group,
    help="Train robust image classifiers, and tell how robust any PyTorch classifier really is.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
app.command("train", epilog=train.EPILOG)(train.train)
app.command("lr-range")(lr_range.lr_range)
app.command("eval", epilog=evaluate.EPILOG)(evaluate.evaluate)
app.command("check", epilog=check.EPILOG)(check.check)
app.command("checklist", epilog=checklist.EPILOG)(checklist.checklist)
app.command("compare", epilog=compare.EPILOG)(compare.compare)
app.command("report", epilog=report.EPILOG)(report.report)
app.command("reproduce", epilog=reproduce.EPILOG)(reproduce.reproduce)
app.command("score", epilog=score.EPILOG)(score.score)
app.command("show")(show.show)
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


def main() -> None:
    """Run the command line. An error ends in one line on stderr and an exit code that says whose error it is."""
    sys.exit(_run())


def _run() -> int:
    try:
        code = app(standalone_mode=False) or 0
        return _complain("interrupted", code) if code == EXIT_INTERRUPTED else code  # typer swallows Ctrl-C
    except InputError as error:
        return _complain(str(error), EXIT_BAD_INPUT)
    except typer.TyperException as error:
        return _complain(error.format_message(), EXIT_BAD_INPUT)
    except (KeyboardInterrupt, typer.Abort):
        return _complain("interrupted", EXIT_INTERRUPTED)
    except BrokenPipeError:
        # The reader of our pipe has left (`| head`). Python must not write to it again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return _complain(
            f"{error.strerror or error}: '{error.filename}'" if error.filename else str(error), EXIT_BAD_INPUT
        )
    except Exception as error:
        if os.environ.get("ADVTOOL_DEBUG"):
            raise
        return _complain(
            f"internal error, please report it: {type(error).__name__}: {error} (ADVTOOL_DEBUG=1 shows where)",
            EXIT_INTERNAL_ERROR,
        )


def _complain(message: str, code: int) -> int:
    if message:  # a bare `advtool` has shown its help
        print("advtool: " + " ".join(message.split()), file=sys.stderr)
    return code
