"""The images of MNIST that lie beside the tests are images of MNIST, and the ones that ``--images`` takes first."""

import json
from pathlib import Path

import pytest

from advtool.data import Split, first_images, load
from tests.conftest import Command

FOLDER = Path(__file__).parents[1]


@pytest.mark.parametrize("count", [1, 100, 490])
def test_the_first_of_them_are_the_first_of_the_whole_set(count: int, mnist: Split, data_dir: Path) -> None:
    whole = first_images(load("mnist", "test", data_dir), count)
    few = first_images(mnist, count)
    assert few.images.equal(whole.images)
    assert few.labels.equal(whole.labels)


def test_no_more_than_500_are_kept_and_the_command_reads_them(mnist: Split, advtool_command: Command) -> None:
    training = load("mnist", "train", FOLDER / "data_mnist")
    assert (len(mnist), len(training)) == (490, 10)
    assert int(mnist.labels.bincount(minlength=10).min()) >= 38
    asked = ("--dataset", "mnist", "--data-dir", FOLDER / "data_mnist", "--attack", "fgsm", "--format", "json")
    done = advtool_command("eval", "--checkpoint", FOLDER / "checkpoints" / "mnist-cnn-pgd.safetensors", *asked)
    document = json.loads(done.stdout)
    assert document["dataset"] == {"name": "mnist", "split": "test", "images": 490}
    assert document["clean"]["accuracy"] > 0.9
