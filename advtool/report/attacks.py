"""The attacks: a line each; of one attack its parameters, of one suite its stages."""

from advtool.report.table import Column, Reader, Row, Table
from advtool.report.units import WORDS
from advtool.results import Attack, AttackParameter, Attacks, Suite

ATTACKS = (Column("attack", "name", WORDS), Column("what it does", "purpose", WORDS))
PARAMETERS = (
    Column("parameter", "name", WORDS),
    Column("default", "shown_default", WORDS, Reader.PEOPLE),
    Column("", "default", WORDS, Reader.PROGRAM),
    Column("", "derived", WORDS, Reader.PROGRAM),
    Column("", "type", WORDS, Reader.PROGRAM),
    Column("what it is", "shown_meaning", WORDS, Reader.PEOPLE),
    Column("", "meaning", WORDS, Reader.PROGRAM),
)
STAGES = (Column("attack", "attack", WORDS), Column("which images it sees", "sees", WORDS))


def table(result: Attacks) -> Table:
    """All attacks and suites, or the one that was asked for."""
    if len(result.attacks) == 1 and not result.suites:
        return _of_attack(result.attacks[0])
    if len(result.suites) == 1 and not result.attacks:
        return _of_suite(result.suites[0])
    return Table(
        columns=ATTACKS,
        rows=tuple(Row({"name": each.name, "purpose": each.purpose}) for each in result.attacks),
        boxed=False,
        notes=(
            *(f"suite {each.name}: {', '.join(stage.attack for stage in each.stages)}" for each in result.suites),
            "art:CLASS: any evasion attack of ART by its class, e.g. art:SquareAttack(max_iter=500)",
            "advtool attacks NAME tells the parameters and the source, also of a suite and of art:CLASS",
        ),
    )


def _of_attack(attack: Attack) -> Table:
    facts = (
        ("purpose", attack.purpose),
        ("follows", attack.follows),
        ("norms", ", ".join(attack.norms)),
        *([("source", attack.source)] if attack.source else []),
    )
    fixed = [f"{each.name}={each.default!r}" for each in attack.parameters if each.default is not None]
    written = f'"{attack.name}({fixed[0]})"' if fixed else attack.name
    return Table(
        title=attack.name,
        facts=facts,
        columns=PARAMETERS if attack.parameters else (),
        rows=tuple(map(_row, attack.parameters)),
        commands=(f"advtool eval --attack {written}",),
    )


def _row(parameter: AttackParameter) -> Row:
    words = f"{parameter.meaning} ({parameter.type})" if parameter.meaning and parameter.type else parameter.type
    default = parameter.derived or repr(parameter.default)
    return Row({**vars(parameter), "shown_default": default, "shown_meaning": words})


def _of_suite(suite: Suite) -> Table:
    return Table(
        title=f"suite {suite.name}, in this order",
        columns=STAGES,
        rows=tuple(Row(vars(stage)) for stage in suite.stages),
        boxed=False,
        commands=(f"advtool eval --attack {suite.name}",),
    )
