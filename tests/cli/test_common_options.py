"""What all commands share: ``--config``, ``--quiet``, colours, help and completion."""

import json
import os
import pty
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest
import typer.main

from advtool import files
from advtool.cli import app, config_file
from advtool.cli.app import Command as CommandClass
from advtool.errors import InputError
from advtool.results.schema import json_schema
from tests.cli.conftest import TIMES, Run
from tests.conftest import Command, InProcess

ROOT = typer.main.get_command(app)
FAST = ("--attack", "fgsm", "--images", "20")
COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-9][;m]")


def commands(group: Any = ROOT, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command and group with the words that call it."""
    yield path, group
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, (*path, name))


CONFIG = """
[eval]
attack = ["fgsm", "pgd(steps=2)"]
images = 20
eps = "8/255"
certify = false
save_adversarial = true
votes = 2

[train]
recipe = "both"
"""


def test_a_file_gives_what_the_command_line_gives_and_the_command_line_wins(here: Path, run: Run) -> None:
    (here / "run.toml").write_text(CONFIG)
    written = ("--attack", "fgsm", "--attack", "pgd(steps=2)", "--images", "20", "--eps", "8/255", "--no-certify")
    asked = (*written, "--save-adversarial", "--votes", "2", "--format", "json", "--run-dir")
    _, typed, _ = run("eval", *asked, "typed")
    _, filed, _ = run("eval", "--config", "run.toml", "--format", "json", "--run-dir", "filed")
    assert TIMES.sub("", filed) == TIMES.sub("", typed)
    assert (here / "filed" / "adversarial").is_dir()
    _, mixed, _ = run("eval", "--config", "run.toml", "--attack", "noise", "--votes", "1", "--format", "json")
    document = json.loads(mixed)
    assert ([attack["name"] for attack in document["attacks"]], document["votes"]) == (["noise"], 1)
    assert document["threat_model"]["eps"] == 8 / 255


def test_check_reads_what_it_shares_with_eval_and_its_own_table_wins(here: Path, run: Run) -> None:
    (here / "run.toml").write_text(
        "[eval]\nimages = 20\neps = 0.05\nseeds = 3\nformat = 'csv'\noutput = 'eval.csv'\n[check]\neps = 0.2\n"
    )
    code, out, _ = run("check", "--config", "run.toml", "--format", "json")
    document = json.loads(out)
    assert (code, document["clean"]["total"], document["threat_model"]["eps"]) == (0, 20, 0.2)
    assert run("check", "--config", "run.toml")[1].startswith("model ")
    assert not (here / "eval.csv").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[eval]\nsedes = 3", "sedes in [eval] is no option (did you mean 'seeds'?)"),
        ("[check]\nseeds = 3", "seeds in [check] is no option"),
        ("[train]\nepochs = 3", "it has no table [check] or [eval]"),
    ],
)
def test_check_refuses_keys_that_neither_it_nor_eval_knows(text: str, words: str, here: Path, run: Run) -> None:
    (here / "run.toml").write_text(text)
    code, out, line = run("check", "--config", "run.toml")
    assert (code, out, line.count("\n")) == (2, "", 1), line
    assert words in line


@pytest.mark.parametrize("name", ["eval", "train", "check"])
def test_every_option_and_argument_of_the_command_is_a_key(name: str, tmp_path: Path) -> None:
    command, lines = ROOT.commands[name], []  # type: ignore[attr-defined]
    params = [each for each in command.params if each.name != "config"]
    for number, param in enumerate(params):
        key = param.opts[0].removeprefix("--")
        value = "true" if getattr(param, "is_flag", False) else '["x", 3]' if param.multiple else '"x"'
        lines.append(f"{key if number % 2 else key.replace('-', '_')} = {value}")
    file = tmp_path / "all.toml"
    file.write_text("\n".join([f"[{name}]", *lines]))
    context = SimpleNamespace(
        resilient_parsing=False, info_name=name, command=command, parent=SimpleNamespace(command=ROOT), default_map=None
    )
    config_file.load(context, next(each for each in command.params if each.name == "config"), file)
    assert context.default_map is not None
    assert context.default_map.keys() == {each.name for each in params}


REFUSED = [
    ("[eval]\natack = ['pgd']", "atack in [eval] is no option (did you mean 'attack'?)"),
    ("[eval]\npgd_stepz = 3", "(did you mean 'pgd-steps'?)"),
    ("[eval]\nattack = 'pgd'", 'write a list, such as ["pgd"]'),
    ("[eval]\nimages = true", "images in [eval] must be a number or text"),
    ("[eval]\nforce = 'yes'", "force in [eval] must be true or false"),
    ("[eval]\neps = 2", "--eps 2 is outside (0, 1]"),
    ("[eval]\nseeds = 'three'", "--seeds"),
    ("[eval]\neps = 2026-01-01", "eps in [eval] must be a number or text"),
    (
        "[eval]\nmodel-args = {a = 2020-01-01}",
        "--config 'run.toml': model-args in [eval] must hold what JSON can: no date",
    ),
    ("[eval]\nmodel-args = {a = [{b = nan}]}", "--config 'run.toml': model-args in [eval] must hold what JSON can"),
    ("[eval]\nfail_under = 0.5\nfail-under = 0.1", "'run.toml': fail-under in [eval] stands twice"),
    ("[eval]\nconfig = 'other.toml'", "config in [eval] is no option"),
    ("[evl]\nimages = 3", "unknown table or key 'evl' (did you mean 'eval'?)"),
    ("images = 3", "options stand in a table: [eval]"),
    ("[train]\nepochs = 3", "no table [eval]"),
    ("[eval", "no TOML"),
]


@pytest.mark.parametrize(("text", "words"), REFUSED, ids=[text for text, _ in REFUSED])
def test_a_file_that_is_wrong_is_refused_in_one_line(text: str, words: str, here: Path, run: Run) -> None:
    (here / "run.toml").write_text(text)
    code, out, line = run("eval", "--config", "run.toml")
    assert (code, out, line.count("\n")) == (2, "", 1), line
    assert words in line


def test_a_missing_file_and_bytes_are_refused(here: Path, run: Run) -> None:
    assert run("eval", "--config", "none.toml")[2].startswith("advtool: --config: cannot read 'none.toml'")
    (here / "run.toml").write_bytes(b"\xff\xfe")
    assert "is no TOML" in run("eval", "--config", "run.toml")[2]


def test_lists_and_tables_of_a_file_are_numbers_with_commas_and_json(here: Path, run: Run) -> None:
    (here / "net.py").write_text("def make(**given):\n    raise ValueError(sorted(given.items()))\n")
    (here / "run.toml").write_text(
        "[eval]\nmodel = 'net.py:make'\ndataset = 'digits'\nmean = [0.1, 0.2]\nstd = [1, 2]\n"
        "model_args = {depth = 3, names = ['a']}\n"
    )
    assert "[('depth', 3), ('names', ['a'])]" in run("eval", "--config", "run.toml")[2]


def test_an_answer_goes_to_the_pipe_behind_dev_stdout(advtool_command: Command) -> None:
    done = advtool_command("runs", "--format", "json", "--output", "/dev/stdout")
    assert done.stdout == advtool_command("runs", "--format", "json").stdout


def test_a_device_is_written_to_whoever_may_write_in_its_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    files.check_writable(Path("/dev/null"))
    with pytest.raises(InputError, match="cannot write --output"):
        files.check_writable(Path("answer.json"))
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(InputError, match="Permission denied"):
        files.check_writable(Path("/dev/null"))


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("eval", "--run-dir", ""), "--run-dir"),
        (("eval", "--output="), "--output"),
        (("eval", "--classes", ""), "--classes"),
        (("compare", "", "runs/b"), "RUN_A"),
        (("report", "runs/a", ""), "RUN"),
        (("runs", ""), "DIR"),
        (("train", "clean", "--output", ""), "--output"),
        (("show", ""), "CHECKPOINT"),
        (("eval", "--dataset", ""), "--dataset"),
        (("eval", ""), "MODEL"),
    ],
)
def test_an_empty_value_is_not_the_present_folder_nor_the_default(
    here: Path, run: Run, words: tuple[str, ...], name: str
) -> None:
    """A shell makes it of a variable that is not set."""
    assert run(*words) == (2, "", f"advtool: {name} is empty: give it a value, or leave it out\n")
    assert [each.name for each in here.iterdir()] == ["checkpoints"]


def test_quiet_leaves_the_answer_and_the_errors(run: Run) -> None:
    code, out, err = run("eval", *FAST, "--format", "json", "--quiet")
    assert (code, err) == (0, "")
    assert json.loads(out)["clean"]["total"] == 20
    assert run("eval", *FAST, "--format", "json")[2]  # it ends with the command
    code, out, err = run("eval", *FAST, "-q", "--fail-under", "1")
    assert (code, err.count("\n")) == (1, 1)
    assert "below --fail-under" in err
    assert run("eval", "-q", "--dataset", "mnits")[2].count("\n") == 1
    assert run("train", "clean", "--epochs", "1", "--limit", "100", "-q", "--output", "x.safetensors")[1:] == (
        "x.safetensors\n",
        "",
    )


def test_forced_colours_leave_json_and_a_piped_progress_as_they_are(here: Path) -> None:
    done = Command(here)("eval", *FAST, "--format", "json", FORCE_COLOR="1")
    jsonschema.validate(json.loads(done.stdout), json_schema("eval"))
    assert "\x1b[?25" not in done.stderr
    assert "advtool: fgsm: " in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("no_color", ["", "1"])
def test_a_terminal_gets_colours_unless_no_color_is_set(no_color: str, here: Path) -> None:
    """The bars of the progress too: both streams are the terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "advtool", "eval", *FAST],
        cwd=here,
        env={**os.environ, "COLUMNS": "80", "TERM": "xterm-256color", "NO_COLOR": no_color},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            seen += os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
    os.close(ours)
    assert process.wait(timeout=60) == 0
    text = seen.decode(errors="replace")
    assert "20/20 images" in text
    assert bool(COLOUR.search(text)) is not bool(no_color)


def test_every_command_is_ours() -> None:
    """So each has ``--quiet`` and the page of help."""
    for path, command in commands():
        if not hasattr(command, "commands"):
            assert isinstance(command, CommandClass), path
            assert "--quiet" in {name for param in command.params for name in param.opts}, path


@pytest.mark.parametrize(
    ("path", "command"), [pytest.param(*each, id=" ".join(["advtool", *each[0]])) for each in commands()]
)
def test_the_help_of_every_command_fits_80_columns_and_says_what_each_thing_is_for(
    path: tuple[str, ...], command: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    app([*path, "--help"], standalone_mode=False, prog_name="advtool")
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    assert text.startswith(f"Usage: {' '.join(['advtool', *path])} ")
    assert not re.search(r"<\w+>|None|\(default", text)
    for param in command.params:
        assert len(param.help or "") > 9, param.name
        assert all(name in text for name in (*param.opts, *param.secondary_opts) if name.startswith("-"))
    words = " ".join(text.split())
    assert " ".join(command.help.split("\n\n")[0].split()) in words


def test_a_shell_completes_commands_options_and_their_values(advtool_here: InProcess) -> None:
    def complete(words: str) -> list[str]:
        asked = {"_ADVTOOL_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        return advtool_here(**asked).stdout.split()

    assert complete("advtool att") == ["attacks"]
    assert complete("advtool eval --quie") == ["--quiet"]
    assert complete("advtool eval --config none.toml --format js") == ["json", "jsonl"]
    assert complete("advtool train nf") == ["nfgsm"]
    assert complete("advtool train clean --arch le") == ["lenet"]
    assert complete("advtool eval --attack apgd") == ["apgd", "apgd-targeted"]
    assert complete("advtool attacks aud") == ["audit"]
    assert complete("advtool eval --dataset mn") == complete("advtool data fetch mn") == ["mnist"]
    assert complete("advtool schema swe") == ["sweep"]
