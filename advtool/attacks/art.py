"""Any evasion attack of ART by its class name, in the threat model of the run."""

import inspect
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any

import numpy as np
import torch
from torch import Tensor

from advtool.attacks.art_classifier import EOTClassifier
from advtool.attacks.base import Guide, StepReport, TensorAttack
from advtool.attacks.candidates import Candidates
from advtool.attacks.parameters import plain
from advtool.attacks.toolbox import EstimatorError, EvasionAttack, evasion
from advtool.errors import InputError, in_words, is_out_of_memory, near_match
from advtool.target.target import Target
from advtool.threat import ThreatModel

GIVEN_BY_THE_RUN = {
    "eps": "eps comes from the threat model",
    "norm": "norm comes from the threat model",
    "targeted": "attacks are untargeted in advtool",
    "estimator": "the model is the run's",
    "classifier": "the model is the run's",
}
"""Parameters of ART's classes that nobody else gives, and why."""
ASSUMED_QUERIES = 50_000
"""What an attack of ART asks of the model is not known beforehand: it counts as one of the dearest."""


class ArtAttack(TensorAttack):
    """Runs an attack of ART on our target; what leaves the ball is projected back, and then verified.

    The radius, the norm and the step size (where the attack has one and none is given) come from the threat
    model; everything else is ART's default unless given.

    Args:
        target: the model under attack.
        threat_model: what the attacker may do.
        class_name: a class of ``art.attacks.evasion``.
        given: parameters of that class: numbers, text and the like, or lists of these.

    Raises:
        InputError: there is no such class, it is not for image classifiers, or a parameter is not as it must be.
    """

    name = "art"
    guide = Guide.unknown
    norms = ("linf",)

    def __init__(self, target: Target, threat_model: ThreatModel, class_name: str, given: Mapping[str, Any]) -> None:
        self.name = f"art:{class_name}"
        super().__init__(target, threat_model)
        self.given = {key: plain(self.name, key, value) for key, value in given.items()}
        self._attack = _construct(art_class(class_name), class_name, self.estimator, threat_model.eps, self.given)

    @property
    def most_queries(self) -> int:
        return ASSUMED_QUERIES

    def explore(self, x: Tensor, y: Tensor, found: Candidates, generator: torch.Generator, report: StepReport) -> None:
        del generator  # ART draws from NumPy's and torch's global generators, which the evaluator seeds
        before = self.target.calls.forward
        told = self._nearest_wrong(x, y) if self._aims else y
        one_hot = np.eye(self.target.classes, dtype=np.float32)[told.cpu().numpy()]
        try:
            with _seeded_random_states(), _quietly():
                points = _images_like(x, self._attack.generate(x=x.cpu().numpy(), y=one_hot))
        except Exception as error:
            if is_out_of_memory(error):
                raise
            raise InputError(f"{self.name} fails on this model: {in_words(error)}") from error
        found.spend((self.target.calls.forward - before) // len(x))  # ART does not count them for each image
        found.take(self.threat_model.project(points, x), step=1)
        report(1, 1, len(x))

    @property
    def _aims(self) -> bool:
        """Whether it takes labels for the classes to reach, and knows no other way; one class of ART does not tell."""
        return self._attack.targeted or type(self._attack).__name__ == "SaliencyMapMethod"

    def _nearest_wrong(self, x: Tensor, y: Tensor) -> Tensor:
        """The likeliest of the other classes, int64 (N,)."""
        return self.target.scores(x).scatter(1, y[:, None], -torch.inf).argmax(1)

    def parameters(self) -> dict[str, Any]:
        """What was asked for, and the step size that the threat model gave."""
        chosen = {"eps_step": self._attack.eps_step} if "eps_step" in self._attack.attack_params else {}
        return chosen | self.given


def art_class(name: str) -> type:
    """The class of ``art.attacks.evasion`` called ``name``.

    Raises:
        InputError: there is none; the nearest one is named.
    """
    known = {
        key: value
        for key, value in vars(evasion).items()
        if inspect.isclass(value) and issubclass(value, EvasionAttack) and not inspect.isabstract(value)
    }
    if name not in known:
        lower = {key.lower(): key for key in known}
        hint = f" (did you mean '{lower[name.lower()]}'?)" if name.lower() in lower else near_match(name, known)
        raise InputError(f"attack 'art:{name}': ART has no such evasion attack{hint}")
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
        if key in GIVEN_BY_THE_RUN:
            raise InputError(f"attack 'art:{name}': {GIVEN_BY_THE_RUN[key]}, leave {key} out")
        if key not in accepted:
            raise InputError(f"attack 'art:{name}': it has no parameter '{key}'{near_match(key, accepted)}")
    ours = {
        "eps": eps,
        "norm": np.inf,
        "targeted": False,
        "verbose": False,
        "eps_step": _step_size(name, accepted, eps, given),
    }
    parameters = {key: value for key, value in ours.items() if key in accepted} | dict(given)
    missing = [key for key in _needed(accepted) if key not in parameters]
    if missing:
        raise InputError(f"attack 'art:{name}': it needs {' and '.join(missing)} in brackets")
    try:
        with _quietly():
            return cls(estimator, **parameters)
    except EstimatorError:
        raise InputError(f"attack 'art:{name}': it is no attack on image classifiers with gradients") from None
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise InputError(f"attack 'art:{name}': {in_words(error)}") from error


def _needed(accepted: Mapping[str, inspect.Parameter]) -> list[str]:
    """The parameters without a default, the estimator left out."""
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [key for key, p in list(accepted.items())[1:] if p.default is inspect.Parameter.empty and p.kind in named]


def _step_size(name: str, accepted: Mapping[str, inspect.Parameter], eps: float, given: Mapping[str, Any]) -> float:
    """APGD and ACG begin with 2 eps and halve it; an attack of many steps crosses the ball; one step takes it all."""
    if name.startswith("Auto"):
        return 2 * eps
    if "max_iter" in accepted:
        steps = given.get("max_iter", accepted["max_iter"].default)
        if isinstance(steps, int) and steps > 0:  # what else there is ART refuses itself
            return min(eps, 2 * eps / steps)
    return eps


@contextmanager
def _quietly() -> Iterator[None]:
    """Some attacks print, and nested ones draw bars unasked."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        yield


def _images_like(x: Tensor, found: Any) -> Tensor:
    """What an attack of ART gave for the images ``x`` (N, C, H, W); some give patches, or lists of other things."""
    array = np.asarray(found)
    if array.shape != tuple(x.shape) or not np.issubdtype(array.dtype, np.floating):
        raise ValueError(f"it gives no such image for each image, but {array.dtype} {array.shape}")
    return torch.as_tensor(array, dtype=x.dtype, device=x.device)
