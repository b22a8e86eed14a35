"""The small models behind the tables, each with what the audit and SPSA leave of it: checkpoints/papers.

    ADVTOOL_DATA=folder python benchmarks/published.py reproductions/cpu/models/NAME.safetensors ...

copies the checkpoints there, evaluates each by the command that the table of checkpoints/papers/README.md names, keeps
the answer beside it as NAME.json, and writes that table again. A checkpoint that has its answer already is not
evaluated again.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from advtool.checkpoints import SUFFIX, read_header
from advtool.results import Evaluation, Interval
from advtool.results.notation import percent, percent_interval

FOLDER = Path(__file__).parents[1] / "checkpoints" / "papers"
QUESTION = ("--attack", "audit", "--attack", "spsa", "--no-certify", "--device", "cpu", "--format", "json")
IMAGES, OF_RANDOM = 200, 50
"""Test images; fewer of a model with PNIL, whose gradients take 20 EOT samples."""
MOST_BYTES = 3 * 10**6
INTRODUCTION = f"""# The models behind the tables

Small models of both papers. Those whose names have `e100` or `e500` are of [the reproduced
tables](../../docs/results/README.md), the others of the smaller scale `cpu`. Each has the name that its training gave
it; a model with `r0h0` in its name trained on half of the training images. `advtool show FILE` prints a model's card:
recipe, seed, epochs, validation.

`python benchmarks/published.py` makes this page. `NAME.json` is the answer of

```console
$ advtool eval --checkpoint checkpoints/papers/NAME.safetensors --images {IMAGES} {" ".join(QUESTION)}
```

(with PNIL `--images {OF_RANDOM}`). `tests/docs/test_published.py` evaluates two of them again. In brackets stand
95 % intervals.

| checkpoint | eps | seed | images | clean | PGD-50 | SPSA | worst case | masking codes |
|---|---:|---:|---:|---:|---:|---:|---:|---|
"""


def publish(source: Path) -> None:
    """Copy a checkpoint, evaluate it, and keep the answer beside it."""
    target = FOLDER / source.name
    answer = target.with_suffix(".json")
    if not target.exists() or target.read_bytes() != source.read_bytes():
        shutil.copyfile(source, target)
        answer.unlink(missing_ok=True)
    if not answer.exists():
        print(f"evaluating {target.name}", file=sys.stderr, flush=True)
        answer.write_text(answer_for(target))


def answer_for(checkpoint: Path) -> str:
    """What the command prints."""
    images = OF_RANDOM if read_header(checkpoint).recipe.get("pnil") else IMAGES
    command = [sys.executable, "-m", "advtool", "eval", "--checkpoint", checkpoint.name, "--images", str(images)]
    with tempfile.TemporaryDirectory() as run:
        finished = subprocess.run(
            [*command, *QUESTION, "--run-dir", run], cwd=FOLDER, check=True, stdout=subprocess.PIPE, text=True
        )
    return finished.stdout


def line(answer: Path) -> str:
    """A row of the table."""
    found = Evaluation.model_validate_json(answer.read_text())
    under = {attack.name: attack for attack in found.attacks}
    codes = ", ".join(sorted({warning.code for warning in found.warnings if warning.kind == "masking"}))
    cells = [
        f"[{answer.stem}]({answer.stem}{SUFFIX})",
        f"{found.threat_model.eps:g}",
        str(found.seed),
        str(found.clean.total),
        percent(found.clean.accuracy),
        *(with_interval(under[name].accuracy, under[name].interval) for name in ("pgd", "spsa")),
        with_interval(found.worst_case.accuracy, found.worst_case.interval),
        codes,
    ]
    return f"| {' | '.join(cells)} |"


def with_interval(accuracy: float | None, interval: Interval | None) -> str:
    """Blank for an attack of the cascade that saw survivors only."""
    return "" if accuracy is None or interval is None else f"{percent(accuracy)} ({percent_interval(interval)})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", type=Path, nargs="*", help="to be added; without any the table is written again")
    FOLDER.mkdir(parents=True, exist_ok=True)
    for checkpoint in parser.parse_args().checkpoints:
        publish(checkpoint)
    answers = sorted(FOLDER.glob("*.json"))
    if (size := sum(path.stat().st_size for path in FOLDER.glob(f"*{SUFFIX}"))) > MOST_BYTES:
        sys.exit(f"{size} bytes of checkpoints: more than {MOST_BYTES}")
    (FOLDER / "README.md").write_text(INTRODUCTION + "\n".join(map(line, answers)) + "\n")


if __name__ == "__main__":
    main()
