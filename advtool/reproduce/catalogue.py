"""What there is to reproduce: the tables and figures by name, the scales, and how long each takes.

It imports nothing heavy, so that ``--help`` can list them. The hours of the scale night stand nowhere else.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple


class Entry(NamedTuple):
    """What is known of a table before its module is imported."""

    module: str
    """where it is, beside this file"""
    title: str
    """what it shows"""
    night_hours: Mapping[str, float]
    """about how many hours of one core each data set takes at the scale night, without what an earlier table shares"""


TABLES = {
    "apb-fig2": Entry(
        "apb",
        "Figure 2: LeNet with and without adversarial perturbation bias, three scenarios, FGSM at eps 0.3",
        {"mnist": 7.3, "fashion-mnist": 3.3},
    ),
    "apb-fig3a": Entry(
        "apb_curves",
        "Figure 3a: accuracy against eps, LeNet trained on clean images",
        {"mnist": 0.4, "fashion-mnist": 0.2},
    ),
    "apb-fig3b": Entry(
        "apb_curves",
        "Figure 3b: the structure of the perturbation bias, LeNet trained on clean images",
        {"mnist": 0.6, "fashion-mnist": 0.5},
    ),
    "apb-time": Entry(
        "timings",
        "Section 5.2: what an epoch costs, with the bias and on clean and adversarial images",
        {"mnist": 0.2, "fashion-mnist": 0.2},
    ),
    "apb-search": Entry(
        "apb_readings", "Algorithm 2: the readings that its text allows, by FGSM on validation images", {"mnist": 1.0}
    ),
    "apb-readings": Entry(
        "apb_readings",
        "Algorithm 2: the best two readings of apb-search beside the default ones, trained in full",
        {"mnist": 2.3, "fashion-mnist": 1.1},
    ),
    "pnil-fig1": Entry("pnil_maps", "Figure 1: what PNIL learned on MNIST", {"mnist": 0.1}),
    "pnil-fig3": Entry("pnil_maps", "Figure 3: what PNIL learned on CIFAR-10", {"cifar10": 0.3}),
    "pnil-table1": Entry(
        "pnil",
        "Table 1: RFGSM and NFGSM training with and without PNIL, under PGD and SPSA",
        {"mnist": 2.1, "fashion-mnist": 2.1, "cifar10": 0.8},
    ),
    "pnil-masking": Entry(
        "pnil_masking", "Table 1: what PGD-50 misses, without PNIL and with it", {"mnist": 0.0, "fashion-mnist": 0.0}
    ),
    "pnil-readings": Entry(
        "pnil_readings",
        "Table 1 by the readings of its text: stated and larger eps, with and without early stopping",
        {"mnist": 1.6, "fashion-mnist": 1.6},
    ),
    "pnil-fig4": Entry(
        "pnil_curves",
        "Figure 4: accuracy of models with PNIL under PGD-50 against EOT samples",
        {"mnist": 0.3, "fashion-mnist": 0.3},
    ),
    "pnil-fig5": Entry(
        "pnil_curves",
        "Figure 5: accuracy under PGD-50 against eps, trained with RFGSM and NFGSM",
        {"mnist": 0.1, "fashion-mnist": 0.1},
    ),
    "pnil-madry": Entry(
        "pnil", "Section 5.2: NFGSM with PNIL on CIFAR-10's own split, against PGD training", {"cifar10": 1.8}
    ),
    "pnil-time": Entry(
        "timings",
        "What an epoch costs: one-step training, with and without PNIL, against PGD training",
        {"mnist": 0.1, "fashion-mnist": 0.1, "cifar10": 0.3},
    ),
}
"""Every table and figure by its name."""


class Scale(StrEnum):
    """How much is spent on a reproduction."""

    smoke = "smoke"
    """everything runs once, on a slice: under two minutes, and its figures mean nothing"""
    cpu = "cpu"
    """at most twenty minutes on two cores; what was cut down is in the result"""
    night = "night"
    """the papers' trainings with a smaller evaluation"""
    paper = "paper"
    """the paper's protocol in full"""


def night_hours() -> float:
    """About how many hours of one core all tables take at the scale night."""
    return sum(sum(entry.night_hours.values()) for entry in TABLES.values())


def hours(name: str, scale: Scale, datasets: Sequence[str]) -> float | None:
    """Hours of one core that a table takes: at most (smoke, cpu), or about (night); None: nobody has measured it."""
    if scale in (Scale.smoke, Scale.cpu):
        return {Scale.smoke: 1 / 30, Scale.cpu: 2 / 3}[scale]
    known = TABLES[name].night_hours if name in TABLES else {}
    if scale is Scale.paper or not {*datasets} <= known.keys():
        return None
    return sum(known[dataset] for dataset in datasets)
