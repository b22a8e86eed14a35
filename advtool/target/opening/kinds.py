"""Tell the kinds of MODEL apart by the way they are written. This module imports neither torch nor pydantic."""

import importlib.machinery
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from advtool.errors import InputError, did_you_mean

DEFAULT = "DEFAULT"
"""``--weights DEFAULT`` asks for the library's own weights. A file of this name is written ``./DEFAULT``."""


@dataclass(frozen=True)
class Kind:
    """A kind of MODEL: how it is written, and which options it takes."""

    module: str
    """the module of this package that opens the kind by ``make(reference, spec)``"""
    what: str
    """the kind in words, for messages"""
    written: str
    """how it is written"""
    prefix: str = ""
    """the kind is written ``prefix:NAME``; "": it has no prefix"""
    suffixes: tuple[str, ...] = ()
    """the kind is a file with one of these suffixes"""
    weights: Literal["inside", "file", "file or default"] = "inside"
    """what ``--weights`` may be; "inside": the model has its weights already"""
    takes_arguments: bool = False
    """whether the kind takes ``--model-args``"""
    is_code: bool = False
    """whether opening it runs code of whoever wrote it"""
    extra: str | None = None
    """the extra of advtool that installs what the kind needs; None: it needs nothing more"""
    packages: tuple[str, ...] = ()
    """the packages of the extra, by which it is imported and installed"""


CHECKPOINT = Kind("own_checkpoints", "a checkpoint", "FILE.safetensors", suffixes=(".safetensors",))
FACTORY = Kind(
    "python_factories", "a factory", "FILE.py:NAME, MODULE:NAME", weights="file", takes_arguments=True, is_code=True
)
"""MODULE:FACTORY or FILE.py:FACTORY: what has none of the prefixes and suffixes."""

# A new kind is a file with `make`, and a line here.
KINDS = (
    CHECKPOINT,
    FACTORY,
    Kind(
        "torchvision_models",
        "a torchvision model",
        "torchvision:NAME",
        "torchvision",
        weights="file or default",
        takes_arguments=True,
    ),
    Kind(
        "timm_models",
        "a timm model",
        "timm:NAME",
        "timm",
        weights="file or default",
        takes_arguments=True,
        extra="timm",
        packages=("timm",),
    ),
    Kind("hf_folders", "a transformers folder", "hf:FOLDER", "hf", extra="hf", packages=("transformers",)),
    Kind(
        "torchscript_files",
        "a TorchScript file",
        "FILE.pt",
        suffixes=(".pt", ".pth", ".jit", ".ts", ".torchscript"),
        is_code=True,
    ),
    Kind("exported_programs", "a torch.export file", "FILE.pt2", suffixes=(".pt2",), is_code=True),
    Kind(
        "onnx_files",
        "an ONNX file",
        "FILE.onnx",
        suffixes=(".onnx",),
        extra="onnx",
        packages=("onnx", "onnx2pytorch"),
    ),
)
PREFIXES = tuple(kind.prefix for kind in KINDS if kind.prefix)


@dataclass(frozen=True)
class Reference:
    """A MODEL, its kind, and its parts."""

    kind: Kind
    text: str
    """MODEL as the user wrote it"""
    name: str
    """the file, the folder, the module, or the library's name of the model"""
    attribute: str = ""
    """the name of the factory in its module; "" for other kinds"""
    option: str = "MODEL"
    """what named it on the command line"""


def refer(model: str) -> Reference:
    """Tell which kind ``model`` is.

    Args:
        model: MODEL as the user wrote it.

    Raises:
        InputError: ``model`` is of no kind; the message says how it might be written.
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


def check_exists(reference: Reference, weights: str | None = None) -> None:
    """Refuse files, folders and modules that do not exist, and weights that the kind does not take.

    Args:
        reference: what :func:`refer` or :func:`checkpoint` gave.
        weights: ``--weights``: a file, ``DEFAULT`` or None.

    Raises:
        InputError: one line that says what is wrong and what would be right.
    """
    _check_place(reference)
    if weights is not None:
        _check_weights(reference, weights)


def checkpoint(path: str) -> Reference:
    """The reference to a checkpoint of advtool, which may have any file name."""
    return Reference(CHECKPOINT, path, path, option="--checkpoint")


def is_python_file(name: str) -> bool:
    """Whether a module is given by its file, ``FILE.py``."""
    return name.endswith(".py")


def is_code(name: str) -> bool:
    """Whether it may be the user's code: ``FILE.py`` or ``package.module``."""
    return is_python_file(name) or all(part.isidentifier() for part in name.split("."))


def _factory(model: str, name: str, attribute: str) -> Reference:
    called = re.fullmatch(r"([\w.]+)\(.*\)", attribute)
    if called:
        raise InputError(f"MODEL '{model}': write '{name}:{called[1]}' without brackets; --model-args gives arguments")
    if not attribute:
        raise InputError(f"MODEL '{model}' ends with a colon: name the factory, '{name}:NAME'")
    if not all(part.isidentifier() for part in attribute.split(".")):
        raise InputError(f"MODEL '{model}': '{attribute}' cannot be a name in Python: write 'FILE.py:NAME'")
    if not is_code(name):
        raise InputError(f"MODEL '{model}': '{name}' is neither FILE.py nor the name of a module")
    return Reference(FACTORY, model, name, attribute)


def _what_it_might_be(model: str) -> str:
    """The end of the message that refuses a MODEL of no kind."""
    path = Path(model)
    if not model.strip():
        return "is empty: name a file, 'FILE.py:NAME' or 'torchvision:NAME'"
    if is_python_file(model):
        return f"is Python code: name the factory, '{model}:NAME'"
    if path.is_dir():
        return f"is a folder: a folder that transformers saved is 'hf:{model}'"
    if path.is_file():
        return (
            "is a file that advtool cannot open "
            f"(it opens {', '.join(suffix for kind in KINDS for suffix in kind.suffixes)}): "
            f"if it holds weights, name the model's factory and give it with --weights '{model}'"
        )
    if re.fullmatch(r"\w+(-\w+)*", model):
        return f"is not a file: did you mean 'torchvision:{model}'?"
    if all(part.isidentifier() for part in model.split(".")):
        module, _, name = model.rpartition(".")
        return f"is not a file; a factory is written with a colon: '{module}:{name}'"
    return "does not exist: name a file, 'FILE.py:NAME', 'MODULE:NAME' or 'torchvision:NAME'"


def _check_place(reference: Reference) -> None:
    """Refuse a file, folder or module that does not exist."""
    name, path, label = reference.name, Path(reference.name), f"{reference.option} '{reference.text}'"
    if reference.kind.prefix == "hf" and not path.is_dir():
        raise InputError(
            f"{label}: there is no folder '{name}'; advtool downloads nothing from the hub: "
            "name the folder of a model that was saved with save_pretrained"
        )
    if reference.kind.suffixes or (reference.kind is FACTORY and is_python_file(name)):
        if path.is_dir():
            raise InputError(f"{label}: '{name}' is a folder, not {reference.kind.what}")
        if path.exists() and not path.is_file():
            raise InputError(f"{label}: '{name}' is no regular file: save the model to one")
        if not path.is_file():
            raise InputError(f"{label}: there is no file '{name}'{_neighbour(path)}")
    elif reference.kind is FACTORY:
        _check_module(reference)


def _check_module(reference: Reference) -> None:
    """Refuse a module if the first part of its name cannot be found. Nothing is imported."""
    first = reference.name.partition(".")[0]
    known = first in sys.modules or first in sys.builtin_module_names
    if known or importlib.machinery.PathFinder.find_spec(first, [str(Path.cwd()), *sys.path]):
        return
    near = did_you_mean(first, [*PREFIXES, *(path.stem for path in Path().glob("*.py"))])
    raise InputError(f"MODEL '{reference.text}': there is no module '{first}'{near}")


def _check_weights(reference: Reference, weights: str) -> None:
    """Refuse weights that the kind does not take, and a file of weights that does not exist."""
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
    if path.exists() and not path.is_file():
        raise InputError(f"--weights '{weights}' is no regular file: save the weights to one")
    if not path.is_file():
        hint = f" (did you mean {DEFAULT}?)" if weights.upper() == DEFAULT else _neighbour(path)
        raise InputError(f"--weights '{weights}': no such file{hint}")


def _is_drive(name: str, rest: str) -> bool:
    r"""Whether the colon belongs to a Windows drive: ``C:\model`` is a path, not a factory in the module C."""
    return len(name) == 1 and rest.startswith(("\\", "/"))


def _neighbour(path: Path) -> str:
    """Words for a file in the same folder with nearly the same name; "" if there is none."""
    try:
        return did_you_mean(path.name, [neighbour.name for neighbour in path.parent.iterdir()])
    except OSError:
        return ""
