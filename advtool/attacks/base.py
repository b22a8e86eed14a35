"""What every attack of advtool shares: ART's interface outside, tensors that stay on the device inside."""

from abc import abstractmethod
from collections.abc import Callable
from enum import StrEnum
from typing import Any, ClassVar

import torch
from torch import Tensor

from advtool.arguments import shown
from advtool.attacks.art_classifier import Array, EOTClassifier, like, on_device
from advtool.attacks.candidates import Candidates, Found
from advtool.attacks.parameters import Parameter, positive_integer, signature
from advtool.attacks.toolbox import EvasionAttack
from advtool.data import as_labels
from advtool.data.given import pixel_range
from advtool.errors import InputError
from advtool.target.scores import BARELY_FALLEN, judged_margin, predictions, refuse_missing_classes
from advtool.target.target import Target
from advtool.threat import ThreatModel

StepReport = Callable[[float, float, int], None]
"""Called as ``report(steps done, steps in all, images standing)`` now and then while an attack searches."""


def no_report(done: float, total: float, standing: int) -> None:
    """For a search that nobody watches."""


def part_of(report: StepReport, *, before: float, share: float, total: float) -> StepReport:
    """The report of one of several searches. It begins when ``before`` of ``total`` is done, and does ``share``."""
    return lambda step, steps, standing: report(before + share * step / steps, total, standing)


class Guide(StrEnum):
    """What tells an attack where to go."""

    gradient = "the model's gradient"
    smoothed_gradient = "the model's gradient, averaged over noised inputs"
    straight_gradient = "the model's gradient, straight through rounding and clamping"
    surrogate = "another model's gradient"
    scores = "the model's scores alone"
    nothing = "nothing: its points are random"
    unknown = "whatever a class of ART follows"


class TensorAttack(EvasionAttack):
    """An untargeted attack within a threat model, as an ART ``EvasionAttack``.

    A subclass says what it is (``name``, ``guide``, ...), declares its own parameters as
    :class:`~advtool.attacks.parameters.Parameter`, and writes :meth:`explore`. What it finds counts only after the
    verifier has seen it, so a search may be cheap, lucky or stop early. ``advtool attacks`` shows the first line of its
    docstring, the paragraph ``Source:``, and the docstring below each parameter.

    Args:
        target: the model under attack, or ART's view of it.
        threat_model: what the attacker may do.
        parameters: the attack's own, by name; the class declares them with their defaults.

    Raises:
        InputError: a parameter is not as it must be, or the attack does not know the norm of the threat model. The
            message names the attack and the parameter.
    """

    name: str
    """in suites, on the command line and in results"""
    guide: ClassVar[Guide]
    one_step: ClassVar[bool] = False
    """it makes its example with a single step"""
    fewer_draws: ClassVar[int] = 1
    """in a cascade on a random model it averages over this part of the target's draws, 5 for a fifth"""
    fewest_draws: ClassVar[int] = 4
    """but over so many at least, if the target has them: the noise of one or two leads APGD astray"""
    starts_at_random: ClassVar[bool] = False
    """some of its starts are random points of the ball"""
    goes_towards_classes: ClassVar[bool] = False
    """some of its starts go towards a class, not only away from the label (ART's ``targeted`` is about the labels)"""
    norms: ClassVar[tuple[str, ...]] = ()
    """the norms in which it can search; none named means all"""
    _estimator_requirements = (EOTClassifier,)

    eot = Parameter(positive_integer, derive=lambda attack: attack.target.eot, derived="that of --eot")
    """draws of a random model's noise that each gradient averages over, or each margin where there is no gradient"""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.attack_params = list(cls.declared())
        cls.__signature__ = signature(cls.__init__, cls.declared())

    def __init__(self, target: Target | EOTClassifier, threat_model: ThreatModel, **parameters: Any) -> None:
        classifier = EOTClassifier(target) if isinstance(target, Target) else target
        super().__init__(estimator=classifier)
        self.target = classifier.target
        self.threat_model = self._known(threat_model)
        if unknown := parameters.keys() - self.declared().keys():
            raise TypeError(f"{type(self).__name__}() got an unexpected keyword argument '{min(unknown)}'")
        self.set_params(**{key: parameters.get(key, each.default) for key, each in self.declared().items()})

    @classmethod
    def declared(cls) -> dict[str, Parameter[Any]]:
        """The parameters by name, the parents' first and ``eot`` last."""
        found = {key: each for home in reversed(cls.__mro__) for key, each in vars(home).items()}
        own = {key: each for key, each in found.items() if isinstance(each, Parameter)}
        return own | {"eot": own.pop("eot")}

    @abstractmethod
    def explore(self, x: Tensor, y: Tensor, found: Candidates, generator: torch.Generator, report: StepReport) -> None:
        """Search around the images, and tell ``found`` each point that may be an adversarial example.

        Args:
            x: images, float32 (N, C, H, W) in the clip range, on the device.
            y: their labels, int64 (N,).
            found: takes the points: :meth:`Candidates.meet`, ``update`` or ``take``, and ``spend`` for the passes.
            generator: the only source of the attack's randomness.
            report: called now and then with the steps done.
        """

    def search(self, x: Tensor, y: Tensor, generator: torch.Generator, report: StepReport = no_report) -> Found:
        """Adversarial candidates for images ``x`` (N, C, H, W) and class indices ``y`` (N,) on the device."""
        found = Candidates(x, y, self.target)
        self.explore(x, y, found, generator, report)
        return found.finish()

    def generate(
        self,
        x: Array,
        y: Array | None = None,
        *,
        generator: torch.Generator | None = None,
        report: StepReport = no_report,
        **kwargs: Any,
    ) -> Array:
        """Adversarial candidates, of the type and shape of ``x``: ART's signature.

        Args:
            x: images, float32 (N, C, H, W) in the clip range, array or tensor.
            y: labels, one-hot (N, classes) or indices (N,) or (N, 1); the model's own predictions when left out.
            generator: the attack's own random stream; seeded from torch's global one when left out.
            report: called now and then with the steps done.
            kwargs: ignored; ART's callers pass their own.

        Raises:
            InputError: an image leaves the clip range, or the labels are not as they must be.
        """
        del kwargs
        device = self.target.device
        images = on_device(x, device)
        if len(images) == 0:
            return like(x, images)  # a search divides its passes among its images
        pixel_range(images, self.threat_model.clip)
        indices = self.target.scores(images).argmax(1) if y is None else as_labels(y, len(images)).to(device)
        refuse_missing_classes(indices, self.target.classes)
        if generator is None:
            generator = torch.Generator(device=device).manual_seed(int(torch.randint(2**62, (1,))))
        return like(x, self.search(images, indices, generator, report).x)

    @property
    def follows_gradient(self) -> bool:
        """Whether it asks a model for gradients."""
        return self.guide not in (Guide.scores, Guide.nothing)

    @property
    @abstractmethod
    def most_queries(self) -> int:
        """Passes through the model for an image that nothing breaks, about: sizes, orders and budgets go by it."""

    def is_moot(self, x: Tensor, y: Tensor) -> bool:
        """Whether a cascade leaves it out on this model: it would do what another attack does, or cost too much.

        Args:
            x: a few images, float32 (N, C, H, W) on the device.
            y: their labels, int64 (N,).
        """
        del x, y
        return False

    def noisy_margins(self, x: Tensor, y: Tensor) -> Tensor:
        """Margins (N,) by the search form, the mean of ``eot`` draws each; ``BARELY_FALLEN`` if no draw gives one."""
        draws = self.target.search_draws(x, self.eot).flatten(0, 1)
        margins = torch.where(predictions(draws) < 0, torch.nan, judged_margin(draws, y.repeat(self.eot)))
        means = margins.view(self.eot, -1).nanmean(0)
        return torch.where(means.isnan(), BARELY_FALLEN, means)

    def parameters(self) -> dict[str, Any]:
        """What defines this attack beside the threat model, for the result."""
        return {key: getattr(self, key) for key in self.attack_params}

    def _known(self, threat_model: Any) -> ThreatModel:
        """The threat model, if this attack knows what to do in it."""
        if not isinstance(threat_model, ThreatModel):
            wrong = f"{self.name}: threat_model={shown(threat_model)} must be a ThreatModel"
            raise InputError(f"{wrong}, e.g. ThreatModel(eps=0.1)")
        ThreatModel.of(threat_model.eps, threat_model.norm)
        if self.norms and threat_model.norm not in self.norms:
            raise InputError(
                f"{self.name}: it searches in {' and '.join(self.norms)} alone, not in {threat_model.norm}"
            )
        return threat_model
