"""What is certified of the models behind the stored tables: docs/results.

    ADVTOOL_DATA=folder python benchmarks/certified.py

asks the checkpoints of checkpoints/papers for proofs, each on the images of its row's worst case, and writes what is
found into the stored table, beside the figures that were measured before. A row whose models are not published stays
blank. A random model has no bounds, so a row with PNIL has the dash of the published ones. FGSM stands in for the
attacks of the table, since no attack changes what is proved.
"""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from advtool.checkpoints import SUFFIX, now
from advtool.evaluation import provenance
from advtool.files import sha256
from advtool.report import FORMATS
from advtool.reproduce import engine
from advtool.reproduce.catalogue import Scale
from advtool.reproduce.cells import certified
from advtool.reproduce.laboratory import Laboratory
from advtool.reproduce.lines import Line
from advtool.reproduce.notes import of_proofs
from advtool.reproduce.observer import Observer
from advtool.reproduce.registry import find
from advtool.reproduce.steps import Asked, Model
from advtool.results import CERTIFIED, Figure, Reproduced

ROOT = Path(__file__).parents[1]
RESULTS, PAPERS = ROOT / "docs" / "results", ROOT / "checkpoints" / "papers"
COMMAND = "python benchmarks/certified.py"


def is_published(model: Model, stored: Reproduced) -> bool:
    """Whether the checkpoint is the one that the table was measured on."""
    path = PAPERS / f"{model.name}{SUFFIX}"
    return path.exists() and sha256(path) == stored.provenance.models[model.name]


def measured(line: Line, folder: Path) -> Figure:
    """What the engine gives in the column, with a cheap attack."""
    ((asked, _),) = line.cells[CERTIFIED].of
    question = asked._replace(settings=replace(asked.settings, attacks=("fgsm",)))
    (folder / "models").mkdir(exist_ok=True)
    for model in line.models:
        shutil.copy(PAPERS / f"{model.name}{SUFFIX}", folder / "models")
    steps = [*line.models, *(Asked(model, question) for model in line.models)]
    answers = Laboratory(folder, torch.device("cpu"), None, Observer()).carry_out(steps)
    return certified(question)[CERTIFIED].figure(answers, line.models)


def figures(lines: list[Line], stored: Reproduced, folder: Path) -> list[Figure | None]:
    """Of each row; None: none."""
    asked = [line if CERTIFIED in line.cells else None for line in lines]
    found = [
        measured(line, folder) if line and all(is_published(model, stored) for model in line.models) else None
        for line in asked
    ]
    dash = next((figure for figure in found if figure and figure.missing), None)
    return [
        figure or (dash if line and line.models[0].resolved.pnil else None)
        for line, figure in zip(asked, found, strict=True)
    ]


def made() -> str:
    """How the figures came to be, as a note of the table."""
    where = "{device}, {threads} threads, torch {torch}".format_map(provenance.machine(torch.device("cpu")))
    return f"certified: {COMMAND}; {now():%Y-%m-%d}, {where}; blank where the models are not kept"


def with_proofs(stored: Reproduced, folder: Path) -> Reproduced:
    """The stored table with what is certified of its rows."""
    table, datasets = find(stored.name), stored.provenance.datasets
    lines = table.all_lines(Scale(stored.provenance.scale), datasets)
    columns, found = engine.columns_of(lines), figures(lines, stored, folder)
    rows = [
        row.model_copy(update={"figures": row.figures | {CERTIFIED: figure}}) if figure else row
        for row, figure in zip(stored.rows, found, strict=True)
    ]
    before = [note for note in stored.notes if not note.lower().startswith(CERTIFIED)]
    notes = [*before, *of_proofs(lines), made()] if any(found) else before
    return stored.model_copy(update={"columns": columns, "rows": rows, "notes": notes})


def main() -> None:
    for path in sorted(RESULTS.glob("*.json")):
        stored = Reproduced.model_validate_json(path.read_text())
        with tempfile.TemporaryDirectory() as folder:
            result = with_proofs(stored, Path(folder))
        if result != stored:
            print(f"{path.stem}: {sum(CERTIFIED in row.figures for row in result.rows)} rows")
            path.write_text(FORMATS["json"](result))
            path.with_suffix(".md").write_text(FORMATS["markdown"](result))


if __name__ == "__main__":
    main()
