"""The model under attack, as the tool asks it: predictions by votes, gradients by EOT, counters."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import torch
from torch import Tensor, nn

from advtool import seeding
from advtool.target.blaming import blaming
from advtool.target.scores import Loss, finite, per_image_cross_entropy
from advtool.target.search_form import SearchForm
from advtool.threat import CLIP

FEWEST_TELLING_VOTES = 20
"""With fewer votes, a misclassification cannot be told from luck."""
STANDARD_ERRORS_AGAINST = 3.0
"""The mean vote must speak against an image by this many, so that as many new votes will too."""
UNSEEN_VOTES = 3.0
"""Votes that are counted for the image in addition. What none of n draws shows may still happen in 3 of n draws (the
rule of three)."""


class Randomness(StrEnum):
    """How a model's outputs vary between identical calls."""

    none = "none"
    each_image = "each image"
    each_call = "each call"


class Autograd(StrEnum):
    """How a model's gradient is asked for."""

    grad = "grad"
    backward = "backward"
    """through ``backward()``, as reentrant checkpointing demands"""
    none = "none"
    """not at all: every gradient is zero, and attacks without gradients go on"""


@dataclass
class CallCounter:
    """Images pushed through the model so far."""

    forward: int = 0
    backward: int = 0


class Target:
    """A model whose answers average over its own randomness.

    :meth:`scores` gives the log of the mean softmax over ``votes`` draws (of one draw: the logits themselves), so
    its arg max is the prediction rule of every accuracy in advtool. :meth:`scores_and_gradient` gives the gradient of
    the mean loss over ``eot`` draws (expectation over transformation, Athalye et al. 2018). The draws of an image
    go through the model in one batch, or one by one for a model that draws once a call. Tensors stay on the device,
    and no parameter gradient is filled. The model itself gives the predictions; its search form gives the gradients
    and the logits that a search asks for on its way.

    Args:
        model: float32 (N, C, H, W) in the clip range -> logits (N, classes); used in the mode it is in.
        find_form: gives the model's search form (:mod:`advtool.target.search_form`); the first attack calls it, once.
            None: attacks search the model itself.
        input_shape: (C, H, W).
        classes: number of classes.
        eot: draws a gradient averages over.
        votes: draws a prediction averages over.
        batch_size: most images in one pass through the model, draws included.
        randomness: whether the model draws noise, and whether for each image or once a call.
        autograd: how its gradient is asked for.
        device: where the model is.
        clip: the range of pixel values.
        begin: puts back what the model's calls change, and sets its own generators to a stream; None if it has none.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        find_form: Callable[[], nn.Module] | None = None,
        input_shape: tuple[int, ...],
        classes: int,
        eot: int = 1,
        votes: int = 1,
        batch_size: int = 1024,
        randomness: Randomness = Randomness.none,
        autograd: Autograd = Autograd.grad,
        device: torch.device | None = None,
        clip: tuple[float, float] = CLIP,
        begin: Callable[[int], None] | None = None,
    ) -> None:
        self.model, self._find_form = model, find_form or (lambda: model)
        self.input_shape, self.classes, self.clip = input_shape, classes, clip
        self.eot, self.votes, self.batch_size = eot, votes, batch_size
        self.randomness, self.autograd = randomness, autograd
        self.device = device or torch.device("cpu")
        self._begin = begin
        self.calls = CallCounter()

    @contextmanager
    def streams(self, seed: int, *place: str | int) -> Iterator[None]:
        """Within it the model's answers depend on the ``place`` alone, not on what it was asked before.

        Every generator that it may draw from is set to the stream there, and its own state is what it was at first.
        """
        with seeding.global_streams(self.device, seed, *place):
            if self._begin is not None:
                self._begin(seeding.derive(seed, *place))
            yield

    @property
    def randomised(self) -> bool:
        """Whether two identical calls may differ."""
        return self.randomness is not Randomness.none

    @property
    def knows_what_fell(self) -> bool:
        """Whether a misclassification can be told from luck, which needs ``FEWEST_TELLING_VOTES``."""
        return not self.randomised or self.votes >= FEWEST_TELLING_VOTES

    @cached_property
    def search_form(self) -> nn.Module:
        """The model as attacks search it: a faster copy, or the model itself."""
        return self._find_form()

    def logits(self, x: Tensor) -> Tensor:
        """One draw of the model's logits, (N, classes), for images on the device (N, C, H, W)."""
        with torch.no_grad():
            return _joined([self._forward(part) for part in x.split(self.batch_size)])

    def search_logits(self, x: Tensor) -> Tensor:
        """One draw of the search form's logits (N, classes) for images (N, C, H, W)."""
        with torch.no_grad():
            return _joined([self._search(part) for part in x.split(self.batch_size)])

    def logits_nearby(self, x: Tensor, changes: Tensor) -> Tensor:
        """The search form's logits (P, N, classes) of images (N, C, H, W) moved by each of ``changes`` (P, C, H, W)."""
        with torch.no_grad():
            return torch.cat([self._rows_nearby(x, some) for some in changes.split(self.batch_size)])

    def scores(self, x: Tensor) -> Tensor:
        """The log of the mean softmax over ``votes`` draws, (N, classes); one draw: the logits."""
        if self.votes == 1:
            return self.logits(x)
        with torch.no_grad():
            return torch.cat([_log_mean_exp(self._vote(part)) for part in x.split(self._images_a_pass(self.votes))])

    def surely_wrong(self, x: Tensor, y: Tensor) -> Tensor:
        """Whether new votes will misclassify these images too, bool (N,), as far as ``votes`` votes can tell.

        A vote's lead is the probability of the true class less that of the strongest other class. The mean lead, with
        ``UNSEEN_VOTES`` votes added for the image, must be negative by ``STANDARD_ERRORS_AGAINST`` standard errors of
        the difference between two such means.
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

    def raw_gradient(self, x: Tensor, y: Tensor, loss: Loss) -> Tensor:
        """One draw of the gradient (N, C, H, W) as autograd gives it, NaN included; elsewhere a NaN counts as zero."""
        with torch.inference_mode(False), torch.enable_grad():
            x, y = _usable(x), _usable(y)
            parts = zip(x.split(self.batch_size), y.split(self.batch_size), strict=True)
            return _joined([self._logits_and_slope(xs, ys, loss)[1] for xs, ys in parts])

    def _forward(self, x: Tensor) -> Tensor:
        return self._ask(self.model, x)

    def _search(self, x: Tensor) -> Tensor:
        return finite(self._ask(self.search_form, x))

    def _ask(self, model: nn.Module, x: Tensor) -> Tensor:
        self.calls.forward += len(x)
        with blaming(f"the model fails on a batch of {tuple(x.shape)}"):
            return model(x).float()  # type: ignore[no-any-return]

    def _rows_nearby(self, x: Tensor, changes: Tensor) -> Tensor:
        parts = x.split(max(1, self.batch_size // len(changes)))
        return torch.cat([self._logits_nearby(part, changes) for part in parts], 1)

    def _logits_nearby(self, x: Tensor, changes: Tensor) -> Tensor:
        form = self.search_form
        if isinstance(form, SearchForm):
            self.calls.forward += len(changes) * len(x)
            logits = finite(form.nearby(x, changes).float())
        else:
            logits = self._search((x + changes[:, None]).flatten(0, 1))
        return logits.view(len(changes), len(x), -1)

    def _vote(self, x: Tensor) -> Tensor:
        """The log softmax of each of ``votes`` draws, (votes, N, classes)."""
        answers = [self._forward(draws) for draws in self._draws(x, self.votes)]
        return torch.cat(answers).view(self.votes, len(x), -1).log_softmax(2)

    @torch.inference_mode(False)
    @torch.enable_grad()
    def _differentiate(self, x: Tensor, y: Tensor, loss: Loss, eot: int) -> tuple[Tensor, Tensor]:
        x, y = _usable(x), _usable(y)  # whatever mode the caller is in
        if eot == 1:
            logits, gradient = self._logits_and_slope(x, y, loss)
            return logits, _without_nan(gradient)
        total, answers = torch.zeros_like(x), []
        for draws in self._draws(x, eot):
            copies = len(draws) // len(x)
            logits, gradient = self._logits_and_slope(draws, _repeat(y, copies), loss)
            total += _without_nan(gradient).view(copies, *x.shape).sum(0)
            answers.append(logits.view(copies, len(x), -1))
        return _log_mean_exp(_joined(answers).log_softmax(2)), total / eot

    def _logits_and_slope(self, x: Tensor, y: Tensor, loss: Loss) -> tuple[Tensor, Tensor]:
        if self.autograd is Autograd.none:
            with torch.no_grad():
                return self._search(x), torch.zeros_like(x)
        point = x.detach().requires_grad_()
        logits = self._search(point)
        with blaming(f"the gradient of the model fails on a batch of {tuple(x.shape)}"):
            gradient = slope(loss(logits, y).sum(), point, self.autograd)
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


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(tuple(parts))  # a copy less


def _usable(tensor: Tensor) -> Tensor:
    """Autograd takes no tensors that were made in inference mode."""
    return tensor.clone() if tensor.is_inference() else tensor


def _without_nan(gradient: Tensor) -> Tensor:
    return gradient.nan_to_num(nan=0.0)  # a NaN says nothing about the direction


def _repeat(values: Tensor, copies: int) -> Tensor:
    return values.repeat(copies, *[1] * (values.ndim - 1))


def _speak_against(votes: Tensor, y: Tensor) -> Tensor:
    """Whether log softmax outputs (V, N, classes) say that V others would misclassify the image too, bool (N,)."""
    shares = votes.exp()
    other = shares.mean(0).scatter(1, y[:, None], -1.0).argmax(1)
    lead = _of(y, shares) - _of(other, shares)
    return lead.mean(0) + UNSEEN_VOTES / len(votes) < -STANDARD_ERRORS_AGAINST * math.sqrt(2 / len(votes)) * lead.std(0)


def _of(classes: Tensor, shares: Tensor) -> Tensor:
    """From votes (V, N, classes) those for one class of each image, (V, N)."""
    return shares.gather(2, classes.expand(len(shares), -1)[..., None]).squeeze(2)


def slope(value: Tensor, x: Tensor, way: Autograd = Autograd.grad) -> Tensor:
    """The gradient of ``value`` at the leaf ``x``; zero where the model cuts the graph."""
    if not value.requires_grad:
        return torch.zeros_like(x)
    if way is Autograd.grad:
        return torch.autograd.grad(value, x, allow_unused=True, materialize_grads=True)[0]
    value.backward()
    return torch.zeros_like(x) if x.grad is None else x.grad


def _log_mean_exp(log_values: Tensor) -> Tensor:
    return log_values.logsumexp(0) - math.log(len(log_values))
