"""What holds of the two papers, as docs/results/README.md and three lines of README.md say it, made of stored tables.

    python -m benchmarks.verdicts

No measured figure of a table or a verdict is typed; the readings of ``claims.py`` name a few. All rows are of the scale
night.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from advtool.report import reproduction
from advtool.reproduce.apb import FGSM, WORST
from advtool.reproduce.catalogue import TABLES
from advtool.reproduce.gains import ONE_TRAINING
from advtool.reproduce.registry import find
from advtool.reproduce.verdict import is_of_one_training
from advtool.results import Column, Figure, Reproduced, Row, notation
from benchmarks.claims import APB, DESCENT, PAPERS, PNIL, Claim

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results"
NIGHT = RESULTS / "night"
BEGIN, END = "<!-- made by benchmarks/verdicts.py -->", "<!-- end -->"
NAMES = {"mnist": "MNIST", "fashion-mnist": "Fashion-MNIST", "cifar10": "CIFAR-10"}
FEW = 3
"""Models of a row up to which the value of each is shown."""
WORDS = {"does not": "does not hold", "gradient masking": "seen under the paper's attack, by gradient masking"}
"""Where a verdict does not stand for itself."""
DECIDED = ("holds", "partly", "does not", "gradient masking")
OPEN = ("undecided", reproduction.NOT_FINISHED)
"""What README.md says, in this order; of the open claims only the first, and how many others there are."""


class Found(NamedTuple):
    """A row, and the table that it comes from."""

    row: Row
    table: Reproduced
    page: str
    """of the table, from docs/results"""


def stored() -> list[tuple[Path, Reproduced]]:
    """The tables of a data set each."""
    return [(path, Reproduced.model_validate_json(path.read_text())) for path in sorted(NIGHT.glob("*-*.json"))]


def found(claim: Claim, every: Sequence[tuple[Path, Reproduced]]) -> Iterator[Found]:
    """The rows that speak of a claim, data set by data set."""
    rows = [
        Found(row, table, str(path.with_suffix(".md").relative_to(RESULTS)))
        for path, table in every
        for row in table.rows
        if table.name == claim.table and claim.is_about(row.labels)
    ]
    yield from sorted(rows, key=lambda each: list(NAMES).index(dataset(each)))


def found_on(name: str, claim: Claim, every: Sequence[tuple[Path, Reproduced]]) -> list[Found]:
    """The rows that speak of a claim, of one data set."""
    return [each for each in found(claim, every) if dataset(each) == name]


def left_of(rows: Iterable[Found]) -> bool:
    """Whether one of them is not finished."""
    return any(each.row.left for each in rows)


def dataset(each: Found) -> str:
    """That the row is of."""
    return next(label for label in each.row.labels if label in NAMES)


def verdict(each: Found) -> str:
    """In a cell: the verdict with a link to its reason; blank for a baseline."""
    said = each.row.verdict or (reproduction.NOT_FINISHED if each.row.left else "")
    return f"[{said}]({each.page})" if said else ""


def gain(row: Row, name: str) -> str:
    """How far it is above its baseline, with the interval and over how many trainings, where the rule reads that."""
    if name not in row.evidence:
        return ""
    estimate = row.evidence[name]
    over = "; ".join(filter(None, (notation.points_interval(estimate.interval), trainings(row, name))))
    return f"{notation.points(estimate.value, signed=True)} ({over})"


def trainings(row: Row, name: str) -> str:
    """Over how many trainings a gain goes, where the rule reads that: ``3 trainings``; else ""."""
    told = re.search(r"\d+ trainings?", row.evidence[name].how)
    return told[0] if told else ""


def section(number: int, claim: Claim, every: Sequence[tuple[Path, Reproduced]]) -> Iterator[str]:
    """A claim with its figures."""
    rows = list(found(claim, every))
    gains = [(name, words) for name, words in claim.gains if any(name in each.row.evidence for each in rows)]
    units = {column.name: column for each in rows for column in each.table.columns}
    columns = [name for name in claim.columns if name in units]
    yield f"### {number}. {claim.title}\n"
    yield f"{claim.says}\n"
    yield f"*Reading:* {claim.reading}\n"
    heads = [f"{name}, times" if units[name].unit == "times" else name for name in columns]
    head = ["row", *heads, *(f"{words}, points" for _, words in gains), "verdict"]
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for each in rows:
        figures = each.row.figures
        cells = [", ".join(filter(None, each.row.labels))]
        for name in columns:
            value = of_each(units[name], figures[name]) if name in figures else ""
            paper = reproduction.paper_value(units[name], figures[name]) if name in figures else ""
            cells.append(f"{value}; paper {paper}" if value and paper else value)
        cells += [gain(each.row, name) for name, _ in gains]
        yield f"| {' | '.join([*cells, verdict(each)])} |"
    yield f"\n*What would change it:* {claim.would_change}\n"


def of_each(column: Column, figure: Figure) -> str:
    """Our value; with that of each model instead of their deviation if they are few: ``72.4 % (24.4, 97.4, 95.3)``."""
    each = figure.each or []
    if column.unit != "per cent" or not 1 < len(each) <= FEW:
        return reproduction.own_value(column, figure)
    return f"{notation.percent(figure.ours or 0.0)} ({', '.join(map(notation.points, each))})"


def page() -> str:
    """The body of docs/results/README.md."""
    every = stored()
    lines = list(at_a_glance(every))
    for paper, claims in PAPERS.items():
        lines.append(f"## {paper}\n")
        for number, claim in enumerate(claims, 1):
            lines += section(number, claim, every)
    return "\n".join(["", *lines, *overview(every), "", ""])


def at_a_glance(every: Sequence[tuple[Path, Reproduced]]) -> Iterator[str]:
    """Every claim with its verdict on each data set, and what it rests on."""
    yield "## At a glance\n"
    yield "Beside a verdict: the smallest and the largest gain of its judged rows, in points (PNIL 5: falls).\n"
    for paper, claims in PAPERS.items():
        yield f"| {paper} | {' | '.join(NAMES.values())} |"
        yield f"|---|{'---|' * len(NAMES)}"
        for number, claim in enumerate(claims, 1):
            said_of = dict(claim.elsewhere) | {
                name: f"{said}{suffix}{gains(claim, every, name)}" for said, name, suffix in by_dataset(claim, every)
            }
            heading = f"{number}. {claim.title}"
            yield f"| [{heading}](#{anchor(heading)}) | {' | '.join(said_of.get(name, '') for name in NAMES)} |"
        yield ""


def gains(claim: Claim, every: Sequence[tuple[Path, Reproduced]], name: str) -> str:
    """The first gain of a claim on a data set, over its judged rows: ``: -4.3 to -1.5``; "" where none has one."""
    if not claim.is_one_range:
        return ""
    (first, _), *_ = claim.gains
    evidence = [each.row.evidence for each in found_on(name, claim, every) if each.row.verdict]
    values = [each[first].value for each in evidence if first in each]
    ends = dict.fromkeys(notation.points(value, signed=True) for value in (min(values), max(values))) if values else {}
    return f": {' to '.join(ends)}" if ends else ""


def anchor(heading: str) -> str:
    """Of a heading, as GitHub makes it."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def overview(every: Iterable[tuple[Path, Reproduced]]) -> Iterator[str]:
    """Every stored table with its verdict, and what is not finished of it."""
    yield "## All tables\n"
    yield "| table | data set | verdict | rows that are not finished | measured |"
    yield "|---|---|---|---|---|"
    for path, table in sorted(every, key=lambda each: (list(TABLES).index(each[1].name), each[0].name)):
        left, place = sum(row.left is not None for row in table.rows), path.relative_to(RESULTS)
        said = table.verdict or (reproduction.NOT_FINISHED if left else "no verdict")
        days = [each.date for each in table.provenance.reused if each.date]
        days = days or [table.provenance.date] * (left < len(table.rows))
        when = dict.fromkeys(f"{day:%Y-%m-%d}" for day in (min(days), max(days))) if days else {}
        cells = [
            table.name,
            ", ".join(table.provenance.datasets),
            f"[{said}]({place.with_suffix('.md')})"
            + (f" ([drawing]({place.with_suffix('.svg')}))" if path.with_suffix(".svg").exists() else ""),
            f"{left} of {len(table.rows)}" if left else "",
            " to ".join(when),
        ]
        yield f"| {' | '.join(cells)} |"


def by_dataset(claim: Claim, every: Sequence[tuple[Path, Reproduced]]) -> Iterator[tuple[str, str, str]]:
    """The verdict on each data set that is judged or will be, the data set, and what it rests on: `` so far (1
    training)``.
    """
    for name in (name for name in NAMES if name not in claim.elsewhere):
        rows = found_on(name, claim, every)
        judged = [each.row for each in rows if each.row.verdict]
        if overall := find(claim.table).overall(judged):
            alone = all(any(map(is_of_one_training, row.evidence.values())) for row in judged)
            yield overall, name, f"{' so far' * left_of(rows)}{f' ({ONE_TRAINING})' * alone}"
        elif left_of(rows):
            yield reproduction.NOT_FINISHED, name, ""


def by_verdict(claims: Iterable[Claim], every: Sequence[tuple[Path, Reproduced]]) -> str:
    """What holds of a paper: ``*Holds*: one claim, on MNIST; another one, on CIFAR-10. *Undecided*: 2 claims...``."""
    groups: dict[str, dict[str, list[str]]] = {}
    for claim in claims:
        for said, name, suffix in by_dataset(claim, every) if claim.brief else ():
            groups.setdefault(said, {}).setdefault(claim.brief, []).append(f"{NAMES[name]}{suffix}")
    said_of = {
        said: "; ".join(f"{brief}, on {listed(names)}" for brief, names in groups[said].items())
        for said in DECIDED
        if said in groups
    }
    decided = {brief for said in said_of for brief in groups[said]}
    said_of |= {said: open_claims(groups[said], decided) for said in OPEN if said in groups}
    return " ".join(f"*{WORDS.get(said, said).capitalize()}*: {words}." for said, words in said_of.items())


def open_claims(group: Mapping[str, list[str]], decided: Collection[str]) -> str:
    """The first open claim, one that is decided nowhere if there is one, and how many others there are."""
    first, *others = sorted(group, key=decided.__contains__)
    if not others:
        return f"{first}, on {listed(group[first])}"
    return f"{first}, and {notation.counted(len(others), 'other claim')}, on one data set or more"


def listed(names: Sequence[str]) -> str:
    """``MNIST, Fashion-MNIST and CIFAR-10``."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def in_full(every: Sequence[tuple[Path, Reproduced]]) -> str:
    """What is kept by the bias that withstands FGSM best, of those trained clean and in full, in a sentence."""
    rows = [each.row for each in found_on("mnist", APB[0], every) if each.row.labels[-1] in DESCENT]
    finished = [row for row in rows if not row.left]
    if not finished:
        return ""
    best = max(finished, key=lambda row: row.figures[FGSM].ours or 0.0)
    figures, over = best.figures, trainings(best, "gain")
    fgsm, spsa, worst = (notation.percent(figures[name].ours or 0.0) for name in (FGSM, "SPSA", WORST))
    each = ", ".join(map(notation.points, figures[FGSM].each or []))
    structure, _, _ = best.labels[-1].partition(",")
    return (
        f" Trained clean and in full on MNIST ({over}), the {structure} bias keeps {fgsm} under FGSM ({each}; "
        f"in the paper {notation.percent(figures[FGSM].paper or 0.0)}), {spsa} under SPSA and {worst} "
        "in the worst case: [why](docs/audit.md#the-first-papers-figure)."
    )


def summary() -> str:
    """Three lines for README.md."""
    every = stored()
    tables = [each.table for claim in (*APB, *PNIL) for each in found(claim, every)]
    seeds = max(len(table.provenance.seeds) for table in tables)
    trained = f"Trained on CPUs, scale `night`, with up to {seeds} seeds or 10 folds"
    link = "[reading, interval, verdict, and what would change it](docs/results/README.md)"
    lines = (
        f"**Wen & Itti (APB).** {by_verdict(APB, every)}{in_full(every)}",
        f"**Schwinn et al. (NFGSM, PNIL).** {by_verdict(PNIL, every)}",
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
