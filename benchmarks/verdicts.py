"""What holds of the two papers, as docs/results/README.md and three lines of README.md say it, made of stored tables.

    python -m benchmarks.verdicts

No measured figure of these pages is typed. The rows of a claim on a data set come from the scale night
(docs/results/night) if one of them has its verdict there, else from the scale cpu (docs/results), and say which: a gain
stands beside its own baseline.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from advtool.evaluation.gains import ONE_TRAINING
from advtool.report import reproduction
from advtool.reproduce.apb_readings import AS_SEARCHED, PLACES
from advtool.reproduce.catalogue import TABLES
from advtool.reproduce.pnil import LARGER
from advtool.reproduce.registry import find
from advtool.reproduce.verdict import is_of_one_training
from advtool.results import Reproduced, Row, Verdict, notation
from benchmarks.claims import APB, PAPERS, PNIL, Claim, first_of

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results"
FOLDERS = (RESULTS / "night", RESULTS)
"""The first has the better evidence."""
BEGIN, END = "<!-- made by benchmarks/verdicts.py -->", "<!-- end -->"
NAMES = {"mnist": "MNIST", "fashion-mnist": "Fashion-MNIST", "cifar10": "CIFAR-10"}
WORDS = {"does not": "*does not* hold"}
"""Where a verdict does not stand for itself."""
NO_FINDING, TOO_LITTLE = "no finding", "no finding yet"
OF_README = ("apb-fig2", "apb-time", "pnil-masking", "pnil-table1", "pnil-fig4", "pnil-fig5", "pnil-time")
"""The tables of the claims that README.md speaks of."""


class Found(NamedTuple):
    """A row, and the table that it comes from."""

    row: Row
    table: Reproduced
    page: str
    """of the table, from docs/results"""


def stored(folder: Path) -> Iterator[tuple[Path, Reproduced]]:
    """The tables of a data set each, in a folder."""
    for path in sorted(folder.glob("*-*.json")):
        yield path, Reproduced.model_validate_json(path.read_text())


def found(claim: Claim, every: Sequence[tuple[Path, Reproduced]]) -> Iterator[Found]:
    """The rows that speak of a claim, data set by data set.

    All of a data set are of one table: the first one in which a row that claims something is finished; else the last.
    """
    rows = [
        Found(row, table, str(path.with_suffix(".md").relative_to(RESULTS)))
        for path, table in every
        for row in table.rows
        if table.name == claim.table and claim.is_about(row.labels)
    ]
    for name in NAMES:
        of_name = (each for each in rows if dataset(each) == name)
        tables = [list(group) for _, group in groupby(of_name, attrgetter("page"))]
        judged = (table for table in tables if any(each.row.evidence for each in table))
        yield from next(judged, tables[-1] if tables else [])


def left_of(rows: Iterable[Found]) -> bool:
    """Whether one of them is not finished."""
    return any(each.row.left for each in rows)


def dataset(each: Found) -> str:
    """That the row is of."""
    return next(label for label in each.row.labels if label in NAMES)


def verdict(each: Found) -> str:
    """In a cell: the verdict with a link to its reason; blank for a baseline."""
    said = as_a_finding(each.row.verdict, each.table) or (reproduction.NOT_FINISHED if each.row.left else "")
    return f"[{said}]({each.page})" if said else ""


def as_a_finding(verdict: Verdict | None, table: Reproduced) -> str:
    """The verdict on a row or on all rows of a table, if the evidence is enough for one; "" if there is none."""
    if verdict is None:
        return ""
    return verdict if table.is_a_finding else NO_FINDING


def gain(row: Row, name: str) -> str:
    """How far it is above its baseline, with the interval and over how many trainings, where the rule reads that."""
    if name not in row.evidence:
        return ""
    estimate = row.evidence[name]
    trainings = re.search(r"\d+ trainings?", estimate.how)
    over = f"; {trainings[0]}" if trainings else ""
    return f"{notation.points(estimate.value, signed=True)} ({notation.points_interval(estimate.interval)}{over})"


def section(number: int, claim: Claim, every: Sequence[tuple[Path, Reproduced]]) -> Iterator[str]:
    """A claim with its figures."""
    rows = list(found(claim, every))
    gains = [(name, words) for name, words in claim.gains if any(name in each.row.evidence for each in rows)]
    units = {column.name: column for each in rows for column in each.table.columns}
    columns = [name for name in claim.columns if name in units]
    yield f"### {number}. {claim.title}\n"
    yield f"{claim.says}\n"
    yield f"*Reading:* {claim.reading}\n"
    head = ["row", *columns, *(f"{words}, points" for _, words in gains), "verdict", "scale"]
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for each in rows:
        figures = each.row.figures
        cells = [", ".join(filter(None, each.row.labels))]
        for name in columns:
            value = reproduction.own_value(units[name], figures[name]) if name in figures else ""
            paper = reproduction.paper_value(units[name], figures[name]) if name in figures else ""
            cells.append(f"{value}; paper {paper}" if value and paper else value)
        cells += [gain(each.row, name) for name, _ in gains]
        yield f"| {' | '.join([*cells, verdict(each), each.table.provenance.scale])} |"
    yield f"\n*What would change it:* {claim.would_change}\n"


def page() -> str:
    """The body of docs/results/README.md."""
    every = [each for folder in FOLDERS for each in stored(folder)]
    lines: list[str] = []
    for paper, claims in PAPERS.items():
        lines.append(f"## {paper}\n")
        for number, claim in enumerate(claims, 1):
            lines += section(number, claim, every)
    return "\n".join(["", *lines, *overview(every), "", ""])


def overview(every: Iterable[tuple[Path, Reproduced]]) -> Iterator[str]:
    """Every stored table with its verdict, and what is not finished of it."""
    yield "## All tables\n"
    yield "| table | data set | scale | verdict | rows that are not finished | measured |"
    yield "|---|---|---|---|---|---|"
    for path, table in sorted(every, key=lambda each: (list(TABLES).index(each[1].name), each[0].name)):
        left, place = sum(row.left is not None for row in table.rows), path.relative_to(RESULTS)
        said = as_a_finding(table.verdict, table) or (reproduction.NOT_FINISHED if left else "no verdict")
        days = [each.date for each in table.provenance.reused if each.date]
        days = days or [table.provenance.date] * (left < len(table.rows))
        when = dict.fromkeys(f"{day:%Y-%m-%d}" for day in (min(days), max(days))) if days else {}
        cells = [
            table.name,
            ", ".join(table.provenance.datasets),
            table.provenance.scale,
            f"[{said}]({place.with_suffix('.md')})"
            + (f" ([drawing]({place.with_suffix('.svg')}))" if path.with_suffix(".svg").exists() else ""),
            f"{left} of {len(table.rows)}" if left else "",
            " to ".join(when),
        ]
        yield f"| {' | '.join(cells)} |"


def in_words(claim: Claim, every: Sequence[tuple[Path, Reproduced]]) -> str:
    """The verdict on each data set: ``*does not* hold on MNIST, no finding yet on Fashion-MNIST``."""
    verdicts: dict[str, list[str]] = {}
    for name, printed in NAMES.items():
        rows = [each for each in found(claim, every) if dataset(each) == name]
        if overall := find(claim.table).overall(each.row for each in rows):
            claims = [each.row for each in rows if each.row.verdict]
            alone = all(any(map(is_of_one_training, row.evidence.values())) for row in claims)
            judged = f"{WORDS.get(overall, f'*{overall}*')}{' so far' * left_of(rows)}{f' ({ONE_TRAINING})' * alone}"
            words = judged if all(each.table.is_a_finding for each in rows) else TOO_LITTLE
            verdicts.setdefault(words, []).append(printed)
    return ", ".join(f"{words} on {' and '.join(names)}" for words, names in verdicts.items()) or "not finished"


def span(claim: Claim, column: str, every: Sequence[tuple[Path, Reproduced]]) -> str:
    """Ours in a column beside the paper's, over the rows with a verdict, of these over findings if there are any:
    ``0.0 to 2.8 %; paper: 98.9 %``.
    """
    judged = [each for each in found(claim, every) if each.row.verdict]
    figures = [each.row.figures[column] for each in judged if each.table.is_a_finding]
    figures = figures or [each.row.figures[column] for each in judged]
    values = [100 * figure.ours for figure in figures if figure.ours is not None]
    papers = dict.fromkeys(f"{100 * figure.paper:.1f}" for figure in figures if figure.paper is not None)
    return f"{min(values):.1f} to {max(values):.1f} %; paper: {' and '.join(papers)} %"


def best_reading(every: Sequence[tuple[Path, Reproduced]]) -> str:
    """What the reading that validation chose keeps, in a sentence."""
    label = f"{PLACES[1]}{AS_SEARCHED}"
    rows = [row for _, table in every if table.name == "apb-readings" for row in table.rows]
    figures = next((row.figures for row in rows if row.labels[-1] == label and not row.left), None)
    if figures is None:
        return ""
    count = next(len(table.rows) for _, table in every if table.name == "apb-search")
    fgsm, pgd, spsa = (notation.percent(figures[name].ours or 0.0) for name in ("FGSM on examples", "PGD-50", "SPSA"))
    return (
        f" Of {count} readings of the text, each trained for 10 epochs on 20,000 images of MNIST, the one that is best "
        f"on validation images keeps {fgsm} under FGSM, {pgd} under PGD-50 and {spsa} under SPSA."
    )


def summary() -> str:
    """Three lines for README.md."""
    every = [each for folder in FOLDERS for each in stored(folder)]
    robust, cheap, hidden, effective, draws, recipes, fast = map(first_of, OF_README)
    larger = next(claim for claim in PNIL if claim.block == LARGER)
    trained_on_examples = next(claim for claim in APB if claim.rows[0][0] == "adv")
    tables = [each.table for claim in (*APB, *PNIL) for each in found(claim, every)]
    scales = dict.fromkeys(table.provenance.scale for table in tables)
    seeds = sorted({seed for table in tables for seed in table.provenance.seeds})
    counted = f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"
    trained = f"Trained on CPUs, scale {' and '.join(f'`{scale}`' for scale in scales)}, {counted}"
    link = "[reading, interval, verdict, and what would change it](docs/results/README.md)"
    lines = (
        f"**Wen & Itti (APB).** Clean training with the bias withstands FGSM, by our default reading: "
        f"{in_words(robust, every)} ({span(robust, 'FGSM on examples', every)}).{best_reading(every)} With the bias, "
        f"training on fixed examples costs less clean accuracy: {in_words(trained_on_examples, every)}. The bias costs "
        f"little time: {in_words(cheap, every)}.",
        f"**Schwinn et al. (NFGSM, PNIL).** One-step training hides its gradients from PGD, with PNIL it does not: "
        f"{in_words(hidden, every)}. PNIL raises effective robustness: at the paper's eps {in_words(effective, every)}"
        f"; at larger eps {in_words(larger, every)}. NFGSM is more robust than RFGSM: {in_words(recipes, every)}. EOT "
        f"makes attacks on PNIL stronger, and ten draws are enough: {in_words(draws, every)}. One-step training is "
        f"faster than PGD training: {in_words(fast, every)}.",
        f"{trained}; every claim with its {link}.",
    )
    return "\n".join(f"- {line}" for line in lines)


def with_block(text: str, block: str) -> str:
    """The page with what lies between the marks replaced."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    assert begin, "the page has no marks"
    assert end, "the page has no marks"
    return f"{before}{BEGIN}\n{block}{END}{after}"


PAGES = {RESULTS / "README.md": page, ROOT / "README.md": summary}
"""What is between the marks of each page."""


def main() -> None:
    for path, block in PAGES.items():
        path.write_text(with_block(path.read_text(), block()))


if __name__ == "__main__":
    main()
