"""No module imports itself by way of others: then which of them is imported first would decide whether it works."""

import ast
from collections.abc import Iterable, Iterator, Set
from pathlib import Path

import pytest

import advtool

ROOT = Path(advtool.__file__).parent


def run_on_import(statements: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """What the import of a module runs: not the bodies of functions, nor what is for type checkers alone."""
    for statement in statements:
        yield statement
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        parts = ["body", "orelse", "handlers", "finalbody", "cases"]
        if isinstance(statement, ast.If) and ast.unparse(statement.test).endswith("TYPE_CHECKING"):
            parts.remove("body")
        for part in parts:
            yield from run_on_import(getattr(statement, part, []))


def imported(name: str, path: Path, modules: Set[str]) -> Iterator[str]:
    """What a module imports of ``modules``. An import runs the packages above it too, unless they have begun."""
    begun = {name, *packages_of(name)}
    for statement in run_on_import(ast.parse(path.read_text()).body):
        found: list[str] = []
        if isinstance(statement, ast.Import):
            found = [alias.name for alias in statement.names]
        elif isinstance(statement, ast.ImportFrom):
            assert not statement.level, f"{name} has a relative import, which this test does not read"
            whole = [f"{statement.module}.{alias.name}" for alias in statement.names]
            found = [each if each in modules else str(statement.module) for each in whole]
        for each in found:
            yield from {each, *(set(packages_of(each)) - begun)} & modules


def packages_of(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts))]


def cycles(root: Path) -> list[set[str]]:
    """The sets of modules of a package that import each other (strongly connected components)."""
    paths = {
        ".".join(path.relative_to(root.parent).with_suffix("").parts).removesuffix(".__init__"): path
        for path in root.rglob("*.py")
    }
    imports = {name: set(imported(name, path, paths.keys())) for name, path in paths.items()}
    reached = {name: reachable(name, imports) for name in imports}
    knots = {frozenset(each for each in reached[name] if name in reached[each]) for name in imports}
    return [set(knot) for knot in knots if knot]


def reachable(name: str, imports: dict[str, set[str]]) -> set[str]:
    found, left = set[str](), [name]
    while left:
        new = imports[left.pop()] - found
        found |= new
        left += new
    return found


def test_no_modules_import_each_other() -> None:
    assert [sorted(knot) for knot in cycles(ROOT)] == []


CYCLE = {"p.a", "p.b"}


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"a.py": "from p import b", "b.py": "import p.a"}, [CYCLE]),
        ({"a.py": "from p.b import x", "b.py": "from p.a import y"}, [CYCLE]),
        ({"a.py": "try:\n import p.b\nexcept E:\n pass", "b.py": "class A:\n if True:\n  from p.a import y"}, [CYCLE]),
        ({"a.py": "from p import b", "b.py": "def f():\n import p.a"}, []),
        ({"a.py": "from p import b", "b.py": "if TYPE_CHECKING:\n import p.a"}, []),
        ({"a.py": "from p import b", "b.py": "if TYPE_CHECKING:\n pass\nelse:\n import p.a"}, [CYCLE]),
        ({"a.py": "import os, p.b", "b.py": "from os import path"}, []),
        ({"q/__init__.py": "from p.q.a import x", "q/a.py": "from p.q import b", "q/b.py": ""}, []),
        ({"q/__init__.py": "from p.q.a import x", "q/a.py": "from p.q import y"}, [{"p.q", "p.q.a"}]),
        (
            {"q/__init__.py": "from p.q.a import x", "q/a.py": "import p.c", "q/b.py": "", "c.py": "import p.q.b"},
            [{"p.q", "p.q.a", "p.c"}],
        ),
    ],
)
def test_cycles_of_known_packages(tmp_path: Path, files: dict[str, str], found: list[set[str]]) -> None:
    for name, content in {"__init__.py": "", **files}.items():
        path = tmp_path / "p" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    assert cycles(tmp_path / "p") == found
