"""What kind of model is this? A few images tell before the first attack."""

from collections.abc import Iterator
from itertools import chain
from typing import Any, Literal

import torch
from torch import Tensor, nn

from advtool import seeding
from advtool.data import layout_hint, shape_of
from advtool.errors import InputError, is_out_of_memory, reason
from advtool.target.adapting import DTYPES, adapted, logits_from, logits_of, trainable
from advtool.target.arithmetic import users_defaults
from advtool.target.blaming import blaming
from advtool.target.differentiation import differentiate
from advtool.target.facts import Facts, ImageType, Needs, Randomness
from advtool.target.handling import Handled
from advtool.target.holding import buffers_of, dense, parameters_of
from advtool.target.memory_use import bytes_an_image
from advtool.target.opening.normalise import channels_hint
from advtool.target.probing import depends_on_the_batch, differ, mean_depends_on_the_batch, randomness

PREFLIGHT_IMAGES = 8
"""The model is asked about so many images; about fewer if memory runs out."""
MIN_PREFLIGHT_IMAGES = 2
"""The model is asked about at least so many images."""
NEAR_AN_END = 0.05
"""Sigmoids of a trained model come so near to 0 and to 1; small positive logits do not."""


def preflight(handled: Handled, images: Tensor) -> Facts:
    """Ask the model about the first 8 images. This costs at most ten gradients of eight images.

    The caller seeds the global generators. The model's buffers and attributes are put back afterwards.

    Args:
        handled: the model, on its device, in eval mode and frozen.
        images: float32 (N, C, H, W) in [0, 1] on the model's device.

    Raises:
        InputError: the model is broken, or it is not a classifier of such images; the message says why.
    """
    check_parameters(handled.model)
    few = images[:PREFLIGHT_IMAGES] if len(images) > 1 else images.repeat(2, 1, 1, 1)
    while True:
        try:
            with blaming("the model fails on a few images"):
                return _Questions(handled, few).facts()
        except Exception as error:
            if not is_out_of_memory(error) or len(few) <= MIN_PREFLIGHT_IMAGES:
                raise
            few = few[: max(MIN_PREFLIGHT_IMAGES, len(few) // 2)]
        finally:
            handled.state.restore()


def check_parameters(model: nn.Module) -> None:
    """Refuse parameters that are NaN or infinite.

    Raises:
        InputError: a parameter is NaN or infinite; the message gives its name.
    """
    for name, parameter in parameters_of(model).items():
        if parameter.is_floating_point() and not bool(dense(parameter.detach()).isfinite().all()):
            raise InputError(f"the model's weights hold NaN or infinity (in '{name}'): its training diverged")


class _Questions:
    """Asks all questions in order. Each question builds on the answers before it.

    Args:
        handled: the model.
        few: a few images (N, C, H, W), at least 2, on the model's device.
    """

    def __init__(self, handled: Handled, few: Tensor) -> None:
        self.handled, self.few = handled, few

    def facts(self) -> Facts:
        needs, logits, chosen = self._first_call()
        needs = self._batch_sizes(needs)
        self._refuse_one_output_tensor(needs)
        found = differentiate(self._build, needs, self.few, self.handled.state)
        needs, kind = self._randomness(found.needs)
        model = self._build(needs)
        depends = depends_on_the_batch if kind is Randomness.none else mean_depends_on_the_batch
        return Facts(
            classes=logits.shape[1],
            logits_from=chosen,
            randomness=kind,
            autograd=found.autograd,
            no_gradient_because=found.no_gradient_because,
            needs=needs,
            bytes_an_image=bytes_an_image(model, self.few[:1], found.autograd),
            train_mode=self.handled.train_mode,
            batch_dependent=depends(model, self.few),
            probabilities=_like_probabilities(logits),
            differentiates=found.differentiates,
            moving=self.handled.state.changed(),
        )

    def _build(self, needs: Needs) -> nn.Module:
        return adapted(self.handled, needs)

    def _first_call(self) -> tuple[Needs, Tensor, str | None]:
        """What the model needs to answer at all, its logits for the few images, and where in its answer they are."""
        x, needs, answer = self._first_answer(self.few)
        logits = self._logits(answer)
        single = None if logits.ndim == 2 and logits.shape[1] > 1 else self._kind_of_single(logits, needs)
        plain = answer is logits and (logits.dtype, logits.device) == (torch.float32, self.few.device)
        needs = needs.model_copy(
            update={
                "own_input": needs.own_input or (needs.dtype is None and not x.equal(self.few)),
                "unwrapping": not plain and needs.dtype is None,
                "single": single,
                "finite": bool(logits.isneginf().any()),
            }
        )
        logits = self._build(needs)(self.few) if single else logits.float()
        if not bool(logits.amax(1).isfinite().any()):  # amax of a row with a NaN is NaN
            raise InputError("the model's logits for the first images are all NaN or infinite")
        return needs, logits, logits_from(answer, len(self.few))

    def _kind_of_single(self, numbers: Tensor, needs: Needs) -> Literal["logit", "probability"]:
        """Whether one number for each image is a "probability" or a "logit", which some image takes out of [0, 1].

        The few images may all be of one class, so their negatives, and noise, are asked about too.
        """
        noise = torch.rand(self.few.shape, generator=torch.Generator().manual_seed(0)).to(self.few.device)
        others = (self._logits(self._ask(x, needs)) for x in (1 - self.few, noise))
        inside = (bool(((each >= 0) & (each <= 1)).all()) for each in chain((numbers,), others))
        return "probability" if all(inside) else "logit"

    def _first_answer(self, images: Tensor) -> tuple[Tensor, Needs, Any]:
        """Call the model with one set of needs after another until it answers.

        Returns:
            The images as the call has left them, the needs with which the model answered, and its answer.
        """
        fault: Exception | None = None
        for needs in _first_needs(self.handled.model):
            x = images.clone()
            version = x._version
            try:
                answer = self._ask(x, needs)
            except Exception as error:
                if is_out_of_memory(error):
                    raise
                fault = fault or error
                self.handled.state.restore()
                continue
            changed = needs.dtype is None and x._version != version
            return x, needs.model_copy(update={"own_input": needs.own_input or changed}), answer
        assert fault is not None
        if len(images) > 1 and self._takes(images[:1]):
            raise InputError(
                f"the model takes a single image, but fails with a batch of {len(images)} ({reason(fault)}): "
                "it must take batches of any size"
            ) from fault
        where = layout_hint(self.few) or channels_hint(self.handled.model, self.few.shape[1])
        raise InputError(
            f"the model does not take images of shape {shape_of(self.few[0])}: {reason(fault)}{where}"
        ) from fault

    def _takes(self, images: Tensor) -> bool:
        try:
            self._first_answer(images)
        except InputError:
            return False
        return True

    def _ask(self, x: Tensor, needs: Needs) -> Any:
        """The model's answer as the model gives it."""
        x = x if needs.dtype is None else x.to(DTYPES[needs.dtype])
        x = x.clone() if needs.own_input else x[:]  # a view, because batches are mostly views
        if not needs.with_gradients:
            with users_defaults(), torch.no_grad():
                return self.handled.model(x)
        with users_defaults(), trainable(self.handled.trainable), torch.enable_grad():
            return self.handled.model(x.clone().requires_grad_())

    def _logits(self, answer: Any) -> Tensor:
        """The logits in an answer to the few images, (N, classes), (N, 1) or (N,); anything else is refused."""
        wanted = f"the model must map (N, C, H, W) to logits (N, classes); for {len(self.few)} images it gave"
        try:
            logits = logits_of(answer, len(self.few))
        except TypeError as error:
            raise InputError(f"{wanted} {error}") from None
        if logits.dtype is torch.bool or logits.is_complex() or logits.is_quantized or logits.layout != torch.strided:
            raise InputError(f"{wanted} {logits.dtype} values ({logits.layout}): give real numbers")
        if logits.ndim not in (1, 2) or len(logits) != len(self.few):
            raise InputError(f"{wanted} {shape_of(logits)}")
        if logits.ndim == 1 and not logits.is_floating_point():
            raise InputError(f"{wanted} one whole number each: give the logits, not the class of the highest")
        return logits

    def _refuse_one_output_tensor(self, needs: Needs) -> None:
        """Refuse a model that writes every answer into the same tensor."""
        model = self._build(needs)
        with torch.no_grad():
            first = model(self.few[:2])
            before = first.clone()
            second = model(self.few[:2].flip(0))
        if first.data_ptr() == second.data_ptr() and not torch.equal(first, before):
            raise InputError(
                "the model answers every call in the same tensor, so a second call overwrites the first: "
                "return a new tensor, e.g. out.clone()"
            )

    def _batch_sizes(self, needs: Needs) -> Needs:
        """See that the model takes batches of one and of three images. One image may need a companion."""
        for companions in (False, True):
            needs = needs.model_copy(update={"companions": companions})
            fault = self._fault(needs, 1)
            if fault is None:
                break
        fault = fault or self._fault(needs, 3)
        if fault is not None:
            raise InputError(
                f"the model takes a batch of {len(self.few)} images, but fails with other batches ({fault}): "
                "it must take batches of any size"
            )
        return needs

    def _fault(self, needs: Needs, count: int) -> str | None:
        """What goes wrong with a batch of ``count`` images; None if nothing does."""
        images = self.few.repeat(2, 1, 1, 1)[:count]
        try:
            with torch.no_grad():
                logits = self._build(needs)(images)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            return reason(error)
        return None if logits.ndim == 2 and len(logits) == count else f"it gave {shape_of(logits)}"

    def _randomness(self, needs: Needs) -> tuple[Needs, Randomness]:
        """How the answers vary. If they vary because calls change the model's state, the model needs rewinding."""
        kind = randomness(self._build(needs), self.few)
        if kind is not Randomness.none and self.handled.state.changed():
            rewinding = needs.model_copy(update={"rewinding": True})
            if not self._repeats(needs) and self._repeats(rewinding):
                return rewinding, randomness(self._build(rewinding), self.few)
        return needs, kind

    @torch.no_grad()
    def _repeats(self, needs: Needs) -> bool:
        """Whether two calls under the same random streams give the same answer."""
        model, answers = self._build(needs), []
        for _ in range(2):
            with seeding.global_streams(self.few.device, 0, "repeat"):
                answers.append(model(self.few).clone())
        return not differ(*answers)


def _like_probabilities(logits: Tensor) -> bool:
    """Whether outputs (N, classes) look like those of a softmax, which sum to 1, or of sigmoids, which fill [0, 1]."""
    low, high = logits.aminmax()
    softmax = (logits.sum(1) - 1).abs().max() < 1e-4
    sigmoid = (low < NEAR_AN_END) & (high > 1 - NEAR_AN_END) & (high <= 1)
    return bool((low >= 0) & (softmax | sigmoid))


def _first_needs(model: nn.Module) -> Iterator[Needs]:
    """Needs that may make the model answer, the simplest first."""
    dtypes = _types_of_weights(model)
    yield Needs()
    yield from (Needs(dtype=dtype) for dtype in dtypes)
    yield Needs(own_input=True)
    for dtype in (None, *dtypes):
        yield Needs(dtype=dtype, with_gradients=True)


def _types_of_weights(model: nn.Module) -> list[ImageType]:
    """The types of the model's floating point weights and buffers, in order, without float32."""
    types = dict.fromkeys(tensor.dtype for tensor in (*parameters_of(model).values(), *buffers_of(model).values()))
    return [name for each in types for name, dtype in DTYPES.items() if dtype is each]
