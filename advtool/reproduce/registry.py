"""The tables and figures by name. A new one is a module beside this one and a line in ``TABLES``.

The modules import torch; this one does not, so that ``--help`` can list them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from advtool.errors import InputError, near_match
from advtool.reproduce.scale import Scale

if TYPE_CHECKING:
    from advtool.reproduce.laboratory import Measured
    from advtool.reproduce.plan import Plan
    from advtool.results import Column, Panel, Row

WEN_ITTI = "Wen & Itti, Adversarial Training: embedding adversarial perturbations into the parameter space"
SCHWINN = "Schwinn, Raab & Eskofier, Towards Rapid and Robust Adversarial Training with One-Step Attacks"


class Entry(NamedTuple):
    """What the help says of a table, and the module that makes it."""

    title: str
    module: str


TABLES = {
    "apb-fig2": Entry("classical and APB LeNet in three scenarios, clean and under FGSM", "apb_fig2"),
    "apb-fig3a": Entry("APB LeNet's accuracy against eps", "apb_fig3a"),
    "apb-fig3b": Entry("naive and multimodal APB with several h", "apb_fig3b"),
    "apb-time": Entry("seconds an epoch: APB against training on clean and adversarial images", "apb_time"),
    "pnil-fig1": Entry("what PNIL learned on MNIST", "pnil_fig1"),
    "pnil-fig3": Entry("what PNIL learned on CIFAR-10", "pnil_fig3"),
    "pnil-table1": Entry("RFGSM and NFGSM training with and without PNIL, under PGD and SPSA", "pnil_table1"),
    "pnil-fig4": Entry("accuracy of PNIL models under PGD against EOT draws", "pnil_fig4"),
    "pnil-fig5": Entry("accuracy under PGD against eps, RFGSM and NFGSM training", "pnil_fig5"),
    "pnil-madry": Entry("NFGSM with PNIL on CIFAR-10's own split, against PGD training", "pnil_madry"),
    "pnil-time": Entry("seconds an epoch: one-step training against PGD training", "pnil_time"),
}


@dataclass(frozen=True, kw_only=True)
class Content:
    """What a table's module makes of the measurements."""

    label_columns: Sequence[str]
    columns: Sequence["Column"]
    rows: Sequence["Row"]
    panels: Sequence["Panel"]
    notes: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """A table or figure: what it needs, and what it makes of it.

    Attributes:
        name: on the command line.
        title: what the table shows.
        paper: whose it is.
        claim: what the paper says with it.
        rule: how its verdicts are found, in a sentence or two.
        datasets: what the paper shows it on.
        other_datasets: what a scale takes in their place if nothing is asked for.
        plan: what has to be measured, for a scale and data sets.
        tabulate: the content, from the same scale and data sets and what was measured.
    """

    name: str
    title: str
    paper: str
    claim: str
    rule: str
    datasets: tuple[str, ...]
    other_datasets: Mapping[Scale, tuple[str, ...]] = field(default_factory=lambda: {Scale.smoke: ("digits",)})
    plan: Callable[[Scale, Sequence[str]], "Plan"]
    tabulate: Callable[["Measured", Scale, Sequence[str]], Content]

    def default_datasets(self, scale: Scale) -> tuple[str, ...]:
        """What a scale takes if nothing is asked for."""
        return self.other_datasets.get(scale, self.datasets)


def find(name: str) -> Reproduction:
    """The table of that name.

    Raises:
        InputError: there is none; the nearest is named.
    """
    if name not in TABLES:
        raise InputError(f"no table or figure '{name}'{near_match(name, TABLES)}")
    found: Reproduction = import_module(f"advtool.reproduce.{TABLES[name].module}").REPRODUCTION
    return found
