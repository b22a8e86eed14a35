"""Any evasion attack of ART by its class name, in the threat model of the run."""

import inspect
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from typing import Any

import numpy as np
import torch
from torch import Tensor

from advtool.attacks.art_classifier import EOTClassifier
from advtool.attacks.base import Found, StepReport, TensorAttack
from advtool.errors import InputError, is_out_of_memory, near_match
from advtool.perturbation import project
from advtool.target.target import Target

FROM_THE_THREAT_MODEL = ("eps", "norm", "targeted", "estimator", "classifier")


UNKNOWN_QUERIES = 50_000
"""What an attack of ART asks is its own affair: counted as one of the dearest."""


class ArtAttack(TensorAttack):
    """Runs an attack of ART on our target; what leaves the ball is projected back, and then verified.

    The radius, the norm and the step size (where the attack has one and none is given) come from the threat
    model; everything else is ART's default unless given.

    Args:
        target: the model under attack.
        class_name: a class of ``art.attacks.evasion``.
        given: parameters of that class.
        eps: radius of the ball, a fraction of the pixel range.
    """

    def __init__(self, target: Target, class_name: str, given: Mapping[str, Any], *, eps: float) -> None:
        super().__init__(target, eps=eps)
        self.class_name, self.given = class_name, given
        self._attack = _construct(art_class(class_name), class_name, self.estimator, eps, given)

    @property
    def most_queries(self) -> int:
        return UNKNOWN_QUERIES

    def search(self, x: Tensor, y: Tensor, generator: torch.Generator, report: StepReport) -> Found:
        del generator  # ART draws from NumPy's and torch's global generators, which the evaluator seeds
        before = self.target.calls.forward
        one_hot = np.eye(self.target.classes, dtype=np.float32)[y.cpu().numpy()]
        try:
            with _seeded_random_states(), redirect_stderr(io.StringIO()):  # nested attacks draw bars unasked
                found = self._attack.generate(x=x.cpu().numpy(), y=one_hot)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            raise InputError(f"art:{self.class_name} fails on this model: {type(error).__name__}: {error}") from error
        report(1, 1, len(x))
        spent = (self.target.calls.forward - before) // len(x)  # ART tells no image's own
        candidates = project(torch.as_tensor(found, dtype=x.dtype, device=x.device), x, self.eps)
        return Found.at_once(candidates, step=1, queries=spent)

    def parameters(self) -> dict[str, Any]:
        """What was asked for, and the step size that the threat model gave."""
        chosen = {"eps_step": self._attack.eps_step} if "eps_step" in self._attack.attack_params else {}
        return chosen | dict(self.given)


def art_class(name: str) -> type:
    """The class of ``art.attacks.evasion`` called ``name``.

    Raises:
        InputError: there is none; the nearest one is named.
    """
    from art.attacks import evasion  # noqa: PLC0415 - takes a second: only when asked for
    from art.attacks.attack import EvasionAttack  # noqa: PLC0415

    known = {
        key: value
        for key, value in vars(evasion).items()
        if inspect.isclass(value) and issubclass(value, EvasionAttack) and not inspect.isabstract(value)
    }
    if name not in known:
        lower = {key.lower(): key for key in known}
        hint = f" (did you mean '{lower[name.lower()]}'?)" if name.lower() in lower else near_match(name, known)
        raise InputError(f"--attack 'art:{name}': ART has no such evasion attack{hint}")
    return known[name]


@contextmanager
def _seeded_random_states() -> Iterator[None]:
    """``RandomState()`` draws its seed from NumPy's global stream, not from the system's entropy.

    HopSkipJump, Boundary and Brendel-Bethge make such states of their own, and a run must be repeatable.
    """
    original = np.random.RandomState

    class Seeded(original):  # type: ignore[valid-type,misc]
        def __init__(self, seed: Any = None) -> None:
            super().__init__(np.random.randint(2**31) if seed is None else seed)

    np.random.RandomState = Seeded  # type: ignore[misc]
    try:
        yield
    finally:
        np.random.RandomState = original  # type: ignore[misc]


def _construct(cls: type, name: str, estimator: EOTClassifier, eps: float, given: Mapping[str, Any]) -> Any:
    accepted = inspect.signature(cls).parameters
    for key in given:
        if key in FROM_THE_THREAT_MODEL:
            raise InputError(f"--attack 'art:{name}': {key} comes from the threat model, leave it out")
        if key not in accepted:
            raise InputError(f"--attack 'art:{name}': it has no parameter '{key}'{near_match(key, accepted)}")
    ours = {"eps": eps, "norm": np.inf, "verbose": False, "eps_step": _step_size(name, accepted, eps, given)}
    parameters = {key: value for key, value in ours.items() if key in accepted} | dict(given)
    try:
        return cls(estimator, **parameters)
    except Exception as error:
        raise InputError(f"--attack 'art:{name}': {type(error).__name__}: {error}") from error


def _step_size(name: str, accepted: Any, eps: float, given: Mapping[str, Any]) -> float:
    """APGD and ACG begin with 2 eps and halve it; an attack of many steps crosses the ball; one step takes it all."""
    if name.startswith("Auto"):
        return 2 * eps
    if "max_iter" in accepted:
        return min(eps, 2 * eps / int(given.get("max_iter", accepted["max_iter"].default)))
    return eps
