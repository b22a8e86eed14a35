"""``--classes FILE``: which output stands for which class, and a split labelled by it."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from advtool.data import Split, load, read_classes
from advtool.errors import InputError


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_classes(path)
    assert "\n" not in str(caught.value)
    assert f"'{path}'" in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        "dog\ncat\nice cream\n",
        "dog\r\ncat\r\nice cream",
        "\ufeffdog\ncat  \n  ice cream\n\n \n",
        '{"dog": 0, "ice cream": 2, "cat": 1}',
        ' \n{"cat": 1, "dog": 0, "ice cream": 2}\n',
    ],
)
def test_text_and_json_say_the_same(tmp_path: Path, content: str) -> None:
    assert read_classes(written(tmp_path / "names.txt", content)) == {"dog": 0, "cat": 1, "ice cream": 2}


def test_a_number_sign_is_part_of_a_name(tmp_path: Path) -> None:
    assert read_classes(written(tmp_path / "names", "#1\nc#\n")) == {"#1": 0, "c#": 1}


def test_json_may_leave_outputs_out(tmp_path: Path) -> None:
    assert read_classes(written(tmp_path / "a.json", '{"cat": 281, "dog": 7}')) == {"cat": 281, "dog": 7}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "", "names no class"),
        ("a.txt", "\n \n", "names no class"),
        ("a.txt", "dog\n\ncat\n", "line 2 of .* is blank: every output needs a name"),
        ("a.txt", "dog\ncat\ndog\n", "names 'dog' twice, in lines 1 and 3"),
        ("a.txt", b"caf\xe9\n", "it is no UTF-8 text"),
        ("a.json", "dog\ncat\n", "is no JSON"),
        ("a.json", "{}", "names no class"),
        ("a.json", '["dog", "cat"]', "holds no JSON object"),
        ("a.json", "3", "holds no JSON object"),
        ("a.json", "[" * 100_000, "is no JSON"),
        ("a.json", '{"dog": 0, "dog": 1}', "names 'dog' twice"),
        ("a.json", '{"dog": 0, "cat": 0}', "gives output 0 to 'dog' and to 'cat'"),
        ("a.json", '{"dog": -1}', "gives 'dog' the output -1: it must be an integer from 0"),
        ("a.json", '{"dog": 1.0}', r"the output 1\.0"),
        ("a.json", '{"dog": "1"}', 'the output "1"'),
        ("a.json", '{"dog": true}', "the output true"),
        ("a.json", '{"dog": null}', "the output null"),
        ("a.json", '{"0": ["n01440764", "tench"]}', "gives '0' the output"),
        ("a.json", f'{{"dog": {10**30}}}', "an integer beyond 64 bits"),
        ("a.json", '{"dog": 70000}', "it must be an integer from 0 to 65535"),
        ("a.json", '{"dog": NaN}', "is no JSON .it holds NaN or infinity"),
    ],
)
def test_what_is_wrong_with_a_file_of_classes_is_said(
    tmp_path: Path, name: str, content: str | bytes, message: str
) -> None:
    assert re.search(message, refusal(written(tmp_path / name, content)))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert "No such file or directory" in refusal(tmp_path / "absent.txt")
    assert "Is a directory" in refusal(tmp_path)


def split_of(*classes: str) -> Split:
    labels = torch.arange(2 * len(classes)) % len(classes)
    return Split("pets", classes, torch.zeros((len(labels), 1, 2, 2), dtype=torch.uint8), labels)


def test_labels_become_outputs() -> None:
    pets = split_of("cat", "cow", "dog")
    ours = pets.relabelled({"dog": 0, "cat": 4, "cow": 2, "emu": 6})
    assert ours.labels.tolist() == [4, 2, 0, 4, 2, 0]
    assert ours.classes == ("dog", "1", "cow", "3", "cat", "5", "emu")
    assert [ours.classes[label] for label in ours.labels] == [pets.classes[label] for label in pets.labels]
    assert ours.images is pets.images
    assert pets.labels.tolist() == [0, 1, 2, 0, 1, 2]


def test_a_class_that_no_output_stands_for_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(InputError) as caught:
        split_of("cat", "doge").relabelled({"dog": 0, "cat": 1})
    assert str(caught.value) == "'pets' has the class 'doge', which --classes does not name (did you mean 'dog'?)"


def test_imagenets_layout_with_a_list_of_wnids(tmp_path: Path) -> None:
    wnids = [f"n{1_440_764 + 37 * index:08}" for index in range(1000)]
    chosen = [3, 270, 999]
    for index in chosen:
        folder = tmp_path / "imagenet" / "val" / wnids[index]
        folder.mkdir(parents=True)
        for number in range(2):
            pixels = np.full((30 + index % 7, 40, 3), index % 251, np.uint8)
            Image.fromarray(pixels).save(folder / f"ILSVRC2012_val_{number:08}.JPEG", quality=95)
    val = load(tmp_path / "imagenet", "test", input_size=(24, 24))
    text = written(tmp_path / "wnids.txt", "\n".join(wnids) + "\n")
    mapping = written(tmp_path / "wnids.json", json.dumps({wnid: index for index, wnid in enumerate(wnids)}))
    for file in (text, mapping):
        split = val.relabelled(read_classes(file))
        assert split.labels.tolist() == [index for index in chosen for _ in range(2)]
        assert split.classes == tuple(wnids)
        assert [int(image.float().mean().round()) for image in split.images] == [3, 3, 19, 19, 246, 246]


def test_a_file_that_no_result_could_name_is_refused(tmp_path: Path) -> None:
    assert "is no UTF-8" in refusal(tmp_path / "m\udcfcll.txt")
