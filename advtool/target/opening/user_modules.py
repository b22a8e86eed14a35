"""Import the user's own code: ``package.module``, also of the working folder, or ``FILE.py``, with its neighbours."""

import importlib
import importlib.util
import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

from advtool.target.opening.kinds import is_python_file
from advtool.target.opening.user_code import is_users_own, one_line

FILE_MODULE = "advtool_user_"
"""Begins the names in ``sys.modules`` of modules that the user names by file."""

_imported_before: set[str] = set()
"""The user's modules that were imported earlier. They are imported again the next time."""


class _SourceOnly(SourceFileLoader):
    """Compiles the file each time, because a cached compilation can be of an earlier edit."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code


@contextmanager
def importable(name: str) -> Iterator[set[str]]:
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


def module_of(name: str) -> ModuleType:
    """Import ``name``, inside :func:`importable`.

    Raises:
        InputError: the import fails.
    """
    with one_line(f"importing '{name}' failed", _import_hint):
        return _of_file(Path(name).resolve()) if is_python_file(name) else importlib.import_module(name)


def digest(names: set[str], main: str) -> str:
    """SHA-256 over the sources of the user's own modules among ``names``. Their folders make no difference."""
    contents = {
        "" if name == main else name: sha256(Path(file).read_bytes()).hexdigest()
        for name in names
        if (file := _file(name))
    }
    return sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest() if contents else ""


def _of_file(path: Path) -> ModuleType:
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
        return "; a file of a package is named 'package.module:NAME'"
    if isinstance(error, ModuleNotFoundError):
        return "; install it, or run advtool in the folder that holds it"
    return ""


def _file(name: str) -> str:
    """The file of a module of the user's own; "" for other modules."""
    file = getattr(sys.modules.get(name), "__file__", None)
    return file if isinstance(file, str) and is_users_own(file) else ""
