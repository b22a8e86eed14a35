"""The kinds of MODEL by the way they are written. This module imports neither torch nor pydantic."""

import importlib.machinery
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from advtool.errors import InputError, near_match

DEFAULT = "DEFAULT"
"""what ``--weights`` says for the library's own weights; a file of that name is ``./DEFAULT``"""


@dataclass(frozen=True)
class Kind:
    """A kind of MODEL: how it is written, and what may be said beside it."""

    module: str
    """of this package; its ``make(reference, spec)`` opens the kind"""
    what: str
    """in words, for messages"""
    prefix: str = ""
    """it is written ``prefix:NAME``"""
    suffixes: tuple[str, ...] = ()
    """or it is a file that ends so"""
    weights: Literal["inside", "file", "file or default"] = "inside"
    """what ``--weights`` may be"""
    takes_arguments: bool = False
    """whether ``--model-args`` means something"""


# A new kind is a file with `make`, and a line here. What has no prefix and no suffix is MODULE:FACTORY.
KINDS = (
    Kind("torchvision_models", "a torchvision model", "torchvision", (), "file or default", True),
    Kind("timm_models", "a timm model", "timm", (), "file or default", True),
    Kind("hf_folders", "a transformers folder", "hf"),
    Kind("own_checkpoints", "a checkpoint", suffixes=(".safetensors",)),
    Kind("torchscript_files", "a TorchScript file", suffixes=(".pt", ".pth", ".jit", ".ts", ".torchscript")),
    Kind("exported_programs", "a torch.export file", suffixes=(".pt2",)),
    Kind("onnx_files", "an ONNX file", suffixes=(".onnx",)),
    Kind("python_factories", "a factory", "", (), "file", True),
)
FACTORY = KINDS[-1]
OWN = next(kind for kind in KINDS if kind.module == "own_checkpoints")
PREFIXES = tuple(kind.prefix for kind in KINDS if kind.prefix)


@dataclass(frozen=True)
class Reference:
    """A MODEL taken apart."""

    kind: Kind
    text: str
    """as the user wrote it"""
    name: str
    """the file, the folder, the module or the library's name"""
    attribute: str = ""
    """of a factory"""


def refer(model: str) -> Reference:
    """Which kind ``model`` is.

    Raises:
        InputError: it is none; the line says how it would be written.
    """
    if "://" in model:
        raise InputError(f"MODEL '{model}' is an address: download the file first")
    head, colon, rest = model.partition(":")
    for kind in KINDS:
        if colon and kind.prefix == head:
            if not rest:
                raise InputError(f"MODEL '{model}' names no model: write '{head}:NAME'")
            return Reference(kind, model, rest)
    for kind in KINDS:
        if model.lower().endswith(kind.suffixes or "\0"):
            return Reference(kind, model, model)
    name, colon, attribute = model.rpartition(":")
    if colon and name and not _is_drive(name, attribute):
        return _factory(model, name, attribute)
    raise InputError(f"MODEL '{model}' {_what_it_might_be(model)}")


def check_exists(model: str, weights: str | None = None) -> None:
    """Refuse early what cannot be opened: a MODEL of no kind, or a file that is not there.

    Args:
        model: MODEL as the user wrote it.
        weights: ``--weights``: a file, ``DEFAULT`` or None.

    Raises:
        InputError: one line that says what would be right.
    """
    check_there(refer(model), weights)


def check_there(reference: Reference, weights: str | None = None) -> None:
    """Refuse a file, folder or module that is not there.

    Raises:
        InputError: one line that says what would be right.
    """
    _check_place(reference)
    if weights is not None:
        _check_weights(reference, weights)


def checkpoint(path: str) -> Reference:
    """A checkpoint of ours, whatever its file is called."""
    return Reference(OWN, path, path)


def is_python_file(name: str) -> bool:
    """Whether the module of a factory is named by its file."""
    return name.endswith(".py")


def _factory(model: str, name: str, attribute: str) -> Reference:
    called = re.fullmatch(r"([\w.]+)\(.*\)", attribute)
    if called:
        raise InputError(f"MODEL '{model}': write '{name}:{called[1]}' without brackets; --model-args gives arguments")
    if not attribute:
        raise InputError(f"MODEL '{model}' ends with a colon: name the factory, '{name}:NAME'")
    if not all(part.isidentifier() for part in attribute.split(".")):
        raise InputError(f"MODEL '{model}': '{attribute}' cannot be a name in Python: write 'FILE.py:NAME'")
    if not is_python_file(name) and not all(part.isidentifier() for part in name.split(".")):
        raise InputError(f"MODEL '{model}': '{name}' is neither FILE.py nor the name of a module")
    return Reference(FACTORY, model, name, attribute)


def _what_it_might_be(model: str) -> str:
    """The end of the sentence that refuses a MODEL of no kind."""
    path = Path(model)
    if not model.strip():
        return "is empty: name a file, 'FILE.py:NAME' or 'torchvision:NAME'"
    if is_python_file(model):
        return f"is Python code: name the factory, '{model}:NAME'"
    if path.is_dir():
        return f"is a folder: a folder that transformers saved is 'hf:{model}'"
    if path.is_file():
        return (
            "is a file of a kind that advtool does not open "
            f"(it opens {', '.join(suffix for kind in KINDS for suffix in kind.suffixes)}): "
            f"if it holds weights, name the model's factory and give it with --weights '{model}'"
        )
    if re.fullmatch(r"\w+(-\w+)*", model):
        return f"is no file and has no kind: did you mean 'torchvision:{model}'?"
    if all(part.isidentifier() for part in model.split(".")):
        module, _, name = model.rpartition(".")
        return f"is no file; a factory is written with a colon: '{module}:{name}'"
    return "does not exist, and it is of no kind: name a file, 'FILE.py:NAME', 'MODULE:NAME' or 'torchvision:NAME'"


def _check_place(reference: Reference) -> None:
    """See that the file, folder or module is there."""
    name, path = reference.name, Path(reference.name)
    if reference.kind.prefix == "hf" and not path.is_dir():
        raise InputError(
            f"MODEL '{reference.text}': there is no folder '{name}'; advtool downloads nothing from the hub: "
            "name the folder of a model that was saved with save_pretrained"
        )
    if reference.kind.suffixes or (reference.kind is FACTORY and is_python_file(name)):
        if path.is_dir():
            raise InputError(f"MODEL '{reference.text}': '{name}' is a folder, not {reference.kind.what}")
        if not path.is_file():
            raise InputError(f"MODEL '{reference.text}': there is no file '{name}'{_neighbour(path)}")
    elif reference.kind is FACTORY:
        _check_module(reference)


def _check_module(reference: Reference) -> None:
    """See that the first part of ``package.module`` can be imported, without importing anything."""
    first = reference.name.partition(".")[0]
    known = first in sys.modules or first in sys.builtin_module_names
    if known or importlib.machinery.PathFinder.find_spec(first, [str(Path.cwd()), *sys.path]):
        return
    near = _nearest(first, [*PREFIXES, *(path.stem for path in Path().glob("*.py"))])
    raise InputError(f"MODEL '{reference.text}': there is no module '{first}'{near}")


def _check_weights(reference: Reference, weights: str) -> None:
    allowed, what = reference.kind.weights, reference.kind.what
    if allowed == "inside":
        raise InputError(f"--weights '{weights}': '{reference.text}' is {what} and holds its weights already")
    if weights == DEFAULT:
        if allowed != "file or default":
            raise InputError(f"--weights {DEFAULT} is for torchvision: and timm: models; '{reference.text}' is {what}")
        return
    path = Path(weights)
    if path.is_dir():
        raise InputError(f"--weights '{weights}' is a folder: name a file in it")
    if not path.is_file():
        hint = f" (did you mean {DEFAULT}?)" if weights.upper() == DEFAULT else _neighbour(path)
        raise InputError(f"--weights '{weights}': no such file{hint}")


def _is_drive(name: str, rest: str) -> bool:
    r"""``C:\model`` is a path, and no factory of the module C."""
    return len(name) == 1 and rest.startswith(("\\", "/"))


def _neighbour(path: Path) -> str:
    """A file in the same folder with nearly the same name."""
    try:
        return _nearest(path.name, [neighbour.name for neighbour in path.parent.iterdir()])
    except OSError:
        return ""


def _nearest(name: str, known: list[str]) -> str:
    """The nearest match, and not the whole list where there is none."""
    near = near_match(name, known)
    return near if near.startswith(" (did you mean") else ""
