"""Schwinn et al., the readings of table 1 that its text allows: which eps, which epoch, and how many draws attack PNIL.

The text states an eps for each data set (section 4.3) that its table does not fit. All steps follow from eps: 1.2 eps
for RFGSM, eps for NFGSM, 2 eps / 50 for PGD. "All models were optimized till convergence, and the checkpoint with the
lowest adversarial validation loss was chosen for testing" (section 4.4): early stopping.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

from advtool.reproduce import pnil
from advtool.reproduce.catalogue import Scale
from advtool.reproduce.cells import share
from advtool.reproduce.lines import Line, robustness
from advtool.reproduce.verdict import robust

KEPT = {"lowest loss": "loss", "last epoch": "last"}
"""Which epoch is tested: early stopping as in the paper, and none."""
FOLDS = 2
"""One repetition of the cross-validation. Table 1 has all five."""
ONE_DRAW = "PGD-50, EOT 1"


def cases(scale: Scale, dataset: str) -> Iterator[tuple[str, str, str]]:
    """Block of table 1, training and epoch; a scale below the paper's without RFGSM, smoke at one eps."""
    recipes = pnil.ONE_STEP[-1:] if scale in (Scale.smoke, Scale.cpu) else pnil.ONE_STEP
    return product(pnil.blocks(scale, dataset), recipes, KEPT)


def readings(scale: Scale, dataset: str) -> Iterator[Line]:
    """Each reading without PNIL, and with it, which claims what table 1 claims."""
    for block, recipe, kept in cases(scale, dataset):
        without, bare = (line(scale, dataset, block, recipe, kept, **changes) for changes in ({}, {"pnil": True}))
        yield from (without, replace(bare, evidence=robustness([(bare, without)], "Min", "audited Min")))


def line(scale: Scale, dataset: str, block: str, recipe: str, kept: str, **changes: bool) -> Line:
    """A line of table 1 with the epoch of the reading, and with PGD whose gradients are of one draw."""
    of_table = pnil.one_step_line(scale, dataset, block, recipe, **changes)
    whole, eps = pnil.budget_of(pnil.TABLE1_SCALES, scale, dataset), pnil.BLOCKS[block][dataset]
    budget = replace(whole, folds=min(FOLDS, whole.folds), keep=KEPT[kept])
    draws: dict[str, Any] = {"eot": 1, "votes": pnil.VOTES} if changes else {}
    cells = {}
    for name, cell in of_table.cells.items():
        cells[name] = cell
        if name == pnil.PGD:
            cells[ONE_DRAW] = share(budget.shown(eps, "pgd", **draws), "pgd")
    models = pnil.models(budget, dataset, recipe, eps, **changes)
    labels = (block, dataset, f"{eps:.3g}", kept, pnil.title(recipe, **changes))
    return Line(labels=labels, cells=cells, models=models)


PNIL_READINGS = pnil.table(
    name="pnil-readings",
    claim=pnil.TABLE1.claim,
    rule=robust,
    datasets=("fashion-mnist", "mnist"),
    other_datasets={Scale.smoke: ("digits",), Scale.cpu: ("mnist",)},
    label_columns=("block", "data set", "eps", "epoch", "training"),
    readings=("block", "eps", "epoch"),
    lines=readings,
    bars=(("Min", "worst case"),),
    split=4,
    notes=(
        "The baseline of a training with PNIL is the same without, at the same eps and by the same epoch. Of two "
        "trainings the t interval is very wide: only all ten folds, as in pnil-table1, can decide.",
        "Lowest loss: the epoch of the lowest adversarial loss on validation images, the paper's early stopping; last "
        f"epoch: none. {ONE_DRAW}: a gradient of PNIL is of one draw and not an average, and answers are by votes all "
        "the same; without PNIL both are one attack.",
        "Validation images choose the epoch, test images judge, and no reading is chosen by them: all are shown.",
    ),
)
