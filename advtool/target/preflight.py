"""What kind of model is this? Asked beforehand, of a few images: the run can then begin soon."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from advtool import seeding
from advtool.data import layout_hint, shape_of
from advtool.errors import InputError, is_out_of_memory, reason
from advtool.target.adapting import DTYPES, adapted, logits_of, trainable
from advtool.target.arithmetic import users_defaults
from advtool.target.blaming import blaming
from advtool.target.differentiation import differentiate
from advtool.target.facts import Facts, Needs
from advtool.target.handling import Handled
from advtool.target.holding import buffers_of, parameters_of
from advtool.target.memory_use import bytes_an_image
from advtool.target.probing import depends_on_the_batch, differ, mean_depends_on_the_batch, randomness
from advtool.target.target import Randomness

FEW = 8
"""Images that are asked about,"""
FEWEST = 2
"""and how many it takes at least."""


def preflight(handled: Handled, images: Tensor) -> Facts:
    """Ask the model about the first ``FEW`` images. It costs at most ten gradients of eight images.

    The caller seeds the global generators. The model's buffers and attributes are afterwards as they were.

    Args:
        handled: the model.
        images: float32 (N, C, H, W) in [0, 1] on its device.

    Raises:
        InputError: it is no classifier of such images, or is broken; the message says how.
    """
    check_parameters(handled.model)
    few = images[:FEW] if len(images) > 1 else images.repeat(2, 1, 1, 1)
    while True:
        try:
            with blaming("the model fails on a few images"):
                return _Questions(handled, few).facts()
        except Exception as error:
            if not is_out_of_memory(error) or len(few) <= FEWEST:
                raise
            few = few[: len(few) // 2]
        finally:
            handled.state.restore()


def check_parameters(model: nn.Module) -> None:
    """Refuse parameters that are NaN or infinite.

    Raises:
        InputError: one is; its name is given.
    """
    for name, parameter in parameters_of(model).items():
        if parameter.is_floating_point() and not bool(parameter.detach().isfinite().all()):
            raise InputError(f"the model's weights hold NaN or infinity (in '{name}'): its training diverged")


class _Questions:
    """The questions in their order; each builds on the answers before."""

    def __init__(self, handled: Handled, few: Tensor) -> None:
        self.handled, self.few = handled, few

    def facts(self) -> Facts:
        needs, logits = self._first_call()
        needs = self._alone(needs)
        self._refuse_one_buffer(needs)
        found = differentiate(self._build, needs, self.few, self.handled.state)
        needs, kind = self._randomness(found.needs)
        model = self._build(needs)
        depends = depends_on_the_batch if kind is Randomness.none else mean_depends_on_the_batch
        return Facts(
            classes=logits.shape[1],
            randomness=kind,
            autograd=found.autograd,
            no_gradient_because=found.because,
            needs=needs,
            bytes_an_image=bytes_an_image(model, self.few[:1], found.autograd),
            train_mode=self.handled.train_mode,
            batch_dependent=depends(model, self.few),
            probabilities=bool((logits.amin() >= 0) & ((logits.sum(1) - 1).abs().max() < 1e-4)),
            differentiates=found.inside,
            moving=self.handled.state.changed(),
        )

    def _build(self, needs: Needs) -> nn.Module:
        return adapted(self.handled, needs)

    def _first_call(self) -> tuple[Needs, Tensor]:
        """What the model needs to be asked at all, and its logits for the few images."""
        x, needs, answer = self._first_answer()
        logits = self._logits(answer)
        single = None if logits.ndim == 2 and logits.shape[1] > 1 else self._single(logits)
        plain = answer is logits and logits.dtype is torch.float32
        needs = needs.model_copy(
            update={
                "own_input": needs.own_input or (needs.dtype is None and not x.equal(self.few)),
                "unwrapping": not plain and needs.dtype is None,
                "single": single,
                "finite": bool(logits.isneginf().any()),
            }
        )
        logits = self._build(needs)(self.few) if single else logits.float()
        if not bool(logits.amax(1).isfinite().any()):  # of NaN, too, amax is NaN
            raise InputError("the model's logits for the first images are all NaN or infinite")
        return needs, logits

    def _first_answer(self) -> tuple[Tensor, Needs, Any]:
        """The images as the model has left them, what it needs as far as that shows, and what it answers to them."""
        fault: Exception | None = None
        for needs in _first_needs(self.handled.model):
            x = self.few.clone()
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
        where = layout_hint(self.few)
        raise InputError(
            f"the model does not take images of shape {shape_of(self.few[0])}: {reason(fault)}{where}"
        ) from fault

    def _ask(self, x: Tensor, needs: Needs) -> Any:
        """The model's own answer, before anything is made of it."""
        x = x if needs.dtype is None else x.to(DTYPES[needs.dtype])
        x = x.clone() if needs.own_input else x[:]  # a view, as a batch mostly is
        if not needs.with_gradients:
            with users_defaults(), torch.no_grad():
                return self.handled.model(x)
        with users_defaults(), trainable(self.handled.trainable), torch.enable_grad():
            return self.handled.model(x.clone().requires_grad_())

    def _logits(self, answer: Any) -> Tensor:
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

    def _single(self, numbers: Tensor) -> Any:
        """What one number for each image is: a probability, or a logit."""
        return "probability" if bool(((numbers >= 0) & (numbers <= 1)).all()) else "logit"

    def _refuse_one_buffer(self, needs: Needs) -> None:
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

    def _alone(self, needs: Needs) -> Needs:
        """Does the model take a batch of one image, or does it want a companion? And three?"""
        for companions in (False, True):
            needs = needs.model_copy(update={"companions": companions})
            fault = self._fault(needs, 1)
            if fault is None:
                break
        fault = fault or self._fault(needs, 3)
        if fault is not None:
            raise InputError(
                f"the model takes a batch of {len(self.few)} images, but not of others ({fault}): "
                "it must take batches of any size"
            )
        return needs

    def _fault(self, needs: Needs, count: int) -> str | None:
        """What is wrong when the model gets a batch of so many images."""
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
        """How the answers vary; where they follow the model's own state, it is to be put back before each call."""
        kind = randomness(self._build(needs), self.few)
        if kind is not Randomness.none and self.handled.state.changed():
            rewinding = needs.model_copy(update={"rewinding": True})
            if not self._repeats(needs) and self._repeats(rewinding):
                return rewinding, randomness(self._build(rewinding), self.few)
        return needs, kind

    @torch.no_grad()
    def _repeats(self, needs: Needs) -> bool:
        """Whether two calls under the same streams answer the same."""
        model, answers = self._build(needs), []
        for _ in range(2):
            with seeding.global_streams(self.few.device, 0, "repeat"):
                answers.append(model(self.few).clone())
        return not differ(*answers)


def _first_needs(model: nn.Module) -> Iterator[Needs]:
    """What may make a model answer, the simplest first."""
    dtypes = _types_of_weights(model)
    yield Needs()
    for dtype in dtypes:
        yield Needs(dtype=dtype)
    yield Needs(own_input=True)
    for dtype in (None, *dtypes):
        yield Needs(dtype=dtype, with_gradients=True)


def _types_of_weights(model: nn.Module) -> list[Any]:
    """The types of its floating point weights that are not float32, in their order."""
    types = dict.fromkeys(tensor.dtype for tensor in (*parameters_of(model).values(), *buffers_of(model).values()))
    return [name for each in types for name, dtype in DTYPES.items() if dtype is each]
