"""The ART estimator that every attack runs on: predictions by votes, gradients by EOT, no trace on the model."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import torch
from art.estimators.classification import PyTorchClassifier
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from advtool.attacks.affine_start import AffineStart
from advtool.perturbation import CLIP

Array = TypeVar("Array", np.ndarray, Tensor)
SURE, ENOUGH = 3.0, 20
"""Standard errors by which so many votes must speak against an image, so that as many new ones will too."""
UNSEEN = 3.0
"""Votes more that count as for the image: what none of n draws shows may happen in 3 of n (the rule of three)."""
Loss = Callable[[Tensor, Tensor], Tensor]
"""Logits (N, classes) and labels (N,), or whatever rows (N, ...) the loss wants, to the loss of each image (N,)."""


class Randomness(StrEnum):
    """How a model's outputs vary between identical calls."""

    none = "none"
    each_image = "each image"
    each_call = "each call"


@dataclass
class CallCounter:
    """Images pushed through the model so far."""

    forward: int = 0
    backward: int = 0


def per_image_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy of each image, (N,)."""
    return cross_entropy(logits, labels, reduction="none")


def predictions(scores: Tensor) -> Tensor:
    """The class of the highest score, int64 (N,); -1, which is never right, where a score is NaN or infinite."""
    return torch.where(scores.isfinite().all(1), scores.argmax(1), -1)


def margin(scores: Tensor, labels: Tensor) -> Tensor:
    """Score of the true class minus the best other one, (N,): negative where the image is misclassified.

    The margin loss of Carlini and Wagner (2017) is its negative. A tie counts as misclassified only if
    ``argmax`` takes the other class, so compare predictions, not margins, to decide.
    """
    true = scores.gather(1, labels[:, None])
    return (true - scores.scatter(1, labels[:, None], -torch.inf).amax(1, keepdim=True)).squeeze(1)


class EOTClassifier(PyTorchClassifier):
    """A PyTorch classifier for ART whose answers average over the model's own randomness.

    ``predict`` gives the log of the mean softmax over ``votes`` draws (of one draw: the logits themselves), so
    its arg max is the prediction rule of every accuracy in advtool. ``loss_gradient`` gives the gradient of the
    mean loss over ``eot`` draws (expectation over transformation, Athalye et al. 2018). The draws of an image
    go through the model in one batch, or one by one for a model that draws once a call. Both return the type
    they were given: NumPy for ART's own attacks, tensors that stay on the device for ours. No parameter
    gradient is filled. Predictions come from the model itself, gradients and what a search asks in passing
    from its search form.

    Args:
        model: float32 (N, C, H, W) in the clip range -> logits (N, classes); used in the mode it is in.
        search_form: the same function up to rounding, and faster (:mod:`advtool.attacks.search_form`); None is
            the model.
        find_start: gives the search form in two parts (:mod:`advtool.attacks.affine_start`), or None; asked once, by
            the first attack that has use for it.
        input_shape: (C, H, W).
        classes: number of classes.
        eot: draws a gradient averages over.
        votes: draws a prediction averages over.
        batch_size: most images in one pass through the model, draws included.
        randomness: whether the model draws noise, and whether for each image or once a call.
        device: where the model is.
    """

    estimator_params = [*PyTorchClassifier.estimator_params, "eot", "votes", "batch_size"]

    def __init__(
        self,
        model: nn.Module,
        *,
        search_form: nn.Module | None = None,
        find_start: Callable[[], AffineStart | None] = lambda: None,
        input_shape: tuple[int, ...],
        classes: int,
        eot: int = 1,
        votes: int = 1,
        batch_size: int = 1024,
        randomness: Randomness = Randomness.none,
        device: torch.device | None = None,
        clip: tuple[float, float] = CLIP,
    ) -> None:
        place = device or torch.device("cpu")
        if place.type == "cuda" and place.index is not None:
            torch.cuda.set_device(place)  # ART's "gpu" is the current CUDA device
        super().__init__(
            model=_Whole(model),
            loss=nn.CrossEntropyLoss(),
            input_shape=input_shape,
            nb_classes=classes,
            clip_values=clip,
            device_type="gpu" if place.type == "cuda" else "cpu",
        )
        self.eot, self.votes, self.batch_size = eot, votes, batch_size
        self.randomness = randomness
        self.search_form, self._find_start = search_form or model, find_start
        self.calls = CallCounter()

    @property
    def randomised(self) -> bool:
        """Whether two identical calls may differ."""
        return self.randomness is not Randomness.none

    @property
    def knows_what_fell(self) -> bool:
        """Whether a misclassification can be told from luck: fewer than ``ENOUGH`` votes prove nothing."""
        return not self.randomised or self.votes >= ENOUGH

    @cached_property
    def start(self) -> AffineStart | None:
        """The search form in two parts, if it begins with an affine map."""
        return self._find_start()

    def logits(self, x: Tensor) -> Tensor:
        """One draw of the model's logits, (N, classes), for images on the device (N, C, H, W)."""
        with torch.no_grad():
            return _joined([self._forward(part) for part in x.split(self.batch_size)])

    def search_logits(self, x: Tensor) -> Tensor:
        """:meth:`logits` by the search form."""
        with torch.no_grad():
            return _joined([self._search(part) for part in x.split(self.batch_size)])

    def logits_nearby(self, x: Tensor, changes: Tensor) -> Tensor:
        """:meth:`search_logits` of the N images ``x`` moved by each of P ``changes`` (P, C, H, W): (P, N, classes)."""
        with torch.no_grad():
            return torch.cat([self._rows_nearby(x, some) for some in changes.split(self.batch_size)])

    def scores(self, x: Tensor) -> Tensor:
        """The log of the mean softmax over ``votes`` draws, (N, classes); one draw: the logits."""
        if self.votes == 1:
            return self.logits(x)
        with torch.no_grad():
            return torch.cat([_log_mean_exp(self._vote(part)) for part in x.split(self._images_a_pass(self.votes))])

    def surely_wrong(self, x: Tensor, y: Tensor) -> Tensor:
        """Whether the next votes will misclassify these images too, bool (N,), as far as as many votes now can tell.

        Of the true class's probability less that of the strongest other, the mean over the votes, with ``UNSEEN`` of
        them for the image, must lie ``SURE`` standard errors of the difference between two such means below 0.
        """
        size = self._images_a_pass(self.votes)
        with torch.no_grad():
            parts = [_speak_against(self._vote(xs), ys) for xs, ys in zip(x.split(size), y.split(size), strict=True)]
        return torch.cat(parts)

    def scores_and_gradient(
        self, x: Tensor, y: Tensor, loss: Loss = per_image_cross_entropy, *, eot: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Scores (N, classes) and the gradient (N, C, H, W) of the mean loss, by the search form and ``eot`` draws.

        The gradient of an image does not depend on the others: losses are summed over the batch, not averaged.
        ``y`` (N, ...) is what the ``loss`` takes beside the logits, the labels for most; ``eot`` is the estimator's
        when left out.
        """
        draws = self.eot if eot is None else eot
        size = self._images_a_pass(draws)
        parts = [self._differentiate(xs, ys, loss, draws) for xs, ys in zip(x.split(size), y.split(size), strict=True)]
        scores, gradients = zip(*parts, strict=True)
        return _joined(scores), _joined(gradients)

    def predict(self, x: Array, batch_size: int = 128, training_mode: bool = False, **kwargs: Any) -> Array:
        """ART's signature for :meth:`scores`. ``batch_size`` and ``training_mode`` are the run's, not the caller's."""
        del batch_size, training_mode, kwargs
        return like(x, self.scores(self._on_device(x)))

    def loss_gradient(self, x: Array, y: Array, training_mode: bool = False, **kwargs: Any) -> Array:
        """ART's signature for the gradient of the mean cross entropy over ``eot`` draws.

        Labels are one-hot (N, classes) or indices (N,), arrays or tensors alike.
        """
        del training_mode, kwargs
        labels = self._on_device(y, dtype=None)
        indices = labels.argmax(1) if labels.ndim == 2 else labels
        return like(x, self.scores_and_gradient(self._on_device(x), indices.long())[1])

    def _forward(self, x: Tensor) -> Tensor:
        self.calls.forward += len(x)
        return self._model(x)[-1].float()  # type: ignore[no-any-return]

    def _search(self, x: Tensor) -> Tensor:
        self.calls.forward += len(x)
        return self.search_form(x).float()  # type: ignore[no-any-return]

    def _rows_nearby(self, x: Tensor, changes: Tensor) -> Tensor:
        parts = x.split(max(1, self.batch_size // len(changes)))
        return torch.cat([self._logits_nearby(part, changes) for part in parts], 1)

    def _logits_nearby(self, x: Tensor, changes: Tensor) -> Tensor:
        if self.start is None:
            logits = self.search_logits((x + changes[:, None]).flatten(0, 1))
        else:
            self.calls.forward += len(changes) * len(x)
            logits = self.start.logits(self.start.moved(x, changes)).float()
        return logits.view(len(changes), len(x), -1)

    def _vote(self, x: Tensor) -> Tensor:
        """The log softmax of each of ``votes`` draws, (votes, N, classes)."""
        answers = [self._forward(draws) for draws in self._draws(x, self.votes)]
        return torch.cat(answers).view(self.votes, len(x), -1).log_softmax(2)

    @torch.inference_mode(False)
    @torch.enable_grad()
    def _differentiate(self, x: Tensor, y: Tensor, loss: Loss, eot: int) -> tuple[Tensor, Tensor]:
        # whatever mode the caller is in; autograd takes no tensors that were made in inference mode
        x, y = (tensor.clone() if tensor.is_inference() else tensor for tensor in (x, y))
        if eot == 1:
            logits, gradient = self._logits_and_slope(x, y, loss)
            return logits, _without_nan(gradient)
        total, answers = torch.zeros_like(x), []
        for draws in self._draws(x, eot):
            copies = len(draws) // len(x)
            logits, gradient = self._logits_and_slope(draws, _repeat(y, copies), loss)
            total += gradient.view(copies, *x.shape).sum(0)
            answers.append(logits.view(copies, len(x), -1))
        return _log_mean_exp(_joined(answers).log_softmax(2)), _without_nan(total / eot)

    def _logits_and_slope(self, x: Tensor, y: Tensor, loss: Loss) -> tuple[Tensor, Tensor]:
        point = x.detach().requires_grad_()
        logits = self._search(point)
        gradient = _slope(loss(logits, y).sum(), point)
        self.calls.backward += len(x)
        return logits.detach(), gradient

    def _draws(self, x: Tensor, draws: int) -> Iterator[Tensor]:
        """Copies of the batch for ``draws`` draws, as many together as fit into a pass."""
        together = 1 if self.randomness is Randomness.each_call else max(1, self.batch_size // len(x))
        while draws > 0:
            copies = min(draws, together)
            yield x if copies == 1 else _repeat(x, copies)
            draws -= copies

    def _images_a_pass(self, draws: int) -> int:
        return self.batch_size if self.randomness is Randomness.each_call else max(1, self.batch_size // draws)

    def _on_device(self, values: np.ndarray | Tensor, dtype: torch.dtype | None = torch.float32) -> Tensor:
        # ART's attacks pass float64 now and then (HopSkipJump): the model's type is float32
        return torch.as_tensor(values, dtype=dtype, device=self.device)


class _Whole(nn.Module):
    """The model as one opaque piece: ART would run a Sequential's children and skip its own ``forward``."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.inner = model

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)  # type: ignore[no-any-return]


@contextmanager
def frozen(model: nn.Module) -> Iterator[nn.Module]:
    """The model in eval mode and without parameter gradients, for a while; left as it was afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    needy = [parameter for parameter in model.parameters() if parameter.requires_grad and not parameter.is_inference()]
    try:
        for parameter in needy:
            parameter.requires_grad_(False)
        yield model.eval()
    finally:
        for module, training in modes:
            module.training = training
        for parameter in needy:
            parameter.requires_grad_(True)


def like(given: Array, result: Tensor) -> Array:
    """``result`` as the type of ``given``: a tensor, or a float32 array."""
    return result if isinstance(given, Tensor) else result.cpu().numpy().astype(np.float32)


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(tuple(parts))  # a copy less


def _without_nan(gradient: Tensor) -> Tensor:
    return gradient.nan_to_num(nan=0.0)  # a NaN says nothing about the direction


def _repeat(values: Tensor, copies: int) -> Tensor:
    return values.repeat(copies, *[1] * (values.ndim - 1))


def _speak_against(votes: Tensor, y: Tensor) -> Tensor:
    """Whether log softmax outputs (V, N, classes) say that V others would misclassify the image too, bool (N,)."""
    shares = votes.exp()
    other = shares.mean(0).scatter(1, y[:, None], -1.0).argmax(1)
    lead = _of(y, shares) - _of(other, shares)
    return lead.mean(0) + UNSEEN / len(votes) < -SURE * math.sqrt(2 / len(votes)) * lead.std(0)


def _of(classes: Tensor, shares: Tensor) -> Tensor:
    """From votes (V, N, classes) those for one class of each image, (V, N)."""
    return shares.gather(2, classes.expand(len(shares), -1)[..., None]).squeeze(2)


def _slope(value: Tensor, x: Tensor) -> Tensor:
    """The gradient of ``value`` at ``x``; zero where the model cuts the graph, so gradient-free attacks go on."""
    if not value.requires_grad:
        return torch.zeros_like(x)
    return torch.autograd.grad(value, x, allow_unused=True, materialize_grads=True)[0]


def _log_mean_exp(log_values: Tensor) -> Tensor:
    return log_values.logsumexp(0) - math.log(len(log_values))
