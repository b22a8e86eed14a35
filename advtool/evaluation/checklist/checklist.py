"""``checklist``: every item of the field's checklists, answered from one result."""

from collections.abc import Iterator

from advtool.arguments import shown
from advtool.errors import InputError
from advtool.evaluation.checklist.lists import LISTS
from advtool.evaluation.checklist.reading import Reading
from advtool.results import Checklist, ChecklistItem, Evaluation


def checklist(result: Evaluation) -> Checklist:
    """What this evaluation did of the checklists of Carlini et al., Pintor et al. and RobustBench, and what it did not.

    Each item is done, with its figure; not done, with the command that would; not applicable; or left to you, where no
    run can answer. A result that was read from JSON gives the same answers.

    Args:
        result: what :func:`advtool.evaluate` gave, or ``Evaluation.model_validate_json`` of its JSON document.

    Raises:
        InputError: this is no result of one evaluation.
    """
    if not isinstance(result, Evaluation):
        raise InputError(f"result={shown(result)} must be the result of advtool.evaluate")
    return Checklist(
        checkpoint=result.checkpoint,
        model=result.model,
        dataset=result.dataset,
        threat_model=result.threat_model,
        seed=result.seed,
        eot=result.eot,
        votes=result.votes,
        items=list(_items(Reading(result))),
    )


def _items(run: Reading) -> Iterator[ChecklistItem]:
    for each in LISTS:
        for item in each.items:
            answer = item.rule(run)
            yield ChecklistItem(
                source=each.source,
                section=item.section,
                list=each.name,
                item=item.asks,
                status=answer.status,
                answer=answer.words,
                findings=answer.findings,
                command=answer.command,
            )
