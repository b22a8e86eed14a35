"""Inputs for the fuzz test: a good file of each kind, and a way to damage it and to look at it by a command."""

import json
import random
import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save

from advtool import checkpoints, documents, models, tensor_files
from advtool.checkpoints import Architecture, Header
from advtool.threat import ThreatModel
from tests.support import mutations
from tests.support.fuzzing import Worker

NET = """
import torch
def make(classes=3, **more):
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, classes))
"""
CONFIG = """# what to ask
[eval]
dataset = "{data}"
attack = ["fgsm", "pgd(steps=2)"]
images = 6
eps = "8/255"
certify = false
seed = 3

[check]
checkpoint = "{net}"
"""
CLASSES = ("cat", "dog", "emu")
RUN_FILES = ("command.json", "manifest.json", "result.json", "inspection.json", "image_ids.json", "images.jsonl")


@dataclass
class Base:
    """Good files that the damaged ones are made from."""

    folder: Path
    ask: Worker

    @property
    def net(self) -> Path:
        return self.folder / "net.safetensors"

    @property
    def data(self) -> Path:
        return self.folder / "data.npz"

    @property
    def flat(self) -> Path:
        """Images that the model of ``weights.pt`` recognises."""
        return self.folder / "flat.npz"

    @property
    def run(self) -> Path:
        return self.folder / "run"

    @property
    def asked(self) -> tuple[str | Path, ...]:
        return ("--checkpoint", self.net, "--dataset", self.data)

    def make(self) -> None:
        """Write the files."""
        torch.manual_seed(0)
        architecture = Architecture(name="cnn", input_shape=(1, 8, 8), classes=3)
        header = Header(
            architecture=architecture,
            dataset="data",
            recipe={"name": "clean", "epochs": 1},
            threat_model=ThreatModel(norm="linf", eps=0.1, clip=(0, 1)),
            seed=0,
            date=checkpoints.now(),
            versions={"torch": "2"},
            metrics={"accuracy": 0.5},
        )
        many = np.random.RandomState(0).randint(0, 256, (600, 8, 8)).astype(np.uint8)
        net = balanced(models.build(architecture), many)
        checkpoints.write(self.net, header, net.state_dict())
        pixels, labels = recognised(net, many)
        np.savez(self.data, x_test=pixels, y_test=labels, class_names=np.array(CLASSES))
        linear = balanced(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3)), many)
        few, of_linear = recognised(linear, many)
        np.savez(self.flat, x_test=few, y_test=of_linear)
        (self.folder / "net.py").write_text(NET)
        weights = linear.state_dict()
        torch.save(weights, self.folder / "weights.pt")
        torch.save({"state_dict": weights, "epoch": 3}, self.folder / "old.pt", _use_new_zipfile_serialization=False)
        (self.folder / "weights.safetensors").write_bytes(save(weights, metadata={"format": "pt"}))
        (self.folder / "options.toml").write_text(CONFIG.format(data=self.data, net=self.net))
        (self.folder / "classes.txt").write_text("\n".join(CLASSES))
        (self.folder / "classes.json").write_text(json.dumps({name: at for at, name in enumerate(CLASSES)}))
        for at, (label, image) in enumerate(zip(labels, pixels, strict=True)):
            suffix = (".png", ".jpg", ".bmp", ".tif")[at % 4]
            place = self.folder / "pictures" / CLASSES[label] / f"{at}{suffix}"
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(place)
        for run in (self.run, self.folder / "other"):
            attacks = ("--attack", "fgsm", "--attack", "pgd(steps=2)", "--no-certify", "--save-adversarial")
            self.good(self.folder, "eval", *self.asked, *attacks, "--format", "json", "--run-dir", run)

    def good(self, folder: Path, *arguments: str | Path) -> str:
        """What a command with good files prints."""
        answer = self.ask(folder, *arguments)
        assert answer["code"] == 0, answer
        return str(answer["out"])


def balanced(net: torch.nn.Sequential, images: NDArray[np.uint8]) -> torch.nn.Sequential:
    """The model, which has all classes among its answers."""
    with torch.no_grad():
        logits = net.eval()(torch.from_numpy(images).unsqueeze(1) / 255)
        net[-1].bias -= logits.median(0).values
    return net


def recognised(net: torch.nn.Module, images: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Four images of each class, and the labels that the model gives them with most certainty."""
    with torch.no_grad():
        logits = net(torch.from_numpy(images).unsqueeze(1) / 255)
    top = [(logits[:, label] - logits.topk(2).values.sum(1) / 2).topk(4).indices for label in range(3)]
    return images[torch.cat(top).numpy()], np.repeat(np.arange(3), 4)


@dataclass
class Input:
    """A damaged file, and the command that looks at it."""

    kind: str
    command: tuple[str | Path, ...]
    expected: Callable[[str], object] | None = None
    """what a command that ends with 0 must have printed; raises if it is something else"""
    files: dict[str, bytes] = field(default_factory=dict)
    """what is put into the folder of the input"""
    copied: dict[str, Path] = field(default_factory=dict)
    """folders that are copied there before"""

    def lay(self, folder: Path) -> None:
        """Put the files into an empty folder."""
        for name, place in self.copied.items():
            shutil.copytree(place, folder / name)
        for name, content in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)


def document(text: str) -> Any:
    """An answer in JSON without times, paths and dates."""
    return _bare(json.loads(text))


def _bare(value: Any) -> Any:
    if isinstance(value, dict):
        left_out = {"seconds", "path", "sha256", "spec", "fingerprint", "run", "created", "resume"}
        return {key: _bare(each) for key, each in value.items() if key not in left_out}
    return [_bare(each) for each in value] if isinstance(value, list) else value


def resealed(data: bytes) -> bytes:
    """A safetensors file with checksums that fit its texts, as a stranger may write it."""
    (length,) = struct.unpack("<Q", data[:8])
    try:
        header = json.loads(data[8 : 8 + length])
        texts = header["__metadata__"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return data
    if isinstance(texts, dict):
        for key in (tensor_files.OF_TEXTS, tensor_files.OF_TENSORS):
            texts.pop(key, None)
    made = json.dumps(header).encode()
    return struct.pack("<Q", len(made)) + made + data[8 + length :]


class Maker:
    """Makes damaged inputs of every kind."""

    def __init__(self, base: Base) -> None:
        self.base = base
        self.kinds: dict[str, Callable[[random.Random], Input]] = {
            "checkpoint": self.checkpoint,
            "document": self.document,
            "sealed document": self.sealed_document,
            "shard": self.shard,
            "checked shard": self.checked_shard,
            "tensors of a run": self.tensors,
            "weights": self.weights,
            "npz": self.npz,
            "config": self.config,
            "classes": self.classes,
            "model-args": self.model_args,
            "image": self.image,
        }
        read = base.good
        self._shown = document(read(base.folder, "show", base.net, "--format", "json"))
        self._answer = document(read(base.folder, "eval", "--resume", base.run, "--format", "json"))
        compared = read(base.folder, "compare", base.run, base.folder / "other", "--format", "json")
        self._compared = document(compared)

    def __call__(self, number: int) -> Input:
        chance = random.Random(number)
        return list(self.kinds.values())[number % len(self.kinds)](chance)

    def checkpoint(self, chance: random.Random) -> Input:
        data = self.base.net.read_bytes()
        strict = chance.random() < 0.5
        changed = mutations.of_bytes(chance, data) if strict else mutations.of_safetensors(chance, data, resealed)
        sealed = strict or b"advtool_sha256" in changed
        asked: tuple[str | Path, ...] = ("show", "m.safetensors", "--format", "json")
        expected = self._shown
        if chance.random() < 0.5:
            asked = ("eval", "m.safetensors", "--dataset", self.base.data, *("--attack", "fgsm", "--no-certify"),
                     "--format", "json")  # fmt: skip
            expected = None
        return Input("checkpoint", asked, self._same(expected) if sealed and expected else json.loads,
                     {"m.safetensors": changed})  # fmt: skip

    def document(self, chance: random.Random) -> Input:
        """A file of a run, without its seal: damage."""
        name = chance.choice(RUN_FILES)
        data = (self.base.run / name).read_bytes()
        changed = mutations.of_bytes(chance, data)
        return self._look(chance, "document", {f"m/{name}": changed}, strict=True)

    def sealed_document(self, chance: random.Random) -> Input:
        """A file of a run with its seal: the work of a stranger."""
        name = chance.choice(RUN_FILES)
        text = (self.base.run / name).read_text()
        if name == "images.jsonl":
            lines = text.splitlines()
            at = chance.randrange(len(lines))
            lines[at] = mutations.dumped(mutations.of_json(chance, json.loads(lines[at])))
            changed = "\n".join(lines)
        else:
            changed = mutations.dumped(mutations.of_json(chance, json.loads(text)))
        content = changed.encode()
        seal = f"m/{documents.SEALS}/{documents._seal(Path(), content).name}"
        return self._look(chance, "sealed document", {f"m/{name}": content, seal: b""}, strict=False)

    def shard(self, chance: random.Random) -> Input:
        path = chance.choice(sorted((self.base.run / "shards").iterdir()))
        changed = mutations.of_bytes(chance, path.read_bytes())
        name = (
            path.name if chance.random() < 0.9 else chance.choice(sorted(each.name for each in path.parent.iterdir()))
        )
        return self._look(chance, "shard", {f"m/shards/{name}": changed}, strict=True)

    def checked_shard(self, chance: random.Random) -> Input:
        path = chance.choice(sorted((self.base.run / "shards").iterdir()))
        record = mutations.of_json(chance, json.loads(path.read_bytes())["record"])
        content = mutations.dumped(mutations.checked(record)).encode()
        return self._look(chance, "checked shard", {f"m/shards/{path.name}": content}, strict=False)

    def tensors(self, chance: random.Random) -> Input:
        paths = [self.base.run / "model.safetensors", *sorted(self.base.run.glob("[as]*/*.safetensors"))]
        path = chance.choice(paths)
        data, strict = path.read_bytes(), chance.random() < 0.5
        changed = mutations.of_bytes(chance, data) if strict else mutations.of_safetensors(chance, data, resealed)
        name = path.relative_to(self.base.run)
        return self._look(chance, "tensors of a run", {f"m/{name}": changed}, strict=False)

    def weights(self, chance: random.Random) -> Input:
        name = chance.choice(("weights.pt", "old.pt", "weights.safetensors"))
        data = (self.base.folder / name).read_bytes()
        if name == "weights.pt" and chance.random() < 0.7:
            changed = mutations.of_archive(chance, data)
        elif name == "weights.safetensors" and chance.random() < 0.5:
            changed = mutations.of_safetensors(chance, data, resealed)
        else:
            changed = mutations.of_bytes(chance, data)
        asked = ("check", f"{self.base.folder / 'net.py'}:make", "--weights", name, "--dataset", self.base.flat)
        return Input("weights", (*asked, "--format", "json"), json.loads, {name: changed})

    def npz(self, chance: random.Random) -> Input:
        data = self.base.data.read_bytes()
        changed = mutations.of_archive(chance, data) if chance.random() < 0.7 else mutations.of_bytes(chance, data)
        asked = ("check", "--checkpoint", self.base.net, "--dataset", "m.npz", "--format", "json")
        return Input("npz", asked, json.loads, {"m.npz": changed})

    def config(self, chance: random.Random) -> Input:
        changed = mutations.of_bytes(chance, (self.base.folder / "options.toml").read_bytes())
        return Input("config", ("check", "--config", "m.toml"), None, {"m.toml": changed})

    def classes(self, chance: random.Random) -> Input:
        name = chance.choice(("classes.txt", "classes.json"))
        data = (self.base.folder / name).read_bytes()
        if name == "classes.json" and chance.random() < 0.5:
            changed = mutations.dumped(mutations.of_json(chance, json.loads(data))).encode()
        else:
            changed = mutations.of_bytes(chance, data)
        return Input("classes", ("check", *self.base.asked, "--classes", name), None, {name: changed})

    def model_args(self, chance: random.Random) -> Input:
        text = '{"classes": 3, "depth": [1, 2], "name": "x"}'
        if chance.random() < 0.5:
            text = mutations.dumped(mutations.of_json(chance, json.loads(text)))
        else:
            text = mutations.of_bytes(chance, text.encode()).decode(errors="surrogateescape")
        asked = ("check", f"{self.base.folder / 'net.py'}:make", "--model-args", text.replace("\0", ""))
        return Input("model-args", (*asked, "--dataset", self.base.flat))

    def image(self, chance: random.Random) -> Input:
        path = chance.choice(sorted((self.base.folder / "pictures").glob("*/*")))
        changed = mutations.of_bytes(chance, path.read_bytes())
        files = {str(path.relative_to(self.base.folder)): changed}
        asked = ("check", "--checkpoint", self.base.net, "--dataset", "pictures", "--format", "json")
        sized = ("--input-size", "8") if chance.random() < 0.5 else ()
        return Input("image", (*asked, *sized), json.loads, files, {"pictures": self.base.folder / "pictures"})

    def _look(self, chance: random.Random, kind: str, files: dict[str, bytes], *, strict: bool) -> Input:
        """One of the commands that read a run."""
        copied = {"m": self.base.run}
        what = chance.randrange(4)
        if what == 0:
            return Input(kind, ("eval", "--resume", "m", "--format", "json"),
                         self._same(self._answer) if strict else json.loads, files, copied)  # fmt: skip
        if what == 1:
            return Input(kind, ("compare", "m", self.base.folder / "other", "--format", "json"),
                         self._same(self._compared) if strict else json.loads, files, copied)  # fmt: skip
        if what == 2:
            return Input(kind, ("runs", ".", "--format", "json"), json.loads, files, copied)
        return Input(kind, ("report", "m", "--output", "page.html"), None, files, copied)

    @staticmethod
    def _same(expected: Any) -> Callable[[str], object]:
        def check(text: str) -> None:
            found = document(text)
            assert found == expected, f"another answer: {found} and not {expected}"

        return check
