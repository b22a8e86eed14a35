"""The steps of action.yml, run by bash as GitHub runs them: with ``gh`` and mostly ``advtool`` replaced."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from advtool import checkpoints
from advtool.cli import main

ROOT = Path(__file__).parents[1]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
STEPS, INPUTS = ACTION["runs"]["steps"], ACTION["inputs"]
SYSTEM = "/usr/bin:/bin"
EXPRESSION = re.compile(r"\$\{\{ *(.*?) *\}\}")
FAKES = {
    # Keeps its words, and answers as STUB_SAYS and STUB_CODE tell.
    "advtool": """
        printf '%s\\n' "$@" > "words-of-$1"
        while [ "$1" != --output ]; do shift; done
        echo '| attack | accuracy |' > "$2"
        printf '%b' "$STUB_SAYS" >&2
        exit "${STUB_CODE:-0}"
    """,
    # Asked for comments, it reads comments.json with the query of the step; else it keeps its words and the body.
    "gh": """
        printf '%s\\n' "$*" >> calls
        if [ "$1 $2" = "api --paginate" ]; then [ ! -s comments.json ] || jq -r "$5" comments.json; exit; fi
        [ -z "$GH_REFUSES" ] || { echo "gh: Resource not accessible by integration (HTTP 403)" >&2; exit 1; }
        for word in "$@"; do case "$word" in body=@*) cp "${word#body=@}" body.md ;; esac; done
    """,
    "python": """printf '%s\\n' "$@" > words-of-python""",
}


class Job:
    """A job on a machine of GitHub: a folder, with a PATH, files for output and summary, and the event."""

    def __init__(self, folder: Path, *fakes: str) -> None:
        self.folder = folder
        self.pull_request = ""
        self.variables: dict[str, str] = {}
        self.path = folder / "bin"
        self.path.mkdir()
        for name in fakes:
            self.put(name, FAKES[name])
        (folder / "temp").mkdir()
        for name in ("output", "summary", "calls", "comments.json"):
            (folder / name).touch()

    def put(self, command: str, script: str) -> None:
        path = self.path / command
        path.write_text(f"#!/usr/bin/env bash\n{script}\n")
        path.chmod(0o755)

    def run(self, *names: str, **inputs: str) -> subprocess.CompletedProcess[str]:
        """Run the steps after the installation, or those of these names, until one fails: its code, and all output."""
        log = ""
        for step in STEPS[1:]:
            if names and step["name"] not in names:
                continue
            variables = {name: self.filled_in(value, inputs) for name, value in step["env"].items()}
            done = self.bash(step["run"], **variables)
            log += done.stdout + done.stderr
            if done.returncode:
                break
        return subprocess.CompletedProcess([], done.returncode, log)

    def filled_in(self, text: str, inputs: dict[str, str]) -> str:
        """A text with the values of its expressions."""
        known = {
            "inputs": {name: inputs.get(name.replace("-", "_"), about["default"]) for name, about in INPUTS.items()},
            "steps.evaluate.outputs": dict(line.split("=", 1) for line in self.read("output").splitlines()),
            "github.event.pull_request": {"number": self.pull_request},
        }
        return EXPRESSION.sub(lambda found: known[found[1].rpartition(".")[0]][found[1].rpartition(".")[2]], text)

    def bash(self, script: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
            cwd=self.folder,
            env={
                **os.environ,
                "PATH": f"{self.path}:{SYSTEM}",
                "RUNNER_TEMP": str(self.folder / "temp"),
                "GITHUB_OUTPUT": str(self.folder / "output"),
                "GITHUB_STEP_SUMMARY": str(self.folder / "summary"),
                "GITHUB_ACTION_PATH": "/somewhere/advtool",
                "GITHUB_REPOSITORY": "somebody/net",
                **self.variables,
                **variables,
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def read(self, name: str) -> str:
        path = self.folder / name
        return path.read_text() if path.exists() else ""

    def words(self, command: str) -> list[str]:
        return self.read(f"words-of-{command}").splitlines()


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A job whose ``advtool`` and ``gh`` are replaced."""
    return Job(tmp_path, "advtool", "gh")


def in_a_pull_request(job: Job) -> dict[str, Any]:
    """The inputs of a step in a pull request, with a stored run and a token."""
    (job.folder / "stored").mkdir()
    job.pull_request = "7"
    return {"baseline": "stored", "token": "secret"}


def test_no_expression_stands_in_a_script() -> None:
    """GitHub would put its text into the shell: who names a branch could run commands."""
    assert len(STEPS) == 5
    for step in STEPS:
        assert step["shell"] == "bash", "a composite action must say so"
        assert "${{" not in step["run"], step["name"]
        used = {found for value in step.get("env", {}).values() for found in EXPRESSION.findall(value)}
        assert not {one for one in used if one.startswith("github.")} - {"github.event.pull_request.number"}


def test_advtool_is_installed_unless_it_is_there(tmp_path: Path) -> None:
    job = Job(tmp_path, "python")
    assert job.bash(STEPS[0]["run"]).returncode == 0
    assert job.words("python") == ["-m", "pip", "install", "/somewhere/advtool"]
    (tmp_path / "words-of-python").unlink()
    job.put("advtool", "")
    assert job.bash(STEPS[0]["run"]).returncode == 0
    assert job.words("python") == []


def test_the_arguments_are_words_and_nothing_in_them_is_run(job: Job) -> None:
    arguments = 'net.py:make --attack "pgd(steps=3, restarts=2)"\n--model-args \'{"a": 1}\' $(touch x) ; touch y * `z`'
    assert job.run(arguments=arguments, run_dir="a folder").returncode == 0
    words = job.words("eval")
    assert words[:6] == ["eval", "net.py:make", "--attack", "pgd(steps=3, restarts=2)", "--model-args", '{"a": 1}']
    assert words[6:12] == ["$(touch", "x)", ";", "touch", "y", "*"]
    assert words[13:18] == ["--run-dir", "a folder", "--format", "markdown", "--output"]
    assert not {"x", "y"} & {path.name for path in job.folder.iterdir()}


def test_without_arguments_eval_gets_none(job: Job) -> None:
    assert job.run().returncode == 0
    assert job.words("eval")[:3] == ["eval", "--run-dir", "advtool-run"]


def test_an_open_quote_ends_the_job(job: Job) -> None:
    done = job.run(arguments="--attack 'pgd")
    assert done.returncode == 2
    assert "::error title=Robustness::'arguments' are not words as in a shell: is a quote left open?" in done.stdout
    assert job.words("eval") == []


@pytest.mark.parametrize("code", ["0", "1"])
def test_without_an_evaluation_the_job_ends_and_nothing_has_passed(job: Job, code: str) -> None:
    """As with ``--help``, or where Python itself fails."""
    job.put("advtool", f"echo Usage; exit {code}")
    done = job.run(arguments="--help")
    assert done.returncode == 2
    assert "::error title=Robustness::advtool eval wrote no evaluation" in done.stdout
    assert "passed=" not in job.read("output")
    assert job.read("summary") == ""


def test_a_note_is_a_warning_and_no_failure(job: Job) -> None:
    note = "--fail-on-warning masking: no warning, but only a cascade looks"
    job.variables = {"STUB_SAYS": f"advtool: note: {note}\\n"}
    done = job.run(title="a/b & c")
    assert done.returncode == 0
    assert f"::warning title=a/b & c::{note}\n" in done.stdout
    assert "Failed" not in job.read("summary")


def test_a_gate_that_fails_is_told_everywhere_and_ends_the_job_last(job: Job) -> None:
    job.variables = {
        "STUB_CODE": "1",
        "STUB_SAYS": "advtool: evaluating\\nadvtool: the worst case, 0.1, is below --fail-under 0.4\\n"
        "advtool: --fail-on-warning masking: the run warns of planted-missed\\n",
    }
    inputs = in_a_pull_request(job)
    done = job.run("Evaluate", **inputs)
    assert done.returncode == 0, "the summary and the comment come first"
    assert "passed=false" in job.read("output").splitlines()
    job.variables["STUB_CODE"] = "0"  # of compare
    done = job.run("Compare with the stored run", "Comment the change", "Judge", **inputs)
    assert done.returncode == 1
    for text in (job.read("summary"), job.read("body.md")):
        assert "- **Failed:** the worst case, 0.1, is below --fail-under 0.4" in text
        assert "- **Failed:** --fail-on-warning masking: the run warns of planted-missed" in text
        assert "evaluating" not in text
    assert "::error title=Robustness::the worst case, 0.1, is below --fail-under 0.4\n" in done.stdout


def test_bad_input_ends_the_job_at_once(job: Job) -> None:
    job.variables = {"STUB_CODE": "2", "STUB_SAYS": "advtool: --attack 'pgdd' is unknown\\n"}
    done = job.run(**in_a_pull_request(job))
    assert done.returncode == 2
    assert "::error title=Robustness::advtool: --attack 'pgdd' is unknown" in done.stdout
    assert (job.read("summary"), job.read("calls")) == ("", "")


def test_a_run_that_cannot_be_compared_ends_the_job(job: Job) -> None:
    inputs = in_a_pull_request(job)
    job.run("Evaluate", **inputs)
    job.variables = {"STUB_CODE": "2", "STUB_SAYS": "advtool: the runs saw different images\\n"}
    done = job.run("Compare with the stored run", "Comment the change", **inputs)
    assert done.returncode == 2
    assert "::error title=Robustness::this run is compared with nothing: advtool: the runs saw different" in done.stdout
    assert job.read("calls") == ""


@pytest.mark.parametrize(
    ("code", "itself", "level"), [(2, 2, "warning"), (2, 0, "error"), (2, 70, "error"), (70, 2, "error")]
)
def test_only_a_stored_run_that_cannot_be_read_is_a_warning(job: Job, code: int, itself: int, level: str) -> None:
    """It is asked of the stored run alone: whatever else is wrong ends the job."""
    inputs = in_a_pull_request(job)
    (job.folder / "stored" / "manifest.json").touch()
    job.run("Evaluate", **inputs)
    says = "advtool: run 'stored': its result.json is damaged"
    job.put("advtool", f'if [ "$2" = "$3" ]; then exit {itself}; fi; echo "{says}" >&2; exit {code}')
    done = job.run("Compare with the stored run", "Comment the change", "Judge", **inputs)
    assert done.returncode == (0 if level == "warning" else code)
    assert f"::{level} title=Robustness::this run is compared with nothing: {says}\n" in done.stdout
    assert job.read("calls") == ""


@pytest.mark.parametrize("lacks", ["token", "pull request", "stored run", "baseline"])
def test_nothing_is_commented_without(job: Job, lacks: str) -> None:
    inputs = in_a_pull_request(job)
    if lacks == "pull request":
        job.pull_request = ""
    elif lacks == "stored run":
        (job.folder / "stored").rmdir()
    else:
        del inputs[lacks]
    done = job.run(**inputs)
    assert done.returncode == 0
    assert job.read("calls") == ""
    assert ("::warning" in done.stdout) == (lacks == "stored run")
    assert job.read("summary").startswith("## Robustness\n")


def test_a_comment_that_is_refused_is_a_warning(job: Job) -> None:
    inputs = in_a_pull_request(job)
    job.variables = {"GH_REFUSES": "yes"}
    done = job.run(**inputs)
    assert done.returncode == 0
    assert "::warning title=Robustness::no comment" in done.stdout


@pytest.mark.skipif(shutil.which("jq", path=SYSTEM) is None, reason="jq reads the query of the step as gh does")
def test_a_later_push_replaces_the_comment_of_this_title_by_a_bot(job: Job) -> None:
    comments = """[
        {"id": 1, "user": {"type": "User"}, "body": "<!-- advtool: Robustness -->\\nnot ours"},
        {"id": 2, "user": {"type": "Bot"}, "body": "<!-- advtool: Another -->"},
        {"id": 3, "user": {"type": "Bot"}, "body": "<!-- advtool: Robustness -->\\nours"},
        {"id": 4, "user": {"type": "Bot"}, "body": "<!-- advtool: Robustness -->\\nours too"}]"""
    inputs = in_a_pull_request(job)
    assert job.run(**inputs).returncode == 0
    assert "api --method POST repos/somebody/net/issues/7/comments --field body=@" in job.read("calls")
    (job.folder / "comments.json").write_text(comments)
    (job.folder / "calls").write_text("")
    assert job.run(**inputs).returncode == 0
    assert "api --method PATCH repos/somebody/net/issues/comments/3 --field body=@" in job.read("calls")
    assert job.read("body.md").startswith("<!-- advtool: Robustness -->\n## Robustness\n")


@pytest.mark.slow
def test_the_whole_action_with_a_run_stored_elsewhere(
    tmp_path: Path, digits_checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The stored run is of other weights, and lies in another folder than where it was made."""
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    job = Job(here, "gh")
    job.put("advtool", f'exec {sys.executable} -m advtool "$@"')
    job.variables = {"PYTHONPATH": str(ROOT)}
    monkeypatch.chdir(there)
    fast = ("--attack", "fgsm", "--images", "40", "--eps", "0.1")
    header, tensors = checkpoints.read(digits_checkpoint)
    next(iter(tensors.values())).mul_(-1)
    checkpoints.write(there / "other.safetensors", header, tensors)
    monkeypatch.setattr(sys, "argv", ["advtool", "eval", "other.safetensors", *fast, "--run-dir", "made"])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 0
    capsys.readouterr()
    shutil.move(there / "made", here / "stored")
    shutil.rmtree(there)
    job.pull_request = "7"
    arguments = f"'{digits_checkpoint}' {' '.join(fast)} --fail-under 1"
    done = job.run(arguments=arguments, baseline="stored", token="secret", title="Digits")
    assert done.returncode == 1, done.stdout
    summary, comment = job.read("summary"), job.read("body.md")
    assert summary.startswith("## Digits\n\n- **Failed:** the worst case, 0.")
    assert comment.startswith("<!-- advtool: Digits -->\n## Digits\n\n- **Failed:** the worst case, 0.")
    for text in (summary, comment):
        assert re.search(r"^\| attack \| accuracy \|.*\n\|---.*\n\| clean \| \d+\.\d % \|", text, re.MULTILINE)
        assert re.search(r"^\| worst case \| \d+\.\d % \| \d+\.\d % \| [+-]?\d+\.\d \|", text, re.MULTILINE)
        assert "- A: lenet trained with both on 40 test images of digits, linf eps 0.1, seed 0 (advtool-run)" in text
        assert "- B: lenet trained with both on 40 test images of digits, linf eps 0.1, seed 0 (stored)" in text
    assert "\n\n<details><summary>This run</summary>\n\n" in comment
