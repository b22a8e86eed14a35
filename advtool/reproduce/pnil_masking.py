"""Schwinn et al., the paper's first finding: one-step training often hides its gradients, and PNIL prevents it.

"Networks trained with the FGSM-based attacks often learn to disguise their gradients, resulting in strong robustness
against gradient-based attacks, but no robustness against gradient-free attacks" (section 1). Table 1 shows it: without
PNIL SPSA leaves 15 to 61 points less than PGD on MNIST and Fashion-MNIST, with PNIL it leaves more.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

from advtool.reproduce import pnil
from advtool.reproduce.catalogue import Scale
from advtool.reproduce.cells import certified, share
from advtool.reproduce.lines import Claimed, Evidence, Gain, Line
from advtool.reproduce.verdict import Judgement, above, claimed, part, points, unless_one_training
from advtool.results import Row

HIDING = 0.10
"""So far below PGD the worst case must be to show a hidden gradient."""
PGD, SPSA, WORST = pnil.PGD, "SPSA", "worst case"
CHANGES: tuple[dict[str, bool], ...] = ({}, {"pnil": True})


def rule_of_hiding(row: Row) -> Judgement:
    """We judge how far the mean accuracy in the worst case, of SPSA and the audit, is below that under PGD-50, on the
    same images: without PNIL at least 10 points, with PNIL less. Its 95 % interval is on that side: holds; on the
    other side: does not; on both sides: undecided.
    """
    hidden, least = row.evidence["hidden"], claimed(row, "hidden")
    if least:
        return unless_one_training(above("hidden from PGD-50", hidden, least), hidden)
    low, high = hidden.interval
    found = f"hidden from PGD-50 {points(hidden)}, less than {100 * HIDING:.1f}"
    return unless_one_training(part(found, is_true=high < HIDING, is_false=low > HIDING), hidden)


def trainings(scale: Scale, dataset: str) -> Iterator[Line]:
    """The models of table 1, each training by itself."""
    for block, recipe, changes in product(pnil.blocks(scale, dataset), pnil.ONE_STEP, CHANGES):
        of_table = pnil.one_step_line(scale, dataset, block, recipe, **changes)
        audit = next(question for question, _ in of_table.cells["audited Min"].of)
        stated = {name: of_table.cells[name].paper for name in (PGD, SPSA)}
        cells = {
            PGD: share(audit, "pgd", stated[PGD]),
            SPSA: share(audit, "spsa", stated[SPSA]),
            WORST: share(audit, "worst case"),
            **certified(audit),
        }
        line = replace(of_table, cells=cells)
        evidence: dict[str, Evidence] = {"hidden": Gain([(line, line)], PGD, WORST)}
        if not changes:
            evidence["hidden, claimed"] = Claimed(HIDING)
        yield replace(line, evidence=evidence)


MASKING = pnil.table(
    name="pnil-masking",
    claim="Without PNIL one-step training often hides its gradients: it is robust under PGD and not under SPSA. With "
    "PNIL it does not.",
    rule=rule_of_hiding,
    rules=(unless_one_training,),
    datasets=pnil.SMALL_SETS,
    label_columns=pnil.TABLE1.label_columns,
    lines=trainings,
    bars=((PGD, SPSA, WORST),),
    split=2,
    notes=(
        "The models and attacks of pnil-table1, all attacks on the same images, so PGD-50 may differ from there.",
        "The paper shows hidden gradients by SPSA, with 2048 samples a step. A gradient may be hidden from a weaker "
        "SPSA as well, so any attack of the audit, which has an SPSA too, counts here if it finds what PGD-50 misses. "
        "The paper has no such model on CIFAR-10.",
    ),
)
