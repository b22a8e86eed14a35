"""Data flows one way: no module imports from a room above its own (docs/design.md)."""

import ast
from pathlib import Path

import pytest

import advtool
from advtool.evaluation.provenance import sources

ROOT = Path(advtool.__file__).parent
GROUND = {
    "arguments",
    "checkpoints",
    "compute",
    "data",
    "docstrings",
    "documents",
    "errors",
    "files",
    "locks",
    "printable",
    "ranks",
    "results",
    "seeding",
    "settings",
    "tensor_files",
    "threat",
}
MAY_IMPORT = {
    "public": {"gates", "studies", "evaluation", "certification", "attacks", "target", "models", "perturb"},
    "cli": {
        "cli",
        "gates",
        "reproduce",
        "studies",
        "report",
        "training",
        "evaluation",
        "certification",
        "attacks",
        "target",
        "models",
    },
    "gates": {"gates", "studies", "report", "evaluation", "certification", "attacks", "target", "models"},
    "reproduce": {
        "reproduce",
        "studies",
        "report",
        "training",
        "evaluation",
        "certification",
        "attacks",
        "target",
        "models",
    },
    "studies": {"studies", "evaluation", "certification", "attacks", "target", "models"},
    "report": {"report"},
    "training": {"training", "models", "perturb"},
    "evaluation": {"evaluation", "certification", "attacks", "target"},
    "certification": {"certification", "target"},
    "attacks": {"attacks", "target"},
    "target": {"target", "models"},
    "models": {"models"},
    "perturb": {"perturb"},
    **{room: set() for room in GROUND},
}
MODULES = sorted(path for path in ROOT.rglob("*.py") if not path.stem.startswith("__") or path.parent != ROOT)


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "advtool":
            names += [f"advtool.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    rooms = {name.split(".")[1] for name in names if name.startswith("advtool.")} - {"__version__"}
    return rooms | ({"advtool"} & set(names))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_imports_upwards(path: Path) -> None:
    upwards = imported_rooms(path) - MAY_IMPORT[room_of(path)] - GROUND
    assert not upwards, f"{path.relative_to(ROOT)} imports from {sorted(upwards)}"


def test_art_is_imported_in_one_place() -> None:
    """There its configuration is made whole first (advtool/attacks/toolbox.py)."""
    nodes = {path: ast.walk(ast.parse(path.read_text())) for path in MODULES}
    found = {path.name for path, all_of in nodes.items() if any(imports_art(node) for node in all_of)}
    assert found == {"toolbox.py"}


def imports_art(node: ast.AST) -> bool:
    modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
    modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
    return any(module.split(".")[0] == "art" for module in modules)


def test_the_fingerprint_of_the_code_covers_every_room_that_an_evaluation_can_reach() -> None:
    reached, left = set(GROUND), {"evaluation"}
    while left:
        reached |= left
        left = set().union(*(MAY_IMPORT[room] for room in left)) - reached
    assert {room_of(path) for path in sources()} - {"__init__", "__main__"} == reached


def test_every_room_is_in_the_design() -> None:
    assert {room_of(path) for path in MODULES} <= MAY_IMPORT.keys()
    design = (ROOT.parent / "docs" / "design.md").read_text()
    for room in {room_of(path) for path in MODULES}:
        assert f"`{room}" in design, f"docs/design.md does not name {room}"
