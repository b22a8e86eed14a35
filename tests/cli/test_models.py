"""Users' models through the real command: opened, checked, evaluated and scored; models that guess are refused."""

import json
import re
import subprocess
import sys
import warnings

import pytest
import torch
from PIL import Image
from torch import nn

from tests.conftest import Command, InProcess

NET = '''
import torch
from torch import nn


class Brightest(nn.Module):
    """Tells which quarter of the image is the brightest."""

    def __init__(self, sharpness=1.0, order=(0, 1, 2, 3)):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(sharpness))
        self.order = order

    def forward(self, x):
        quarters = nn.functional.adaptive_avg_pool2d(x.mean(1, keepdim=True), 2).flatten(1)
        return self.scale * quarters[:, list(self.order)]


def make(sharpness=1.0, order=(0, 1, 2, 3)):
    return Brightest(sharpness, order)


def loud():
    print("a word on stdout")
    return make()


def normalised():
    class Normalised(Brightest):
        """Sees nothing in pixels from 0 to 1: all that is above -0.05 looks the same."""
        def forward(self, x):
            return super().forward(x.clamp(max=-0.05))
    return Normalised()
'''
CLASSES = ("a", "b", "c", "d")
FAST = ("--attack", "fgsm", "--format", "json")


@pytest.fixture
def command(advtool_here: InProcess) -> InProcess:
    """The command in a folder with a model's source and forty pictures of two sizes in four classes."""
    folder = advtool_here.folder
    (folder / "net.py").write_text(NET)
    generator = torch.Generator().manual_seed(0)
    for label, name in enumerate(CLASSES):
        (folder / "pictures" / name).mkdir(parents=True)
        for number in range(10):
            pixels = torch.randint(0, 120, (24, 24, 3), generator=generator, dtype=torch.uint8)
            row, column = divmod(label, 2)
            pixels[12 * row : 12 * row + 12, 12 * column : 12 * column + 12] += 100
            picture = Image.fromarray(pixels.numpy())
            larger = picture.resize((48, 48), Image.Resampling.NEAREST) if number % 2 else picture
            larger.save(folder / "pictures" / name / f"{number}.png")
    return advtool_here


PICTURES = ("--dataset", "pictures", "--input-size", "24")


def test_a_factory_in_a_file_is_evaluated(command: InProcess) -> None:
    done = Command(command.folder)("eval", "net.py:loud", *PICTURES, *FAST)
    document = json.loads(done.stdout)
    assert document["clean"]["correct"] == 40
    assert document["checkpoint"] is None
    assert document["model"]["spec"] == "net.py:loud"
    assert document["dataset"] == {"name": "pictures", "split": "test", "images": 40, "classes": list(CLASSES)} | {
        "input_size": "24"
    }
    assert document["threat_model"]["eps"] == 8 / 255
    assert "a word on stdout" in done.stderr
    lines = [line.removeprefix("advtool: ") for line in done.stderr.splitlines()]
    assert any(re.fullmatch(r"model +net\.py:loud", line) for line in lines)
    assert any(re.fullmatch(r"weights +1 parameter, 4 outputs, deterministic", line) for line in lines)
    assert any(re.match(r"clean +40 of the first 40 right", line) for line in lines)
    (lines_of_images,) = (command.folder / "runs").glob("*/images.jsonl")
    images = [json.loads(line) for line in lines_of_images.read_text().splitlines()]
    assert {(image["label"], image["class"]) for image in images} == set(enumerate(CLASSES))


@pytest.mark.slow
def test_other_arguments_weights_and_sources_are_other_models(command: InProcess) -> None:
    torch.save({"state_dict": {"module.scale": torch.tensor(3.0)}}, command.folder / "weights.pth")
    asked = ("eval", "net.py:make", *PICTURES, *FAST)
    prints = [
        json.loads(command(*asked, *more).stdout)["model"]
        for more in ((), ("--model-args", '{"sharpness": 2.0}'), ("--weights", "weights.pth"))
    ]
    assert len({model["fingerprint"] for model in prints}) == 3
    assert prints[1]["arguments"] == {"sharpness": 2.0}
    assert prints[2]["weights"]["path"] == "weights.pth"
    assert "is complete" in command(*asked).stderr
    source = command.folder / "net.py"
    source.write_text(source.read_text().replace("self.scale * quarters", "1.0 * self.scale * quarters"))
    assert "is complete" not in command(*asked).stderr
    assert len(list((command.folder / "runs").iterdir())) == 4


def test_check_tells_what_is_understood_and_attacks_nothing(command: InProcess) -> None:
    document = json.loads(command("check", "net.py:make", *PICTURES, "--format", "json").stdout)
    assert document["schema"] == "advtool.check/1"
    assert (document["classes"], document["input_shape"], document["parameters"]) == (4, [3, 24, 24], 1)
    assert (document["randomness"], document["state"], document["no_gradient"]) == ("none", [], None)
    assert document["clean"]["correct"] == 40
    assert document["better_than_chance"]
    assert not (command.folder / "runs").exists()
    table = command("check", "net.py:make", *PICTURES).stdout
    assert max(map(len, table.splitlines())) <= 80
    assert "40 of the first 40 right" in table


GUESSING = ("--model-args", '{"order": [1, 2, 3, 0]}')


@pytest.mark.parametrize("name", ["check", "eval"])
def test_a_guessing_model_is_refused_and_the_cause_is_named(name: str, command: InProcess) -> None:
    done = command(name, "net.py:make", *GUESSING, *PICTURES, check=False)
    assert done.returncode == 2
    line = done.stderr.splitlines()[-1]
    assert "no better than guessing: 0 of 40 images are right" in line
    assert "--classes FILE" in line
    assert "40 of 40 images are right with the outputs in another order" in line
    assert "--force" in line


def test_more_outputs_than_classes_are_the_first_cause_that_is_named(command: InProcess) -> None:
    order = '{"order": [1, 2, 3, 0, 0, 0]}'
    done = command("check", "net.py:make", "--model-args", order, *PICTURES, check=False)
    line = done.stderr.splitlines()[-1]
    assert (done.returncode, line.split("; ")[0]) == (
        2,
        "advtool: the model has 6 outputs, and 'pictures' has 4 classes: --model-args '{\"num_classes\": 4}' "
        "if that is what its factory takes, or --classes FILE",
    )


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (("--dataset", "pictrues"), "no data set named 'pictrues'"),
        (("--dataset", "./none.npz"), "no data set at"),
        ((*PICTURES, "--classes", "none.txt"), "none.txt"),
    ],
)
def test_missing_images_are_told_before_the_model_is_opened(
    wrong: tuple[str, ...], words: str, command: InProcess
) -> None:
    (command.folder / "net.py").write_text("raise RuntimeError('opened')")
    assert words in command.refused("eval", "net.py:make", *wrong)


def test_force_goes_on_and_classes_mend_the_order(command: InProcess) -> None:
    forced = command("eval", "net.py:make", *GUESSING, *PICTURES, *FAST, "--force")
    assert json.loads(forced.stdout)["clean"]["correct"] == 0
    (command.folder / "classes.txt").write_text("b\nc\nd\na\n")
    mended = command("eval", "net.py:make", *GUESSING, *PICTURES, *FAST, "--classes", "classes.txt")
    assert json.loads(mended.stdout)["clean"]["correct"] == 40


def test_the_file_of_classes_may_be_a_pipe(command: InProcess) -> None:
    asked = [sys.executable, "-m", "advtool", "check", "net.py:make", *PICTURES, "--classes", "/dev/stdin"]
    done = subprocess.run(
        asked, cwd=command.folder, input="a\nb\nc\nd\n", capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_missing_normalisation_is_named_and_the_named_options_mend_it(command: InProcess) -> None:
    line = command("check", "net.py:normalised", *PICTURES, check=False).stderr.splitlines()[-1]
    assert "--mean" in line
    options = re.search(r"--mean (\S+) --std ([\d.,]+)\)", line)
    assert options is not None
    document = json.loads(
        command(
            "check", "net.py:normalised", *PICTURES, "--mean", options[1], "--std", options[2], "--format", "json"
        ).stdout
    )
    assert document["clean"]["accuracy"] > 0.6


@pytest.mark.slow
def test_score_tells_a_runs_own_model_from_another(command: InProcess) -> None:
    command("eval", "net.py:make", *PICTURES, *FAST, "--eps", "0.3", "--save-adversarial", "--run-dir", "run")
    assert "if you trust it: advtool score run net.py:make" in command.refused("score", "run")
    own = json.loads(command("score", "run", "net.py:make", "--format", "json").stdout)
    assert (own["same_model"], own["agrees"]) == (True, True)
    other = ("score", "run", "net.py:make", "--model-args", '{"sharpness": 2.0}', "--format", "json")
    assert json.loads(command(*other).stdout)["same_model"] is False


def test_a_surrogate_is_opened_like_a_model(command: InProcess) -> None:
    asked = ("--attack", "transfer", "--surrogate", "net.py:make", "--eps", "0.3", "--format", "json")
    document = json.loads(command("eval", "net.py:make", *PICTURES, *asked).stdout)
    assert document["attacks"][0]["robust"] < document["clean"]["correct"]
    assert "--surrogate" in command.refused("eval", "net.py:make", *PICTURES, *asked[:2], "--surrogate", "net.py:mak")


def test_a_sweep_opens_a_factory(command: InProcess) -> None:
    asked = ("sweep", "eps", "net.py:make", *PICTURES, "--eps", "0,0.2", "--attack", "fgsm", "--format", "json")
    document = json.loads(command(*asked).stdout)
    assert document["model"]["spec"] == "net.py:make"
    assert document["worst_case"][0]["accuracy"] == 1


REFUSED: list[tuple[tuple[str, ...], str]] = [
    (("net.py:make",), "--dataset"),
    (("net.py:mak", *PICTURES), "mak"),
    (("nte.py:make", *PICTURES), "there is no file 'nte.py'"),
    (("net.py", *PICTURES), "name the factory"),
    (("net.py:make", "--weights", "none.pth", *PICTURES), "no such file"),
    (("net.py:make", "--checkpoint", "net.safetensors", *PICTURES), "name one model"),
    (("net.py:make", "--model-args", "{", *PICTURES), "--model-args"),
    (("net.py:make", "--mean", "a", "--std", "1", *PICTURES), "--mean 'a'"),
    (("net.py:make", "--mean", "0.5", *PICTURES), "--mean goes with --std"),
    (
        ("net.py:make", "--mean", "0.5,0.5", "--std", "1", *PICTURES),
        "the normalisation has 2 values and the images 3 channels: give --mean and --std one value, or one for each",
    ),
    (("net.py:make", "--dataset", "pictures"), "--input-size"),
    (("net.py:make", "--dataset", "pictures", "--input-size", "x"), "--input-size 'x'"),
    (("net.py:make", "--classes", "none.txt", *PICTURES), "none.txt"),
    (("torchvision:resnet19", *PICTURES), "did you mean"),
    (("net.py:make", "--surrogate", "nte.py:make", *PICTURES), "--surrogate: MODEL 'nte.py:make': there is no file"),
]


@pytest.mark.parametrize(
    ("arguments", "words"), REFUSED, ids=lambda value: " ".join(value) if isinstance(value, tuple) else ""
)
def test_what_cannot_be_opened_is_refused_in_one_line(
    arguments: tuple[str, ...], words: str, command: InProcess
) -> None:
    assert words in command.refused("eval", *arguments)


def test_a_missing_file_is_refused_before_torch_is_imported(command: InProcess) -> None:
    code = (
        "import sys; from advtool.cli import app\n"
        "try: app(['eval', 'nowhere.py:make', '--dataset', 'digits'], standalone_mode=False)\n"
        "except Exception as error: print(type(error).__name__, {'torch', 'art'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=command.folder, capture_output=True, text=True, check=True)
    assert done.stdout == "InputError set()\n"


def test_torchscript_and_export_give_the_same_accuracies(command: InProcess) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 4)).eval()
    with torch.no_grad():
        model[2].weight.copy_(torch.eye(4).repeat(1, 3))
        model[2].bias.zero_()
    example = torch.rand(2, 3, 24, 24)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch warns that TorchScript is deprecated
        torch.jit.script(model).save(str(command.folder / "net.pt"))
    batch = {0: torch.export.Dim("batch")}
    torch.export.save(torch.export.export(model, (example,), dynamic_shapes=(batch,)), command.folder / "net.pt2")
    answers = [json.loads(command("eval", name, *PICTURES, *FAST).stdout) for name in ("net.pt", "net.pt2")]
    assert [answer["clean"]["correct"] for answer in answers] == [40, 40]
    assert answers[0]["attacks"][0]["robust"] == answers[1]["attacks"][0]["robust"]
