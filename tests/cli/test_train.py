"""``advtool train`` and ``advtool show`` through the real command."""

import inspect
import json
import os
import pickle
import re
import signal
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch

from advtool import checkpoints, training
from advtool.checkpoints import Header
from advtool.cli import main
from advtool.cli.training_progress import TrainingProgress
from advtool.data import Split
from advtool.report import FORMATS
from advtool.report.card import Card
from advtool.results import Validated
from advtool.settings import settings_of
from advtool.training import RECIPES, Settings, loop, session
from advtool.training import state as states
from advtool.training.place import Place
from tests.conftest import Command, InProcess
from tests.support.trainings import StopsAfter, short
from tests.support.waiting import wait_for

QUICK = ("--arch", "cnn", "--epochs", "2", "--limit", "128", "--device", "cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def path(folder: Path) -> Path:
    done = Command(folder)("train", "both", *QUICK)
    assert done.stdout == "checkpoints/digits-cnn-both-s0.safetensors\n"
    assert re.search(r"epoch 2/2: loss \d\.\d+, clean \d+\.\d %, one-step \d+\.\d %, PGD \d+\.\d %", done.stderr)
    return folder / done.stdout.strip()


def test_the_command_does_what_the_function_does_in_another_process(path: Path) -> None:
    header, tensors = checkpoints.read(path)
    threads = torch.get_num_threads()
    here = training.train("digits", "both", arch="cnn", epochs=2, limit=128)
    assert torch.get_num_threads() == threads
    assert all(torch.equal(tensors[name], tensor) for name, tensor in here.model.state_dict().items())
    assert here.header.recipe == header.recipe
    assert [path] == list(path.parent.iterdir())


def test_show_prints_a_card_of_80_columns_without_control_codes(path: Path) -> None:
    done = Command(path.parent)("show", path.name, FORCE_COLOR="1", COLUMNS="200")
    assert done.stderr == ""
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "\x1b" not in done.stdout
    for words in ("cnn, 1x28x28 images, 10 classes", "digits", "name both", "linf, eps 0.3", "kept"):
        assert words in done.stdout


def test_show_json_is_the_header(path: Path, advtool_here: InProcess) -> None:
    done = advtool_here("show", path, "--format", "json")
    assert json.loads(done.stdout) == checkpoints.read_header(path).model_dump(mode="json", by_alias=True)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("train clean --arch lennet", "did you mean 'lenet'"),
        ("train clean --dataset digitz", "did you mean 'digits'"),
        ("train clean --epochs 0", "--epochs 0"),
        ("train clean --limit 2000", "1..1294"),
        ("train nfgsm --bias naive", "--bias does not go with the recipe 'nfgsm'"),
        ("train clean --pnil", "--pnil does not go with the recipe 'clean'"),
        ("train apb --memories 4", "--memories does not go with bias naive"),
        ("train apb --fixed-examples x.safetensors", "--fixed-examples does not go with scenario clean"),
        ("train nfgsm --pnil-at conv1", "--pnil-at needs --pnil"),
        (
            "train apb --bias-layers linear1 --bias-layers linear9",
            "--bias-layers: the model has no fully connected layer 'linear9'",
        ),
        ("train nfgsm --bias-layers linear1", "--bias-layers does not go with the recipe 'nfgsm'"),
        ("train rfgsm --step-size 5", "--step-size 5.0: it must lie in (0, 1]"),
        ("train nfgsm --pnil --pnil-at conv9", "--pnil-at: the model has no layer 'conv9'"),
        ("train rfgsm --step-size 1/0", "--step-size '1/0' is no number"),
        ("train adv --keep best", "--keep"),
        ("train adv --fixed-examples none.safetensors", "no checkpoint at 'none.safetensors'"),
        ("train adv --output net.partial.safetensors", "beside 'net.safetensors' while it trains: give another name"),
        ("train adv --output net.state.safetensors", "beside 'net.safetensors' while it trains: give another name"),
        ("lr-range nfgsm --steps 3", "--steps 3"),
        ("lr-range nfgsm --plot curve.txt", ".png, .svg or .pdf"),
        ("lr-range clean --pnil", "--pnil does not go with the recipe 'clean'"),
        ("train nfgsm --arch-args width=16", "--arch-args is no JSON"),
        ("train nfgsm --arch-args [16]", "--arch-args is no JSON object: write e.g. '{\"width\": 16}'"),
        ('train nfgsm --arch-args {"width":16}', "the model 'cnn' has no option 'width'"),
    ],
)
def test_options_that_are_wrong_or_do_not_go_together(advtool_here: InProcess, command: str, words: str) -> None:
    assert words in advtool_here.refused(*command.split())


def test_plots_without_matplotlib_say_how_to_get_it(monkeypatch: pytest.MonkeyPatch, advtool_here: InProcess) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    words = advtool_here.refused("lr-range", "nfgsm", "--plot", "curve.png")
    assert "pip install 'advtool[plots]'" in words


def test_a_log_without_tensorboard_says_how_to_get_it_before_anything_trains(
    monkeypatch: pytest.MonkeyPatch, advtool_here: InProcess
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    words = advtool_here.refused("train", "clean", "--log-dir", "logs")
    assert "pip install 'advtool[tensorboard]'" in words
    assert list(advtool_here.folder.iterdir()) == []


def test_lr_range_prints_its_bounds_and_draws_the_curve(advtool_here: InProcess) -> None:
    options = ("--steps", "40", "--limit", "200", "--device", "cpu", "--format", "json", "--plot", "curve.png")
    done = advtool_here("lr-range", "clean", "--arch", "cnn", *options)
    document = json.loads(done.stdout)
    assert document["schema"] == "advtool.lr-range/1"
    assert 0 < document["base_learning_rate"] < document["learning_rate"]
    assert (advtool_here.folder / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_the_help_lists_every_recipe_every_setting_and_whose_it_is(advtool_here: InProcess) -> None:
    words = " ".join(advtool_here("train", "--help", COLUMNS="1000").stdout.split())
    for recipe in RECIPES.values():
        assert f"{recipe.name}: {recipe.summary}" in words
    for name, setting in settings_of(Settings).items():
        assert f"--{name.replace('_', '-')} " in words
        assert setting.about.help in words
    for told in (
        "Perturbation bias: clean, adv, both, apb",
        "Examples and noise: fgsm, r+fgsm, rfgsm, nfgsm, pgd",
        "Interval bounds: ibp",
        "[default: cnn; lenet for clean, adv, both, apb; gowal for ibp; "
        "resnet11 for cifar10; gowal for ibp on cifar10]",
        "[default: 10; 50 for ibp; 60 for digits; 30 for cifar10]",
        "[default: plain; naive for apb]",
        "[default: 0.03]",
    ):
        assert told in words


def test_the_signature_and_the_documentation_of_training_name_every_setting() -> None:
    for function in (training.train, training.lr_range):
        parameters = inspect.signature(function).parameters
        assert list(parameters)[-len(settings_of(Settings)) :] == list(settings_of(Settings))
        assert parameters["apb_eps"].annotation == float | None
        assert f"apb_eps: {settings_of(Settings)['apb_eps'].about.help}" in inspect.getdoc(function)


def test_noise_layers_are_shown_and_drawn(advtool_here: InProcess) -> None:
    command = ("train", "nfgsm", "--pnil", "--pnil-at", "conv2", "--eot", "2", *QUICK[2:])
    made = Path(advtool_here(*command).stdout.strip())
    assert made.name == "digits-cnn-nfgsm-s0.safetensors"
    done = advtool_here("show", made, "--plot", "noise.svg")
    assert re.search(r"noise .* deviation 0\.\d+ in the centre, 0\.\d+ in the border", done.stdout)
    assert "<svg" in (advtool_here.folder / "noise.svg").read_text()


def test_a_plot_of_a_model_without_noise_is_refused(path: Path, advtool_here: InProcess) -> None:
    assert "no noise layer" in advtool_here.refused("show", path, "--plot", "noise.svg")
    assert "the name must end in" in advtool_here.refused("show", path, "--plot", "noise.gif"), "before it is opened"


def test_fixed_examples_are_told_apart(path: Path, advtool_here: InProcess) -> None:
    done = advtool_here("train", "adv", "--fixed-examples", path, *QUICK)
    assert re.search(r"\d % on the fixed examples; white box: .*% under FGSM, .*% under PGD", done.stderr)


def test_damaged_files_are_told_in_one_line(path: Path, advtool_here: InProcess) -> None:
    tmp_path = advtool_here.folder
    (tmp_path / "short.safetensors").write_bytes(path.read_bytes()[:-100])
    (tmp_path / "foreign.safetensors").write_text("no checkpoint at all")
    (tmp_path / "model.pt").write_bytes(pickle.dumps({}, protocol=4))
    assert "damaged" in advtool_here.refused("show", "short.safetensors")
    assert "damaged" in advtool_here.refused("show", "foreign.safetensors")
    assert "pickle" in advtool_here.refused("show", "model.pt")
    assert "no such file" in advtool_here.refused("show", "none.safetensors")
    assert "that is no regular file" in advtool_here.refused("show", "/dev/null")


def test_bad_options_are_told_in_one_line(advtool_here: InProcess) -> None:
    assert "did you mean 'both'" in advtool_here.refused("train", "boht")
    (advtool_here.folder / "file").write_text("")
    assert "cannot write" in advtool_here.refused("train", "clean", "--output", "file/m.safetensors")
    assert "is no UTF-8" in advtool_here.refused("train", "clean", "--output", os.fsdecode(b"m\xff.safetensors"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_cuda_asked_for_and_absent(advtool_here: InProcess) -> None:
    assert "--device cuda" in advtool_here.refused("train", "clean", "--device", "cuda")


def test_a_second_training_of_one_output_is_told_in_one_line(advtool_here: InProcess) -> None:
    """The default name says nothing of --pnil."""
    default = advtool_here.folder / "checkpoints" / "digits-cnn-nfgsm-s0.safetensors"
    with Place(default).alone():
        for options in (("--pnil",), ("--resume", default)):
            words = advtool_here.refused("train", "nfgsm", *options, *QUICK)
            assert "another process trains" in words
            assert "give every training an --output of its own" in words


# The card and what is replaced


def shown(header: Header) -> str:
    return " ".join(FORMATS["table"](Card("model", header)).replace("│", " ").split())


def test_a_card_does_not_list_what_is_off(tiny: Split, path: Path) -> None:
    words = shown(checkpoints.read_header(path))
    assert "schedule constant, keep pgd, precision float32, bias plain, limit 128" in words
    noisy = short(tiny, "nfgsm", pnil=True, pnil_at=("conv2", "conv1"), epochs=1, stop_on_collapse=True)
    words = shown(noisy.header)
    assert "keep pgd, stop on collapse, precision float32, pnil, pnil at conv2 and conv1, eot 1" in words
    assert not re.search(r"False|None|\[\]|0\.0,|base learning rate|clip examples", words)


def test_the_card_says_when_the_floor_decided(tiny: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    def after(pgd: float) -> str:
        measured = Validated(clean=0.9, one_step=0.8, pgd=pgd, adversarial_loss=1.0)
        monkeypatch.setattr(loop, "measure", Mock(return_value=measured))
        return shown(short(tiny, "nfgsm", epochs=1).header)

    assert "tie no epoch is above the 100.0 % that a constant answer reaches" in after(0.5)  # 4 validation images
    monkeypatch.setattr(session, "floor_of", Mock(return_value=0.127))
    assert "tie no epoch is above the 12.7 %" in after(0.127)
    assert "tie" not in after(0.128)


def test_a_checkpoint_of_another_setting_is_not_replaced_in_silence(
    tiny: Split, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.safetensors"

    def told(recipe: str = "nfgsm", **settings: object) -> str:
        short(tiny, recipe, epochs=1, output=path, observer=TrainingProgress(path), **settings)
        err = " ".join(capsys.readouterr().err.split())
        return "".join(re.findall(r"replaces '.*model.safetensors' \(.*?\)", err)).replace(str(path), "model")

    assert told() == ""
    assert told() == ""
    assert told(pnil=True) == "replaces 'model' (nfgsm, no pnil, no eot)"
    assert told(pnil=True, pnil_at=("conv2",), eps=0.3) == "replaces 'model' (nfgsm, eps 0.03137, no pnil at)"
    assert told("both") == "replaces 'model' (nfgsm)"
    assert (
        told("both", bias="naive") == "replaces 'model' (both, bias plain, no apb eps, no apb direction, no apb step)"
    )


@pytest.mark.parametrize("way", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_keeps_the_best_epoch_and_says_how_to_go_on(
    tmp_path: Path, way: signal.Signals, advtool_here: InProcess
) -> None:
    options = ["--arch", "cnn", "--epochs", "10000", "--device", "cpu"]
    command = [sys.executable, "-m", "advtool", "train", "clean", *options]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        partial = tmp_path / "checkpoints" / "digits-cnn-clean-s0.partial.safetensors"
        state = tmp_path / "checkpoints" / "digits-cnn-clean-s0.state.safetensors"
        wait_for(lambda: state.exists() and len(states.read(state).history) > 1, process)
        process.send_signal(way)
        out, err = process.communicate()
    assert (process.returncode, out) == (130, "")
    assert "the best epoch so far is in 'checkpoints/digits-cnn-clean-s0.partial.safetensors'" in err
    assert "Traceback" not in err
    assert checkpoints.read_header(partial).metrics["epoch"] >= 1
    again = "advtool train --resume checkpoints/digits-cnn-clean-s0.state.safetensors --device cpu"
    assert f"advtool: go on with: {again}\n" in err
    words = advtool_here.refused(*again.split()[1:], "--epochs", "3")
    assert "'checkpoints/digits-cnn-clean-s0.state.safetensors'" in words
    assert "--epochs is 10000 there and 3 here" in words


def test_a_stopped_training_goes_on_by_its_file_alone_and_is_finished_then(
    folder: Path, path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The training of ``path``, stopped after its first epoch."""
    monkeypatch.chdir(folder)
    output, settings = Path("again.safetensors"), {"arch": "cnn", "epochs": 2, "limit": 128}
    with pytest.raises(KeyboardInterrupt):
        training.train("digits", "both", **settings, output=output, observer=StopsAfter(2))
    done = Command(folder)("train", "--resume", "again.state.safetensors", "both", *QUICK[4:])
    assert done.stdout == "again.safetensors\n"
    assert "advtool: goes on after epoch 1 of 2\n" in done.stderr
    expected, tensors = checkpoints.read(path)[1], checkpoints.read(output)[1]
    assert all(torch.equal(tensors[name], tensor) for name, tensor in expected.items())

    over = InProcess(folder, monkeypatch, capsys)("train", "--resume", "again.safetensors", check=False)
    finished = "advtool: the training of 'again.safetensors' is finished\n"
    assert (over.returncode, over.stdout, over.stderr) == (0, "again.safetensors\n", finished)


def test_one_command_begins_a_training_goes_on_with_it_and_tells_when_it_is_over(
    tmp_path: Path, advtool_here: InProcess
) -> None:
    """As a job that a scheduler starts again and again."""
    ask = ["train", "clean", "--arch", "cnn", "--epochs", "2", "--limit", "128", "--device", "cpu", "--resume"]
    both = [tmp_path / "one.safetensors", tmp_path / "two.safetensors"]
    begun = advtool_here(*ask, "one.safetensors")
    assert begun.stdout == "one.safetensors\n"
    assert "advtool: no training at 'one.safetensors' yet: it begins\n" in begun.stderr

    over = advtool_here(*ask, "one.safetensors")
    assert over.stdout == "one.safetensors\n"
    assert over.stderr == "advtool: the training of 'one.safetensors' is finished\n"

    settings = {"arch": "cnn", "epochs": 2, "limit": 128}
    with pytest.raises(KeyboardInterrupt):
        training.train("digits", "clean", **settings, output=both[1], observer=StopsAfter(2))
    went_on = Command(tmp_path)(*ask, "two.safetensors")
    assert "advtool: goes on after epoch 1 of 2\n" in went_on.stderr
    one, two = (checkpoints.read(path)[1] for path in both)
    assert all(torch.equal(one[name], tensor) for name, tensor in two.items())

    other = advtool_here.refused(*ask, "one.safetensors", "--seed", "1")
    assert "--seed is 0 there and 1 here" in other


def test_without_a_recipe_nothing_begins_and_it_writes_where_it_is_resumed(advtool_here: InProcess) -> None:
    words = advtool_here.refused("train", "--resume", "none.safetensors")
    assert "there is no state of a training at 'none.state.safetensors'" in words
    words = advtool_here.refused("train", "clean", "--resume", "none.safetensors", "--output", "b.safetensors")
    assert "--resume 'none.safetensors' writes to 'none.safetensors': leave out --output 'b.safetensors'" in words


def test_a_restart_after_the_end_prints_nothing_twice(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["advtool", "train", "--resume", str(path)])
    for restarts, printed in (("0", f"{path}\n"), ("1", "")):
        environment = {"RANK": "0", "WORLD_SIZE": "1", "TORCHELASTIC_RESTART_COUNT": restarts}
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as end:
            main()
        assert not end.value.code
        assert capsys.readouterr().out == printed


def test_a_stopped_training_is_not_replaced_in_silence(
    tiny: Split, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "model.safetensors"
    with pytest.raises(KeyboardInterrupt):
        short(tiny, output=output, observer=StopsAfter(2))
    short(tiny, output=output, observer=TrainingProgress(output))
    state = tmp_path / "model.state.safetensors"
    told = " ".join(capsys.readouterr().err.split())
    assert f"the stopped training at '{state}' is replaced after the first epoch of this one" in told
    assert f"interrupt now, and: advtool train --resume {state}" in told


@pytest.mark.parametrize("name", [".", "folder"])
def test_a_folder_is_no_file_of_a_training(name: str, advtool_here: InProcess) -> None:
    (advtool_here.folder / "folder").mkdir()
    for recipe in ((), ("clean",)):
        assert f"--resume '{name}' is a folder" in advtool_here.refused("train", *recipe, "--resume", name)
