"""Where the figures of a run come from: the model, the images, the attacks, the versions and the machine."""

from collections.abc import Iterator, Mapping
from typing import Any

from advtool.report.table import Column, Row, Table
from advtool.report.units import COUNT, DURATION, WORDS
from advtool.results import Evaluation, Page, notation

ATTACK_COLUMNS = (
    Column("attack", "name", WORDS),
    Column("parameters", "parameters", WORDS),
    Column("forward passes", "forward", COUNT),
    Column("backward passes", "backward", COUNT),
    Column("time", "seconds", DURATION),
)
AS_THE_MODEL = {"path", "sha256"}
"""What a checkpoint's card says of itself that the model's description says too."""
FACTS = (Column("what", "fact", WORDS), Column("value", "value", WORDS))


def attacks(result: Evaluation) -> Table:
    """Every attack with all its parameters, and the images that it pushed through the model."""
    rows = (
        Row(
            {
                "name": attack.name,
                "parameters": ", ".join(f"{name} {_value(value)}" for name, value in attack.parameters.items()),
                "forward": f"{attack.model_calls.forward:,}",
                "backward": f"{attack.model_calls.backward:,}",
                "seconds": attack.seconds,
            }
        )
        for attack in result.attacks
    )
    return Table(title="Attacks with their parameters", columns=ATTACK_COLUMNS, rows=tuple(rows))


def sources(result: Evaluation) -> Table:
    """The model, the images, the question and the machine, a fact a row."""
    rows = (Row({"fact": name, "value": words}) for name, words in _sources(result))
    return Table(title="Model, images, versions and machine", columns=FACTS, rows=tuple(rows))


def version(page: Page) -> str:
    """The version of advtool that made the figures; several if they differ."""
    results = [*(run.result for run in page.runs), *(sweep.result for sweep in page.sweeps)]
    return ", ".join(dict.fromkeys(str(result.environment.get("advtool", "")) for result in results))


def _sources(result: Evaluation) -> Iterator[tuple[str, str]]:
    threat = result.threat_model
    yield from _flat("model", result.model)
    card = result.checkpoint or {}
    yield from _flat("checkpoint", {name: card[name] for name in card if name not in AS_THE_MODEL})
    yield from _flat("data set", result.dataset.model_dump(exclude={"classes"}))
    yield (
        "threat model",
        f"{threat.norm}, eps {notation.eps(threat.eps)}, pixels in [{threat.clip[0]}, {threat.clip[1]}]",
    )
    yield "seed", str(result.seed)
    yield "draws", f"{result.eot} of a gradient (EOT), {result.votes} of a prediction (votes)"
    yield from _flat("", result.environment)


def _flat(prefix: str, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The entries as names and words; those of a dictionary inside by the names of both."""
    for key, value in values.items():
        name = f"{prefix} {key.replace('_', ' ')}".strip()
        if isinstance(value, Mapping):
            yield from _flat(name, value)
        elif value is not None:
            yield name, _value(value)


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_value, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)
