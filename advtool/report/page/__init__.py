"""The page of ``advtool report``: one HTML file that needs nothing else, neither network nor script."""

import re
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from advtool.report import titles
from advtool.report.page import facts
from advtool.report.page.comparing import PairView, overview
from advtool.report.page.curves import SweepView
from advtool.report.page.run import RunView
from advtool.report.table import Reader
from advtool.results import Page, notation


def render(page: Page) -> str:
    """The page as HTML. Everything that came from users (names of classes, paths, models) is escaped.

    Args:
        page: what :func:`advtool.studies.page.read_page` read.
    """
    runs = [RunView(run, number) for number, run in enumerate(page.runs, 1)]
    template = _templates().get_template("page.html")
    return template.render(
        title=_title(page),
        runs=runs,
        sweeps=[SweepView(sweep, number) for number, sweep in enumerate(page.sweeps, 1)],
        pairs=[PairView(pair, number) for number, pair in enumerate(page.pairs, 1)],
        overview=overview(page.runs) if len(runs) > 1 else None,
        version=facts.version(page),
    )


def _title(page: Page) -> str:
    runs, sweeps = page.runs, page.sweeps
    if len(runs) == 1:
        return titles.name(runs[0].result)
    if not runs and len(sweeps) == 1:
        return titles.name(sweeps[0].result)
    counted = [(len(runs), "run"), (len(sweeps), "sweep")]
    return " and ".join(notation.counted(number, noun) for number, noun in counted if number)


@cache
def _templates() -> Environment:
    templates = Environment(
        loader=PackageLoader(__name__, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.globals["page_columns"] = lambda table: table.columns_for(Reader.PAGE)
    templates.filters |= {"breakable": _breakable, "commands": _commands}
    return templates


def _breakable(text: str) -> Markup:
    """The text, escaped; a line may break inside names and paths, behind their signs."""
    return Markup("<wbr>").join(re.split(r"(?<=[-/_=,:.])(?=[^\W\d])", text))


def _commands(text: str) -> Markup:
    """The text, escaped; what stands between backticks is shown as a command."""
    parts = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 else part for place, part in enumerate(parts)
    )
