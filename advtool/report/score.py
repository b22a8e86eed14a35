"""A run's saved examples classified again: how many fool a model that classifies the original right."""

from advtool.report.table import Column, Row, Table
from advtool.report.units import COUNT, INTERVAL, SHARE, WORDS
from advtool.results import Score, notation

COLUMNS = (
    Column("attack", "name", WORDS),
    Column("examples", "examples", COUNT),
    Column("original right", "originals_correct", COUNT),
    Column("fooling", "fooling", COUNT),
    Column("share", "share", SHARE),
    Column("95 % interval", "interval", INTERVAL),
)


def table(result: Score) -> Table:
    """``share`` is ``fooling`` of ``originals_correct``."""
    model = result.checkpoint["path"] if result.checkpoint else result.model.get("spec") or "model"
    eps = notation.eps(result.threat_model.eps)
    noise = f"noise seed {result.seed}" + (f", {result.votes} votes" if result.votes > 1 else "")
    return Table(
        title=f"examples of {result.run} on {model}, {result.threat_model.norm} eps {eps}, {noise}",
        columns=COLUMNS,
        rows=tuple(Row(vars(attack)) for attack in result.attacks),
        notes=(_meaning(result),),
    )


def _meaning(result: Score) -> str:
    if not any(attack.examples for attack in result.attacks):
        return "the run kept no examples, since no attack found one: there was nothing to score"
    if not result.same_model:
        return "another model than the run's: the share that transfers, of the examples whose original it gets right"
    if result.agrees is None:
        return "the run's own model, which is random: the share that fools it again with fresh draws"
    return f"the run's own model: {'every' if result.agrees else 'NOT every'} example fools it again"
