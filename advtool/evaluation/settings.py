"""The settings of an evaluation: what is asked of a model, and how hard the attacks try.

This file imports nothing heavy, so that ``--help`` is instant.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

from advtool import arguments
from advtool.arguments import shown
from advtool.compute import Precision
from advtool.settings import About, checked

ATTACKS, RANDOM, PROOFS = "Attacks", "Random models", "Proofs and checks"
"""Headings of the help."""
RUNS = Path("runs")
"""Where runs are kept if nothing else is asked for. Before the first one there is no such folder."""


def _any(_label: str, value: Any) -> Any:
    """Accept any value here: the threat model checks the radius, and the registry checks the attacks."""
    return value


def _attacks() -> list[str]:
    from advtool.attacks.spelling import names  # noqa: PLC0415 - it imports torch

    return names()


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is asked of a model. Options, help, signatures and checks come from these fields.

    Raises:
        InputError: a setting is wrong; the message names it and what would be right.
    """

    eps: Annotated[
        float,
        About(
            "Largest change of a pixel, as a fraction of the range [0, 1], e.g. 0.1 or 8/255.",
            metavar="E",
            read=arguments.eps,
            check=_any,
            panel=ATTACKS,
        ),
    ] = 8 / 255
    attacks: Annotated[
        tuple[str, ...],
        About(
            "An attack such as pgd, or pgd(steps=100), or art:CLASS for any attack of ART; or a suite: 'paper' "
            "(fgsm, pgd and spsa) or 'audit' (a cascade of all). 'advtool attacks' lists them. Repeat it for more.",
            option="--attack",
            metavar="NAME",
            check=_any,
            panel=ATTACKS,
            names=_attacks,
        ),
    ] = ("paper",)
    seed: Annotated[int, About("Seed of every random stream.", check=arguments.seed)] = 0
    eot: Annotated[
        int | None,
        About(
            "Draws of a random model's noise that a gradient averages over.",
            metavar="N",
            default="1; random models 20",
            panel=RANDOM,
        ),
    ] = None
    votes: Annotated[
        int | None,
        About(
            "Draws of its noise that a prediction averages over.",
            metavar="N",
            default="1; random models 20",
            panel=RANDOM,
        ),
    ] = None
    pgd_steps: Annotated[int, About("Gradient steps of PGD.", metavar="N", panel=ATTACKS)] = 50
    spsa_steps: Annotated[int, About("Steps of SPSA.", metavar="N", panel=ATTACKS)] = 100
    spsa_samples: Annotated[
        int,
        About("Evaluations in a step of SPSA, an even number.", metavar="N", check=arguments.even_count, panel=ATTACKS),
    ] = 128
    precision: Annotated[
        Precision,
        About(
            "Precision in which attacks search: auto is bfloat16 where the device has units for it. What they find is "
            "always verified in float32.",
            panel=ATTACKS,
        ),
    ] = "auto"

    certify: Annotated[
        bool | None,
        About(
            "Prove by bounds of the model, for as many images as possible, that no adversarial example exists. Images "
            "that are proved are not attacked any more.",
            default="in audit, where it is cheap",
            panel=PROOFS,
        ),
    ] = None
    certify_seconds: Annotated[
        float,
        About(
            "Time for each image that linear bounds leave undecided.",
            metavar="S",
            default="0: linear bounds alone",
            check=arguments.seconds,
            panel=PROOFS,
        ),
    ] = 0.0

    planted: Annotated[
        bool | None,
        About(
            "Plant adversarial examples into changed copies of the model, for up to 50 images, and tell how many of "
            "them the attacks find.",
            default="in audit",
            panel=PROOFS,
        ),
    ] = None

    budget: Annotated[
        float,
        About(
            "How much the audit may cost: X times what all its attacks cost if 'doubling' runs two rounds. 'doubling' "
            "stops earlier if a round breaks no image.",
            metavar="X",
            check=arguments.factor,
            panel=ATTACKS,
        ),
    ] = 1.5

    def __post_init__(self) -> None:
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        for name, value in checked(Settings, given, _label).items():
            object.__setattr__(self, name, value)

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "Settings":
        """The settings that were given by name; the others have their defaults.

        Raises:
            InputError: there is no such setting, or its value is wrong.
        """
        return cls(**checked(cls, given, _label))


def _label(name: str, value: Any) -> str:
    """How a message begins: ``votes=0``."""
    return f"{name}={shown(value)}"
