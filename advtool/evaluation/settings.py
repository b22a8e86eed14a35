"""The settings of an evaluation: what is asked of a model, and how hard the attacks try."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from advtool import arguments
from advtool.arguments import shown
from advtool.attacks.registry import ATTACKS
from advtool.compute.precision import Precision, check_precision
from advtool.evaluation import inputs
from advtool.settings import setting
from advtool.threat import ThreatModel


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is asked of a model. Options, help, signatures, run folders and checks all come from here.

    Raises:
        InputError: a setting is not as it must be; the message names it and what would be right.
    """

    eps: float = setting(8 / 255, "Radius of the ball, a fraction of the pixel range; '8/255' works too.", metavar="E")
    attacks: str | Sequence[str] = setting(
        ("fgsm", "pgd", "spsa"),
        "fgsm, pgd, spsa, the suite 'paper' (these three) or 'audit' (a cascade of all), another of ours (pgd-margin, "
        "apgd, square, ...), or any attack of ART by its class, art:CLASS. Parameters go in brackets.",
        metavar="NAME",
    )
    seed: int = setting(0, "Seed of every random stream.", metavar="S", min=0)
    eot: int | None = setting(None, "Draws of a gradient.", metavar="N", min=1, shown_default="1; random models 20")
    votes: int | None = setting(None, "Draws of a prediction.", metavar="N", min=1, shown_default="1; random models 20")
    pgd_steps: int = setting(50, "Gradient steps of PGD.", metavar="N", min=1)
    spsa_steps: int = setting(100, "Steps of SPSA.", metavar="N", min=1)
    spsa_samples: int = setting(128, "Evaluations a step of SPSA, even.", metavar="N", min=2)
    precision: Precision = setting(
        "auto",
        "Of the search: auto is bfloat16 where the device has units for it. What counts is always verified in float32.",
    )

    def __post_init__(self) -> None:
        check_precision(self.precision)
        checked = {
            "eps": ThreatModel.of(self.eps).eps,
            "seed": arguments.seed(f"seed={shown(self.seed)}", self.seed),
            "eot": inputs.as_count_or_none("eot", self.eot),
            "votes": inputs.as_count_or_none("votes", self.votes),
            "pgd_steps": inputs.as_count("pgd_steps", self.pgd_steps),
            "spsa_steps": inputs.as_count("spsa_steps", self.spsa_steps),
            "spsa_samples": inputs.as_count("spsa_samples", self.spsa_samples, 2),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @property
    def threat_model(self) -> ThreatModel:
        """What the attacker may do."""
        return ThreatModel.of(self.eps)

    @property
    def of_attacks(self) -> dict[str, dict[str, Any]]:
        """Parameters that the run gives to attacks, by the attack's name."""
        pgd = {"steps": self.pgd_steps}
        spsa = {"steps": self.spsa_steps, "samples": self.spsa_samples, "eot": 1 if self.eot is None else self.eot}
        return {name: pgd for name in ATTACKS if name.startswith("pgd")} | {"spsa": spsa}
