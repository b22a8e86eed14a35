"""What there is to reproduce: the tables and figures by name, the scales, and how long each takes.

It imports nothing heavy, so that ``--help`` can list them.
"""

from collections.abc import Sequence
from enum import StrEnum

TABLES = {
    "apb-fig2": "Figure 2: LeNet with and without adversarial perturbation bias, three scenarios, FGSM at eps 0.3",
    "apb-fig3a": "Figure 3a: accuracy against eps, LeNet trained on clean images",
    "apb-fig3b": "Figure 3b: the structure of the perturbation bias, LeNet trained on clean images",
    "apb-time": "Section 5.2: what an epoch costs, with the bias and on clean and adversarial images",
    "apb-search": "Algorithm 2: the readings that its text allows, by FGSM on validation images",
    "apb-readings": "Algorithm 2: the best two readings of apb-search beside the default ones, trained in full",
    "pnil-fig1": "Figure 1: what PNIL learned on MNIST",
    "pnil-fig3": "Figure 3: what PNIL learned on CIFAR-10",
    "pnil-table1": "Table 1: RFGSM and NFGSM training with and without PNIL, under PGD and SPSA",
    "pnil-masking": "Table 1: what PGD-50 misses, without PNIL and with it",
    "pnil-readings": "Table 1 by the readings of its text: stated and larger eps, with and without early stopping",
    "pnil-fig4": "Figure 4: accuracy of models with PNIL under PGD-50 against EOT draws",
    "pnil-fig5": "Figure 5: accuracy under PGD-50 against eps, trained with RFGSM and NFGSM",
    "pnil-madry": "Section 5.2: NFGSM with PNIL on CIFAR-10's own split, against PGD training",
    "pnil-time": "What an epoch costs: one-step training, with and without PNIL, against PGD training",
}
"""Titles by name."""
NIGHT_HOURS = {
    "apb-fig2": {"mnist": 7.3, "fashion-mnist": 2.1},
    "apb-fig3a": {"mnist": 0.4, "fashion-mnist": 0.2},
    "apb-fig3b": {"mnist": 0.6, "fashion-mnist": 0.3},
    "apb-search": {"mnist": 1.0},
    "apb-readings": {"mnist": 1.5},
    "apb-time": {"mnist": 0.2, "fashion-mnist": 0.2},
    "pnil-fig1": {"mnist": 0.1},
    "pnil-fig3": {"cifar10": 0.3},
    "pnil-table1": {"mnist": 2.1, "fashion-mnist": 2.1, "cifar10": 0.8},
    "pnil-masking": {"mnist": 0.0, "fashion-mnist": 0.0},
    "pnil-fig4": {"mnist": 0.3, "fashion-mnist": 0.3},
    "pnil-fig5": {"mnist": 0.1, "fashion-mnist": 0.1},
    "pnil-madry": {"cifar10": 1.8},
    "pnil-readings": {"mnist": 1.6, "fashion-mnist": 1.6},
    "pnil-time": {"mnist": 0.1, "fashion-mnist": 0.1, "cifar10": 0.3},
}
"""About how many hours of one core a table takes at the scale night, what an earlier table shares with it aside. They
stand nowhere else: help and ``--list`` read them here.
"""


class Scale(StrEnum):
    """How much is spent on a reproduction."""

    smoke = "smoke"
    """everything runs once, on a slice: under two minutes, and its figures mean nothing"""
    cpu = "cpu"
    """at most twenty minutes on two cores; what was cut down is in the result"""
    night = "night"
    """the papers' trainings with a smaller evaluation; ``NIGHT_HOURS`` says what each table takes"""
    paper = "paper"
    """the paper's protocol in full"""


def night_hours() -> float:
    """About how many hours of one core all tables take at the scale night."""
    return sum(sum(of_table.values()) for of_table in NIGHT_HOURS.values())


def hours(name: str, scale: Scale, datasets: Sequence[str]) -> float | None:
    """Hours of one core that a table takes: at most (smoke, cpu), or about (night); None: nobody has measured it."""
    if scale in (Scale.smoke, Scale.cpu):
        return {Scale.smoke: 1 / 30, Scale.cpu: 2 / 3}[scale]
    known = NIGHT_HOURS.get(name, {})
    if scale is Scale.paper or not {*datasets} <= known.keys():
        return None
    return sum(known[dataset] for dataset in datasets)
