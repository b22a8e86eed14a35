"""``advtool eval`` as its users meet it: the real command, its streams, its exit codes."""

import csv
import io
import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from advtool import checkpoints, models
from advtool.cli import app
from tests.conftest import Command, InProcess
from tests.support.runs import without_times

FAST = ("--images", "60", "--pgd-steps", "5", "--spsa-steps", "3", "--spsa-samples", "8")


@pytest.fixture
def evaluate(advtool_here: InProcess, digits_checkpoint: Path) -> InProcess:
    """``advtool`` in a folder whose newest checkpoint is the stored one."""
    (advtool_here.folder / "checkpoints").mkdir()
    (advtool_here.folder / "checkpoints" / "model.safetensors").write_bytes(digits_checkpoint.read_bytes())
    return advtool_here


@pytest.fixture
def evaluate_anew(evaluate: InProcess) -> Command:
    """The same in a process of its own."""
    return Command(evaluate.folder)


def test_json_is_the_contracts_document(evaluate_anew: Command) -> None:
    done = evaluate_anew("eval", *FAST, "--format", "json")
    document = json.loads(done.stdout)
    assert list(document) == [
        "schema", "checkpoint", "model", "dataset", "threat_model", "seed", "eot", "votes", "clean", "attacks",
        "effective_robustness", "worst_case", "warnings", "environment",
    ]  # fmt: skip
    assert document["schema"] == "advtool.eval/1"
    assert document["dataset"] == {"name": "digits", "split": "test", "images": 60}
    assert document["threat_model"] == {"norm": "linf", "eps": 0.1, "clip": [0.0, 1.0]}
    assert (document["eot"], document["votes"]) == (1, 1)
    assert set(document["clean"]) == {"correct", "total", "accuracy", "interval"}
    assert [attack["name"] for attack in document["attacks"]] == ["fgsm", "pgd", "spsa"]
    for attack in document["attacks"]:
        assert attack["accuracy"] == attack["robust"] / attack["total"] <= document["clean"]["accuracy"]
        assert attack["interval"][0] <= attack["accuracy"] <= attack["interval"][1]
        assert ("accuracy_on_examples" in attack) == (attack["name"] == "fgsm")
    lowest = min(document["attacks"], key=lambda attack: attack["accuracy"])
    assert document["effective_robustness"]["accuracy"] == lowest["accuracy"]
    assert document["worst_case"]["robust"] <= lowest["robust"]
    assert document["attacks"][0]["model_calls"] == {"forward": 120, "backward": 60}
    assert "newest checkpoint, checkpoints/model.safetensors" in done.stderr
    peak = re.search(r"peak memory (\d\.\d\d) GiB, (\d+) images a pass", done.stderr)
    assert peak is not None
    assert 0.1 < float(peak[1]) < 8
    assert int(peak[2]) == document["environment"]["images_a_pass"]


def test_the_same_command_gives_the_same_bytes(evaluate: InProcess, evaluate_anew: Command) -> None:
    first = evaluate_anew("eval", *FAST, "--format", "json", "--run-dir", "a").stdout
    second = evaluate("eval", *FAST, "--format", "json", "--run-dir", "b").stdout
    times = re.compile(r'"seconds": [0-9.e-]+')
    assert times.sub("", first) == times.sub("", second)


def test_the_same_question_finds_its_run_again(evaluate: InProcess) -> None:
    first = evaluate("eval", *FAST, "--format", "json")
    again = evaluate("eval", *FAST, "--format", "json")
    assert "going on" not in first.stderr
    assert "is complete" in again.stderr
    assert again.stdout == first.stdout
    evaluate("eval", *FAST, "--format", "json", "--seed", "1")
    assert len(list((evaluate.folder / "runs").iterdir())) == 2


def test_the_table_fits_80_columns_and_a_pipe_gets_no_control_codes(evaluate: InProcess) -> None:
    long = "art:ProjectedGradientDescentPyTorch(max_iter=2, num_random_init=1, batch_size=32)"
    out = evaluate("eval", *FAST, "--attack", "paper", "--attack", long).stdout
    assert max(map(len, out.splitlines())) <= 80
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", out)
    for words in (
        "clean",
        "fgsm",
        "pgd",
        "spsa",
        "Min (",
        "worst case",
        "accuracy on examples",
    ):
        assert words in out
    assert re.search(r"95 %[^\n]*\n[^\n]*interval", out), "a narrow heading is broken between its words"


def test_csv_and_markdown_show_the_same_figures(evaluate: InProcess) -> None:
    document = json.loads(evaluate("eval", *FAST, "--format", "json").stdout)
    lines = list(csv.DictReader(io.StringIO(evaluate("eval", *FAST, "--format", "csv").stdout)))
    assert [line["kind"] for line in lines] == [
        "clean",
        "attack",
        "attack",
        "attack",
        "minimum",
        "worst case",
    ]
    assert float(lines[0]["accuracy"]) == document["clean"]["accuracy"]
    assert float(lines[2]["low"]) == document["attacks"][1]["interval"][0]
    markdown = evaluate("eval", *FAST, "--format", "markdown").stdout
    assert f"| pgd | {100 * document['attacks'][1]['accuracy']:.1f} % |" in markdown


def test_output_goes_to_the_file_and_stdout_stays_empty(evaluate: InProcess) -> None:
    done = evaluate("eval", *FAST, "--attack", "fgsm", "--format", "json", "--output", "deep/answer.json")
    assert done.stdout == ""
    assert json.loads((evaluate.folder / "deep" / "answer.json").read_text())["schema"] == "advtool.eval/1"


@pytest.mark.parametrize(
    ("reads", "written"),
    [
        (["net.py:make", "--dataset", "digits"], "net.py"),
        (["net:make", "--weights", "w.pth", "--dataset", "digits"], "link.pth"),
        (["--checkpoint", "model.safetensors"], "./model.safetensors"),
        (["--config", "run.toml"], "run.toml"),
    ],
)
def test_an_output_that_the_command_reads_is_not_replaced(evaluate: InProcess, reads: list[str], written: str) -> None:
    for name in ("net.py", "w.pth", "model.safetensors", "run.toml"):
        (evaluate.folder / name).write_text('[eval]\nmodel = "net.py:make"\n')
    (evaluate.folder / "link.pth").symlink_to("w.pth")
    done = evaluate("eval", *reads, "--output", written, check=False)
    assert done.returncode == 2
    assert f"--output '{Path(written)}' would replace a file that the command reads" in done.stderr
    assert (evaluate.folder / written).read_text().startswith("[eval]")


def test_an_output_does_not_replace_a_file_of_a_run(evaluate: InProcess) -> None:
    asked = ("--attack", "fgsm", "--images", "5", "--run-dir", "mine")
    done = evaluate("eval", *asked, "--output", "mine/manifest.json", check=False)
    assert done.returncode == 2, "the run is not there yet"
    evaluate("eval", *asked, "--output", "mine/answer.txt")
    manifest = (evaluate.folder / "mine" / "manifest.json").read_bytes()
    others = evaluate.folder / "mine" / "shards"
    for command in (["eval", *asked], ["runs"], ["train", "clean"], ["report", "mine"]):
        for name in ("mine/manifest.json", f"mine/shards/{min(others.iterdir()).name}"):
            done = evaluate(*command, "--output", name, check=False)
            assert (done.returncode, done.stdout) == (2, "")
            assert f"--output '{name.replace('/', os.sep)}' is a file of the run" in done.stderr
    assert (evaluate.folder / "mine" / "manifest.json").read_bytes() == manifest
    evaluate("eval", *asked, "--output", "mine/answer.txt")  # a file of the user's own


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("eval --surrogate checkpoints/model.safetensors", "--surrogate: no attack of this run uses it"),
        ("eval --certify-seconds 2", "--certify-seconds 2 is for proofs"),
        ("eval --run-dir checkpoints", "--run-dir 'checkpoints' exists and is not a run"),
        ("eval --attack pgd(eot=0)", "pgd: eot=0 must be an integer"),
        ("sweep eps --plot a.png --output ./a.png", "--plot 'a.png' would replace --output: name another file"),
    ],
)
def test_a_message_names_the_option_and_not_pythons_argument(evaluate: InProcess, words: str, message: str) -> None:
    done = evaluate(*words.split(), "--images", "5", check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"advtool: {message}" in done.stderr


@pytest.mark.slow
def test_output_writes_through_links_and_into_pipes(evaluate: InProcess) -> None:
    target, link, pipe = (evaluate.folder / name for name in ("target.json", "link.json", "pipe"))
    target.write_text("old")
    link.symlink_to(target)
    evaluate("eval", *FAST, "--attack", "fgsm", "--format", "json", "--output", link)
    assert link.is_symlink()
    assert json.loads(target.read_text())["schema"] == "advtool.eval/1"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE, text=True) as reader:
        evaluate("eval", *FAST, "--attack", "fgsm", "--format", "json", "--output", pipe)
        assert json.loads(reader.communicate()[0])["schema"] == "advtool.eval/1"


@pytest.mark.slow
def test_changed_data_under_the_same_name_is_another_question(evaluate: InProcess) -> None:
    path = evaluate.folder / "mine.npz"
    answers = []
    for value in (0, 200):
        images = np.full((10, 28, 28), value, np.uint8)
        np.savez(path, x_train=images, x_test=images, y_train=np.arange(10), y_test=np.arange(10))
        answers.append(evaluate("eval", "--dataset", path, "--attack", "fgsm", "--format", "json"))
    assert all("going on" not in answer.stderr and "complete" not in answer.stderr for answer in answers)
    assert json.loads(answers[0].stdout)["dataset"] == {
        "name": "mine",
        "split": "test",
        "images": 10,
        "path": str(path),
    }


def test_fail_under_ends_with_1_and_still_answers(evaluate: InProcess) -> None:
    passing = evaluate("eval", *FAST, "--attack", "fgsm", "--format", "json", "--fail-under", "0")
    failing = evaluate("eval", *FAST, "--attack", "fgsm", "--format", "json", "--fail-under", "1", check=False)
    assert failing.returncode == 1
    assert without_times(json.loads(failing.stdout)) == without_times(json.loads(passing.stdout))
    assert "is below --fail-under 1" in failing.stderr


def test_a_pipeline_works(evaluate: InProcess) -> None:
    python = sys.executable
    line = f"{python} -m advtool eval {' '.join(FAST)} --attack fgsm --format json | {python} -m json.tool"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        cwd=evaluate.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["schema"] == "advtool.eval/1"


def test_attacks_of_art_run_by_name_and_pass_the_verifier(evaluate: InProcess) -> None:
    attacks = (
        "art:SquareAttack(max_iter=30)",
        "art:ProjectedGradientDescentPyTorch(max_iter=20)",
        "art:DeepFool(max_iter=5)",
    )
    options = [word for attack in attacks for word in ("--attack", attack)]
    document = json.loads(evaluate("eval", "--images", "40", "--eps", "0.3", "--format", "json", *options).stdout)
    assert [attack["name"] for attack in document["attacks"]] == list(attacks)
    for attack in document["attacks"]:  # of 37 images 17 or more, 37 and 12 fall, whatever the seed
        assert attack["robust"] <= document["clean"]["correct"] - 6, attack["name"]


def test_bad_input_ends_with_2_and_one_line(evaluate: InProcess, evaluate_anew: Command) -> None:
    """The line names what is wrong and what would be right."""
    for name, content in broken_checkpoints(evaluate.folder).items():
        (evaluate.folder / name).write_bytes(content)
    for arguments, words in BAD_INPUT:
        assert words in evaluate.refused("eval", *arguments), arguments
    assert BAD_INPUT[0][1] in evaluate_anew.refused("eval", *BAD_INPUT[0][0])


BAD_INPUT: list[tuple[tuple[str, ...], str]] = [
    (("--dataset", "mnits"), "did you mean 'mnist'"),
    (("--attack", "pgdd"), "did you mean 'pgd'"),
    (("--attack", "art:SquareAtack"), "did you mean 'SquareAttack'"),
    (("--eps", "2"), "(0, 1]"),
    (("--eps", "8/0"), "--eps '8/0'"),
    (("--eps", "1e9999999"), "(0, 1]"),
    (("--attack", "pgd(steps=3, steps=4)"), "give it once"),
    (("--eps", "0"), "(0, 1]"),
    (("--images", "0"), "--images '0'"),
    (("--pgd-steps", "0"), "--pgd-steps"),
    (("--fail-under", "40"), "--fail-under"),
    (("--device", "cuda"), "no CUDA device is available"),
    (("--checkpoint", "nowhere.safetensors"), "there is no file"),
    (("--checkpoint", "nan.safetensors"), "NaN"),
    (("--checkpoint", "pickle.safetensors"), "pickle"),
    (("--checkpoint", "short.safetensors"), "truncated"),
    (("--dataset", "outside.npz"), "[0, 1]"),
    (("--dataset", "labels.npz"), "but the model has 10 classes"),
    (("--dataset", "wide.npz"), "32"),
    (("--dataset", "empty"), "empty"),
    (("--output", "/proc/none/answer.json"), "cannot write"),
    (("--run-dir", "/proc/none/run"), "cannot write"),
    (("--unknown", "3"), "--unknown"),
]


def broken_checkpoints(folder: Path) -> dict[str, bytes]:
    """Everything that ``BAD_INPUT`` names."""
    (folder / "empty").mkdir()
    digits = {"y_train": np.arange(10), "y_test": np.arange(10)}
    images = np.zeros((10, 28, 28), np.uint8)
    np.savez(folder / "outside.npz", x_train=images, x_test=images + 7.5, **digits)
    np.savez(folder / "labels.npz", x_train=images, x_test=images, y_train=np.arange(10), y_test=np.arange(3, 13))
    wide = np.zeros((10, 32, 32), np.uint8)
    np.savez(folder / "wide.npz", x_train=wide, x_test=wide, **digits)
    good = folder / "checkpoints" / "model.safetensors"
    header, tensors = checkpoints.read(good)
    next(iter(tensors.values())).view(-1)[0] = torch.nan
    checkpoints.write(folder / "nan.safetensors", header, tensors)
    torch.save(models.load_checkpoint(good), folder / "pickle.safetensors")
    return {"short.safetensors": good.read_bytes()[:-1000]}


def test_a_missing_checkpoint_is_told_in_words(tmp_path: Path) -> None:
    assert "no checkpoint found in 'checkpoints/'" in Command(tmp_path).refused("eval")


def test_a_folder_of_images_is_a_data_set(evaluate: InProcess) -> None:
    for split in ("train", "test"):
        for label in range(10):
            place = evaluate.folder / "pictures" / split / str(label)
            place.mkdir(parents=True)
            Image.fromarray(np.full((28, 28), 20 * label, np.uint8)).save(place / "one.png")
    document = json.loads(evaluate("eval", "--dataset", "pictures", "--attack", "fgsm", "--format", "json").stdout)
    assert document["dataset"] == {"name": "pictures", "split": "test", "images": 10}


def test_the_same_images_under_another_name_are_another_question(
    tmp_path: Path, digits_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arrays = {"x_test": np.zeros((10, 28, 28), np.uint8), "y_test": np.arange(10)}
    names = np.array([f"class {number}" for number in range(10)])
    for name, more in (("one", {}), ("two", {}), ("named", {"class_names": names})):
        np.savez(f"{name}.npz", **arrays, **more)
        asked = ["eval", "--checkpoint", str(digits_checkpoint), "--dataset", f"{name}.npz", "--attack", "fgsm"]
        app(asked, standalone_mode=False)
    assert len(list((tmp_path / "runs").iterdir())) == 3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--seeds", "10000000"), "for '--seeds': it must be at most 1000"),
        (
            ("--seeds", "2", "--seed", str(2**63 - 1)),
            f"--seed {2**63 - 1}: with --seeds 2 the last seed must be at most",
        ),
    ],
)
def test_seeds_that_nobody_can_run_are_refused(evaluate: InProcess, options: tuple[str, ...], words: str) -> None:
    assert words in evaluate.refused("eval", *options)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
def test_an_unwritable_folder_is_told_before_anything_is_computed(evaluate: InProcess) -> None:
    locked = evaluate.folder / "locked"
    locked.mkdir(mode=stat.S_IRUSR | stat.S_IXUSR)
    assert "cannot write" in evaluate.refused("eval", "--output", "locked/answer.json")


HELPED = (
    *("", "train", "eval", "attacks", "checklist", "compare", "score", "show"),
    *("data", "data list", "models", "schema", "sweep", "sweep eot"),
)


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    """One process asks for the help of all: what it has imported stays imported."""
    code = (
        "import sys; from advtool.cli import app\n"
        f"for command in {HELPED!r}:\n"
        "    app([*command.split(), '--help'], standalone_mode=False)\n"
        "    heavy = {'torch', 'art', 'pydantic'} & sys.modules.keys()\n"
        "    assert not heavy, (command, heavy)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Usage") == len(HELPED)
