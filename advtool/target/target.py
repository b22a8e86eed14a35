"""The model under attack, as the tool asks it: predictions by votes, gradients by EOT, counters."""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from advtool import arguments, seeding
from advtool.arguments import shown
from advtool.target.blaming import blaming, blaming_batch
from advtool.target.differentiation import slope
from advtool.target.facts import Autograd, Randomness
from advtool.target.handling import home_of
from advtool.target.scores import Loss, finite, per_image_cross_entropy
from advtool.target.search_form import SearchForm
from advtool.target.votes import MIN_VOTES_TO_JUDGE, count_right, will_misclassify
from advtool.threat import CLIP


@dataclass
class CallCounter:
    """Images that went through the model so far, draws included."""

    forward: int = 0
    backward: int = 0


class Target:
    """A model whose answers average over its own randomness.

    :meth:`scores` gives the log of the mean softmax over ``votes`` draws, or the logits if there is one vote. Every
    accuracy in advtool takes the arg max of the scores as the prediction. :meth:`scores_and_gradient` gives the
    gradient of the mean loss over ``eot`` draws (expectation over transformation, Athalye et al. 2018). The draws of
    an image go through the model in one batch. A model that draws once a call is called once for each draw. Tensors
    stay on the device, and parameters get no gradients. The model itself predicts; its search form gives gradients
    and the logits that a search looks at.

    Args:
        model: float32 (N, C, H, W) in the clip range -> logits (N, classes); it is called in the mode it is in.
        find_form: gives the search form, a faster model with the same logits up to rounding
            (:mod:`advtool.target.search_form`). It is called once, when the first attack needs it. None: the model
            itself is the search form.
        input_shape: (C, H, W).
        classes: number of classes.
        eot: draws that a gradient averages over.
        votes: draws that a prediction averages over.
        batch_size: most images in one pass through the model, draws included.
        randomness: whether the model draws noise, and whether for each image or once a call.
        autograd: how to ask for the gradient.
        device: where the model is; None: where its first tensor is.
        clip: the range of pixel values.
        begin: takes a seed, puts back what the model's calls have changed, and seeds the model's own generators. None
            for a model whose calls change nothing.

    Raises:
        InputError: an argument is wrong; the message says what would be right.
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
        self.device = home_of(model) if device is None else arguments.device(device)
        self.model, self._find_form = model, find_form or (lambda: model)
        self.input_shape = arguments.image_shape(f"input_shape={shown(input_shape)}", input_shape)
        self.clip = arguments.interval(f"clip={shown(clip)}", clip)
        counts = {"classes": classes, "eot": eot, "votes": votes, "batch_size": batch_size}
        self.classes, self.eot, self.votes, self.batch_size = (
            arguments.count(f"{name}={shown(value)}", value) for name, value in counts.items()
        )
        self.randomness = Randomness(arguments.choice(f"randomness={shown(randomness)}", randomness, Randomness))
        self.autograd = Autograd(arguments.choice(f"autograd={shown(autograd)}", autograd, Autograd))
        self._begin = begin
        self.calls = CallCounter()

    def behind(self, wrap: Callable[[nn.Module], nn.Module], **changes: Any) -> "Target":
        """A target of its own: what ``wrap`` makes of this model, and of its search form. Both count their calls here.

        Args:
            wrap: takes a model and gives one that calls it, for the same images.
            changes: attributes that are others than this target's, e.g. ``classes``.
        """
        made = copy.copy(self)
        made.model, made._find_form = wrap(self.model), lambda: wrap(self.search_form)
        vars(made).pop("search_form", None)  # this target's, if it has been asked for
        vars(made).update(changes)
        return made

    @contextmanager
    def streams(self, seed: int, *place: str | int) -> Iterator[None]:
        """Within this context the model's answers depend on ``seed`` and ``place`` alone, not on earlier calls.

        The global generators and the model's own ones are seeded, and what the model's calls have changed is put back.
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
        """Whether the votes can tell a misclassified image from bad luck."""
        return not self.randomised or self.votes >= MIN_VOTES_TO_JUDGE

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

    def search_draws(self, x: Tensor, draws: int) -> Tensor:
        """So many draws of the search form's logits, (draws, N, classes), for images (N, C, H, W)."""
        with torch.no_grad():
            return torch.cat([self._draw(part, draws) for part in x.split(self._images_a_pass(draws))], 1)

    def logits_nearby(self, x: Tensor, changes: Tensor) -> Tensor:
        """The search form's logits (P, N, classes) of images (N, C, H, W) moved by each of ``changes`` (P, C, H, W)."""
        with torch.no_grad():
            return torch.cat([self._rows_nearby(x, some) for some in changes.split(self.batch_size)])

    def scores(self, x: Tensor) -> Tensor:
        """The log of the mean softmax over ``votes`` draws, (N, classes), for images (N, C, H, W) on the device.

        With one vote, the logits.
        """
        if self.votes == 1:
            return self.logits(x)
        with torch.no_grad():
            return torch.cat([_log_mean_exp(self._vote(part)) for part in x.split(self._images_a_pass(self.votes))])

    def draws_right(self, x: Tensor, y: Tensor) -> Tensor:
        """How many of ``votes`` draws, each on its own, classify the images right, int64 (N,).

        Args:
            x: images (N, C, H, W) on the device.
            y: their labels, int64 (N,).
        """
        return self._judged(x, y, count_right)

    def surely_wrong(self, x: Tensor, y: Tensor) -> Tensor:
        """Whether new votes will misclassify the images too, bool (N,), judged by ``votes`` draws now.

        See :func:`advtool.target.votes.will_misclassify` for the rule.

        Args:
            x: images (N, C, H, W) on the device.
            y: their labels, int64 (N,).
        """
        return self._judged(x, y, will_misclassify)

    def scores_and_gradient(
        self, x: Tensor, y: Tensor, loss: Loss = per_image_cross_entropy, *, eot: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Scores (N, classes) and the gradient (N, C, H, W) of the mean loss, both by the search form.

        Losses are summed over the batch, not averaged, so an image's gradient does not depend on the other images.

        Args:
            x: images (N, C, H, W) on the device.
            y: what the loss takes beside the logits, (N, ...); most losses take labels.
            loss: gives one loss for each image.
            eot: draws to average over; None: the target's ``eot``.
        """
        draws = self.eot if eot is None else eot
        size = self._images_a_pass(draws)
        parts = [self._differentiate(xs, ys, loss, draws) for xs, ys in zip(x.split(size), y.split(size), strict=True)]
        scores, gradients = zip(*parts, strict=True)
        return _joined(scores), _joined(gradients)

    def raw_gradient(self, x: Tensor, y: Tensor, loss: Loss) -> Tensor:
        """One draw of the gradient (N, C, H, W) as autograd gives it. It may hold NaN, which other methods make 0.

        Args:
            x: images (N, C, H, W) on the device.
            y: what the loss takes beside the logits, (N, ...).
            loss: gives one loss for each image.
        """
        with torch.inference_mode(False), torch.enable_grad():
            x, y = _usable(x), _usable(y)
            parts = zip(x.split(self.batch_size), y.split(self.batch_size), strict=True)
            return _joined([self._logits_and_slope(xs, ys, loss)[1] for xs, ys in parts])

    def _judged(self, x: Tensor, y: Tensor, judge: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """What ``judge`` says of the votes and the labels, (N,)."""
        size = self._images_a_pass(self.votes)
        with torch.no_grad():
            parts = [judge(self._vote(xs), ys) for xs, ys in zip(x.split(size), y.split(size), strict=True)]
        return torch.cat(parts)

    def _forward(self, x: Tensor) -> Tensor:
        return self._ask(self.model, x)

    def _search(self, x: Tensor) -> Tensor:
        return finite(self._ask(self.search_form, x))

    def _ask(self, model: nn.Module, x: Tensor) -> Tensor:
        self.calls.forward += len(x)
        with blaming_batch(model, x):
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

    def _draw(self, x: Tensor, draws: int) -> Tensor:
        answers = [self._search(copies) for copies in self._draws(x, draws)]
        return _joined(answers).view(draws, len(x), -1)

    def _vote(self, x: Tensor) -> Tensor:
        """The log softmax of every draw, (votes, N, classes)."""
        answers = [self._forward(draws) for draws in self._draws(x, self.votes)]
        return torch.cat(answers).view(self.votes, len(x), -1).log_softmax(2)

    @torch.inference_mode(False)
    @torch.enable_grad()
    def _differentiate(self, x: Tensor, y: Tensor, loss: Loss, eot: int) -> tuple[Tensor, Tensor]:
        x, y = _usable(x), _usable(y)  # the caller may be in inference mode
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
        """Copies of the batch for ``draws`` draws; as many copies at once as go through the model together."""
        together = 1 if self.randomness is Randomness.each_call else max(1, self.batch_size // len(x))
        while draws > 0:
            copies = min(draws, together)
            yield x if copies == 1 else _repeat(x, copies)
            draws -= copies

    def _images_a_pass(self, draws: int) -> int:
        return self.batch_size if self.randomness is Randomness.each_call else max(1, self.batch_size // draws)


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(tuple(parts))  # torch.cat would copy a single part


def _usable(tensor: Tensor) -> Tensor:
    """The tensor, or a copy if it was made in inference mode: autograd refuses such tensors."""
    return tensor.clone() if tensor.is_inference() else tensor


def _without_nan(gradient: Tensor) -> Tensor:
    return gradient.nan_to_num(nan=0.0)  # a NaN gives no direction


def _repeat(values: Tensor, copies: int) -> Tensor:
    return values.repeat(copies, *[1] * (values.ndim - 1))


def _log_mean_exp(log_values: Tensor) -> Tensor:
    return log_values.logsumexp(0) - math.log(len(log_values))
