"""``package.module:factory`` and ``FILE.py:factory``: make a model by the user's own code."""

import importlib
import importlib.util
import inspect
import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from torch import nn

from advtool.errors import InputError, near_match
from advtool.target.opening.kinds import Reference, is_python_file
from advtool.target.opening.spec import Made, ModelSpec
from advtool.target.opening.user_code import is_users_own, one_line

FILE_MODULE = "advtool_user_"
"""Begins the names in ``sys.modules`` of modules that the user names by file."""

_imported_before: set[str] = set()
"""The user's modules that earlier openings have imported. The next opening imports them again."""


def make(reference: Reference, spec: ModelSpec) -> Made:
    """Import the module and call its factory with ``spec.model_args``. The factory may be a model itself.

    Raises:
        InputError: the import fails, or the factory does not exist, takes other arguments, fails, or does not return
            a module.
    """
    with _importable(reference.name) as imported:
        module = _module(reference)
        with one_line(f"looking up '{reference.text}' failed"):
            factory = _attribute(module, reference)
        model = factory if isinstance(factory, nn.Module) else _call(factory, reference, dict(spec.model_args))
    if isinstance(factory, nn.Module) and spec.model_args:
        raise InputError(f"--model-args: '{reference.text}' is a model already and takes no arguments")
    if not isinstance(model, nn.Module):
        what = "None" if model is None else f"an object of type {type(model).__name__}"
        raise InputError(f"'{reference.text}' gives {what}: write a factory that returns a torch.nn.Module")
    return Made(model, sources=_digest({module.__name__, *imported}, module.__name__))


class _SourceOnly(SourceFileLoader):
    """Compiles the file each time, because a cached compilation can be of an earlier edit."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code


@contextmanager
def _importable(name: str) -> Iterator[set[str]]:
    """Make modules in the file's folder, or in the working folder, importable, and import them anew.

    Yields:
        A set that holds the names of the user's modules after they were imported.
    """
    folder = str(Path(name).resolve().parent if is_python_file(name) else Path.cwd())
    # Another folder may have a module of the same name, or the user has edited the file.
    old = {known: sys.modules.pop(known) for known in _imported_before & set(sys.modules)}
    before, imported = set(sys.modules), set[str]()
    writes_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    importlib.invalidate_caches()
    sys.path.insert(0, folder)
    try:
        yield imported
    finally:
        sys.dont_write_bytecode = writes_bytecode
        if folder in sys.path:
            sys.path.remove(folder)
        if folder not in sys.path:
            sys.path.append(folder)  # a model may import modules when it is called
        imported |= {new for new in set(sys.modules) - before if _file(new)}
        _imported_before.update(new for new in imported if not new.startswith(FILE_MODULE))
        for known, module in old.items():
            sys.modules.setdefault(known, module)  # models that were opened before still need their modules


def _module(reference: Reference) -> ModuleType:
    with one_line(f"importing '{reference.name}' failed", _import_hint):
        if not is_python_file(reference.name):
            return importlib.import_module(reference.name)
        path = Path(reference.name).resolve()
        name = _free_name(path)
        loader = _SourceOnly(name, str(path))
        specification = importlib.util.spec_from_file_location(name, path, loader=loader)
        assert specification is not None
        module = importlib.util.module_from_spec(specification)
        sys.modules[name] = module  # dataclasses and pickle look up classes in sys.modules
        try:
            loader.exec_module(module)
        except BaseException:
            sys.modules.pop(name, None)
            raise
        return module


def _free_name(path: Path) -> str:
    """A new module name for the file. A module that was imported from it before keeps its own name."""
    name = f"{FILE_MODULE}{re.sub(r'[^0-9a-zA-Z_]', '_', path.stem)}_{sha256(str(path).encode()).hexdigest()[:8]}"
    while name in sys.modules:
        name += "_"
    return name


def _import_hint(error: BaseException) -> str:
    if isinstance(error, ImportError) and "relative import" in str(error):
        return "; a file of a package is named 'package.module:factory'"
    if isinstance(error, ModuleNotFoundError):
        return "; install it, or run advtool in the folder that holds it"
    return ""


def _attribute(module: ModuleType, reference: Reference) -> Any:
    found: Any = module
    for name in reference.attribute.split("."):
        if not hasattr(found, name):
            known = [known for known in dir(found) if not known.startswith("_") and callable(getattr(found, known))]
            raise InputError(f"'{reference.name}' has no '{reference.attribute}'{near_match(name, known)}")
        found = getattr(found, name)
    if not callable(found):
        raise InputError(f"'{reference.text}' is {type(found).__name__}, neither a factory nor a model")
    return found


def _call(factory: Any, reference: Reference, arguments: dict[str, Any]) -> Any:
    _check_arguments(factory, reference, arguments)
    with one_line(f"calling '{reference.text}' failed"):
        return factory(**arguments)


def _check_arguments(factory: Any, reference: Reference, arguments: dict[str, Any]) -> None:
    try:
        parameters = inspect.signature(factory).parameters
    except (TypeError, ValueError):  # functions written in C have no signature
        return
    free = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    for name in arguments:
        if name not in parameters and not free:
            known = ", ".join(parameters) or "none"
            raise InputError(f"--model-args: '{reference.text}' takes no argument '{name}' (it takes: {known})")
    needed = [
        parameter.name
        for parameter in parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind not in {parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL}
        and parameter.name not in arguments
    ]
    if needed == ["self"]:
        raise InputError(f"'{reference.text}' is a method: name a function, a class or a class method")
    if needed:
        example = json.dumps(dict.fromkeys(needed, "..."))
        raise InputError(f"'{reference.text}' needs arguments: give --model-args '{example}'")


def _file(name: str) -> str:
    """The file of a module of the user's own; "" for other modules."""
    file = getattr(sys.modules.get(name), "__file__", None)
    return file if isinstance(file, str) and is_users_own(file) else ""


def _digest(names: set[str], main: str) -> str:
    """SHA-256 over the sources of the user's own modules among ``names``. Their folders make no difference."""
    contents = {
        "" if name == main else name: sha256(Path(file).read_bytes()).hexdigest()
        for name in names
        if (file := _file(name))
    }
    return sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest() if contents else ""
