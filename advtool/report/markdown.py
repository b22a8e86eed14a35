"""An evaluation as a Markdown table, to paste into a page."""

from advtool.report.rows import accuracy, duration, heading, notes, rows, span
from advtool.results import Evaluation


def render(evaluation: Evaluation) -> str:
    """Heading, table, notes."""
    lines = [
        f"{heading(evaluation)}:",
        "",
        "| attack | accuracy | 95 % interval | images | time |",
        "|---|---:|---:|---:|---:|",
        *(
            f"| {row.name} | {accuracy(row)} | {span(row.interval)} | {row.images} | {duration(row.seconds)} |"
            for row in rows(evaluation)
        ),
    ]
    remarks = [f"- {note}" for note in notes(evaluation)]
    return "\n".join([*lines, *([""] if remarks else []), *remarks]) + "\n"
