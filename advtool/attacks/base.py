"""What every attack of advtool shares: ART's interface outside, tensors that stay on the device inside."""

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from art.attacks.attack import EvasionAttack
from torch import Tensor

from advtool.arguments import shown
from advtool.attacks.art_classifier import Array, EOTClassifier, like
from advtool.attacks.parameters import positive_integer
from advtool.errors import InputError
from advtool.target.scores import margin
from advtool.target.target import Target
from advtool.threat import ThreatModel


@dataclass
class Found:
    """What a search found for N images, and what it spent on each."""

    x: Tensor
    """candidates, float32 (N, C, H, W)"""
    step: Tensor
    """the step at which the candidate was met, int64 (N,); 0 is the start"""
    queries: Tensor
    """passes through the model for this image, int64 (N,), EOT draws included"""

    @classmethod
    def at_once(cls, x: Tensor, *, step: int, queries: int) -> "Found":
        """Candidates that were all found at one step and cost the same."""
        counts = torch.zeros(len(x), dtype=torch.long, device=x.device)
        return cls(x, counts + step, counts + queries)


StepReport = Callable[[int, int, int], None]
"""Called as ``report(steps done, steps in all, images standing)`` now and then while an attack searches."""


def no_report(done: int, total: int, standing: int) -> None:
    """For a search that nobody watches."""


class TensorAttack(EvasionAttack):
    """An untargeted attack within a threat model, as an ART ``EvasionAttack``.

    A subclass names its parameters in ``attack_params`` and writes :meth:`search`. What it finds counts only
    after the verifier has seen it, so a search may be cheap, lucky or stop early.

    Args:
        target: the model under attack, or ART's view of it.
        threat_model: what the attacker may do.
        eot: draws of a randomised model's noise that each gradient, or each evaluation of an attack without
            gradients, averages over; None takes the target's.

    Raises:
        InputError: a parameter is not as it must be; the message names the attack and the parameter.
    """

    one_step: ClassVar[bool] = False
    follows_gradient: ClassVar[bool] = True
    """it asks the model for gradients"""
    norms: ClassVar[tuple[str, ...]] = ()
    """the norms in which it can search; none named means all"""
    _estimator_requirements = (EOTClassifier,)

    def __init__(self, target: Target | EOTClassifier, threat_model: ThreatModel, *, eot: int | None = None) -> None:
        classifier = EOTClassifier(target) if isinstance(target, Target) else target
        super().__init__(estimator=classifier)
        self.target = classifier.target
        name = type(self).__name__.lower()
        self.threat_model = self._checked(name, threat_model)
        self.eot = positive_integer(name, "eot", self.target.eot if eot is None else eot)

    def _checked(self, name: str, threat_model: Any) -> ThreatModel:
        if not isinstance(threat_model, ThreatModel):
            raise InputError(
                f"{name}: threat_model={shown(threat_model)} must be a ThreatModel, such as ThreatModel(eps=0.1)"
            )
        ThreatModel.of(threat_model.eps, threat_model.norm)
        if self.norms and threat_model.norm not in self.norms:
            raise InputError(f"{name}: it searches in {' and '.join(self.norms)} alone, not in {threat_model.norm}")
        return threat_model

    @abstractmethod
    def search(self, x: Tensor, y: Tensor, generator: torch.Generator, report: StepReport) -> Found:
        """Adversarial candidates for images ``x`` (N, C, H, W) and class indices ``y`` (N,) on the device."""

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
            y: labels, one-hot (N, classes) or indices (N,); the model's own predictions when left out.
            generator: the attack's own random stream; seeded from torch's global one when left out.
            report: called now and then with the steps done.
            kwargs: ignored; ART's callers pass their own.
        """
        del kwargs
        device = self.target.device
        images = torch.as_tensor(x, dtype=torch.float32, device=device)
        labels = self.target.scores(images) if y is None else torch.as_tensor(y, device=device)
        indices = (labels.argmax(1) if labels.ndim == 2 else labels).long()
        if generator is None:
            generator = torch.Generator(device=device).manual_seed(int(torch.randint(2**62, (1,))))
        return like(x, self.search(images, indices, generator, report).x)

    @property
    def most_queries(self) -> int:
        """Passes through the model for an image that nothing breaks, about."""
        return self.eot

    def is_moot(self, x: Tensor, y: Tensor) -> bool:
        """Whether this model makes it another attack of ours, told by a few images; a cascade leaves it out then."""
        del x, y
        return False

    def noisy_margins(self, x: Tensor, y: Tensor) -> Tensor:
        """Margins (N,) by the search form, each the mean of ``eot`` draws."""
        return self.mean_margins(lambda: self.target.search_logits(x), y)

    def mean_margins(self, logits: Callable[[], Tensor], y: Tensor) -> Tensor:
        """The mean margins (N,) over ``eot`` calls of ``logits``, each one draw (N, classes)."""
        draws = [margin(logits(), y) for _ in range(self.eot)]
        return draws[0] if self.eot == 1 else torch.stack(draws).mean(0)

    def parameters(self) -> dict[str, Any]:
        """What defines this attack beside the threat model, for the result."""
        return {name: getattr(self, name) for name in self.attack_params}


class Candidates(Found):
    """The images under attack: for each its candidate so far with a score, and which still stand.

    ``rows`` are the images that the search still works on, indices (M,) into the N it began with. An image has
    fallen when its score is below 0. Nothing here makes the host wait for the device but :meth:`drop_fallen`,
    which a search calls now and then; and since a changed batch shape costs new convolution plans, it drops
    only when at least a tenth can go. A randomised model's noisy score below 0 proves nothing: of these images only
    those go that two sets of votes are sure of (:meth:`Target.surely_wrong`).

    Args:
        x: images (N, C, H, W).
        y: their labels (N,).
        target: the model under attack.
    """

    def __init__(self, x: Tensor, y: Tensor, target: Target) -> None:
        counts = torch.zeros(len(x), dtype=torch.long, device=x.device)
        super().__init__(x.clone(), counts, counts.clone())
        self.score = torch.full((len(x),), math.inf, device=x.device)
        self.rows = torch.arange(len(x), device=x.device)
        self._y, self._target = y, target

    def update(self, x: Tensor, score: Tensor, step: int | Tensor) -> None:
        """Keep ``x`` (M, C, H, W) where its ``score`` (M,) is lower than the best so far; NaN never is."""
        rows = self._slice
        best = self.score[rows]
        better = score < best
        self.score[rows] = torch.where(better, score, best)
        self.step[rows] = torch.where(better, step, self.step[rows])
        self.x[rows] = torch.where(better.view(-1, *[1] * (x.ndim - 1)), x, self.x[rows])

    def meet(self, x: Tensor, scores: Tensor, step: int) -> None:
        """The search is at ``x`` (M, C, H, W), with the model's ``scores`` (M, classes) there.

        Of all points met the one of lowest margin counts; of a randomised model the last: the luckiest of many noisy
        margins is no better point.
        """
        if self._target.randomised:
            self.score[self._slice] = math.inf
        self.update(x, margin(scores, self._y[self._slice]), step)

    @property
    def steps_between_looks(self) -> int:
        """How many steps to go before :meth:`drop_fallen`: it makes a GPU's host wait, and a random model vote."""
        if self._target.randomised:
            return 5 * max(1, self._target.votes // self._target.eot)
        return 2 if self.x.device.type == "cpu" else 5

    @property
    def best(self) -> Tensor:
        """The candidates of the images that the search works on, (M, C, H, W)."""
        return self.x[self._slice]

    @property
    def _slice(self) -> slice | Tensor:
        """``rows``; where none has gone a slice saves gathering and scattering all of them."""
        return slice(None) if len(self.rows) == len(self.x) else self.rows

    def spend(self, queries: int) -> None:
        """Note that many passes through the model for each image that the search works on."""
        self.queries[self._slice] += queries

    def drop_fallen(self, at_least: float = 0.1) -> Tensor | None:
        """Drop the fallen from ``rows`` if they are that share of it; the kept places (K,), or None if none go.

        None goes that fell in the search form's rounding, or in a random model's noise alone: the model is asked first.
        """
        if not self._target.knows_what_fell:
            return None
        fallen = self.score[self.rows] < 0
        least = max(1, at_least * len(self.rows))
        if int(fallen.sum()) < least:
            return None
        fallen[fallen.clone()] = self._confirm(self.rows[fallen])
        return self.keep(~fallen) if int(fallen.sum()) >= least else None

    def keep(self, wanted: Tensor) -> Tensor:
        """Go on with the ``wanted`` (M,) of ``rows`` alone; their places (K,)."""
        places = wanted.nonzero().squeeze(1)
        self.rows = self.rows[places]
        return places

    def rounds(self, count: int, queries: int) -> Iterator[tuple[int, "Candidates", Tensor]]:
        """``count`` searches of each standing image, as many side by side as fill a pass through the model.

        Yields the number of the first search of a round, the candidates for the round to fill, and the image of each,
        indices (K M,) into the N images: all M standing ones for the first search, then again for the next. A later
        round sees the images that stand by then.

        Args:
            count: searches.
            queries: passes through the model that a search asks for an image at once.
        """
        first = 0
        while first < count:
            if first:
                self.drop_fallen(at_least=0)
            if len(self.rows) == 0:
                return
            room = self._target.batch_size // (queries * len(self.rows))
            copies = min(count - first, max(1, room))
            images = self.rows.repeat(copies)
            beside = Candidates(self.x[images], self._y[images], self._target)
            yield first, beside, images
            self._take_best(beside, copies)
            first += copies

    def _take_best(self, beside: "Candidates", copies: int) -> None:
        score, copy = beside.score.view(copies, -1).min(0)
        place = copy * len(self.rows) + torch.arange(len(self.rows), device=copy.device)
        self.queries[self.rows] += beside.queries.view(copies, -1).sum(0)
        self.update(beside.x[place], score, beside.step[place])

    def _confirm(self, rows: Tensor) -> Tensor:
        """Whether the model itself misclassifies the candidates of ``rows`` (M,), now and again: bool (M,)."""
        if self._target.randomised:
            return self._confirm_twice(rows)
        self.queries[rows] += 1
        self.score[rows] = margin(self._target.scores(self.x[rows]), self._y[rows])
        return self.score[rows] < 0

    def _confirm_twice(self, rows: Tensor) -> Tensor:
        """The same of a random model: an image at the border that was lucky once seldom is twice."""
        wrong = torch.ones_like(rows, dtype=torch.bool)
        for _ in range(2):
            if len(asked := rows[wrong]):
                self.queries[asked] += self._target.votes
                wrong[wrong.clone()] = self._target.surely_wrong(self.x[asked], self._y[asked])
        self.score[rows[wrong]] = -math.inf  # no luckier margin of another start beats what is sure
        return wrong
