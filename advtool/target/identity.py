"""Which model is this? Its tensors, answers and gradients tell; its Python source is never looked at."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from advtool import documents, tensor_files
from advtool.errors import is_out_of_memory
from advtool.target.adapting import adapted
from advtool.target.blaming import blaming
from advtool.target.differentiation import slope
from advtool.target.facts import Autograd, Facts
from advtool.target.handling import Handled
from advtool.target.holding import parameters_of, tensors_of
from advtool.target.preflight import PREFLIGHT_IMAGES
from advtool.target.state import bytes_of
from advtool.target.target import Target

IDENTITY_IMAGES = 64
"""The logits of so many images of the run, and of as many fixed images, are compared."""
REPEATED_CALLS = 2
"""A random model is asked again so often: do seeds repeat its noise? One call misses answers that alternate."""
FLOAT32_ROUNDING = 1e-4
"""Another device or thread count may move a logit by this share of the image's largest logit."""
HALF_PRECISION_ROUNDING = 3e-2
"""The same share for models that compute in float16 or bfloat16."""
ANSWERS, GRADIENTS = "its answers to the same images", "its gradients at the same images"
"""How a message names the answers or the gradients, if they are what differs."""

ANSWER_FIELDS = ("fixed", "of_run", "slopes")
"""The fields of an :class:`Identity` that are tensors."""

GRADIENT_IMAGES = slice(20, 44, 6)
"""The gradient is compared at these of the fixed images: no pixel is at an end of the range, where maxima are ties."""
GRADIENT_IMAGES_A_PASS = 2
"""As few as the preflight asks the gradient for."""
GRADIENT_PIXELS = 1000
"""Of each gradient at most so many pixels are kept."""
FLOAT32_GRADIENT_SHARE = 0.25
"""Gradients of one model agree within this share of their size. Rounding moves those of a ResNet-50 by 0.001, and by
0.03 where the logits just agree."""
HALF_PRECISION_GRADIENT_SHARE = 0.9
"""The same for float16 and bfloat16, where rounding moves up to half of it. A gradient that is missing differs by 1."""
SMALLEST_SLOPE = 1e-2
"""If all pixels go from 0 to 1 and the logits move by less than this share of the largest, the gradient is rounding."""


class Identity(BaseModel):
    """Identifies a model by its tensors before the first call, and by its answers under fixed random streams."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    tensors: dict[str, str]
    """by name, a hash of each parameter, buffer, and tensor or array that is an attribute"""
    moving: frozenset[str] = frozenset()
    """names of attributes that a call changes or creates; they do not count"""
    rounding: float = FLOAT32_ROUNDING
    """another device or thread count may move a logit by this share of the image's largest logit"""
    noise: str | None = None
    """kind of device that draws a random model's noise, e.g. "cuda": another kind draws other noise; None: no noise"""
    fixed: Tensor | None = None
    """float32 (64, classes): the logits of :func:`fixed_images`; None if seeds do not repeat the noise"""
    of_run: Tensor | None = None
    """float32 (K, classes): the logits of the run's first K images, at most 64; None as for ``fixed``"""
    slopes: Tensor | None = None
    """float32 (4, pixels): how steep a sum of the logits is at fixed images, as a share of the largest logit; 0 where
    autograd finds no gradient; None if it is another one at each call"""

    @property
    def fingerprint(self) -> str:
        """A short name for the model's tensors, for results."""
        stable = sorted((name, value) for name, value in self.tensors.items() if not _is_in(name, self.moving))
        return hashlib.sha256(repr(stable).encode()).hexdigest()[:16]

    def clash(self, tensors: Mapping[str, str]) -> str | None:
        """Compare with another model's tensors before its first call. Only tensors that both models have count.

        Args:
            tensors: what :func:`tensors_by_hash` gave for the other model.

        Returns:
            The tensors that differ, in words; None if none differs.
        """
        common = {name for name in self.tensors.keys() & tensors.keys() if not _is_in(name, self.moving)}
        return _named(name for name in common if self.tensors[name] != tensors[name])

    def difference(self, other: "Identity") -> str | None:
        """Compare with another model's tensors, answers and gradients.

        Returns:
            What differs, in words; None if nothing differs.
        """
        names = {
            name for name in self.tensors.keys() | other.tensors.keys() if not _is_in(name, self.moving | other.moving)
        }
        if found := _named(name for name in names if self.tensors.get(name) != other.tensors.get(name)):
            return found
        if self.noise != other.noise:
            return None
        rounding = max(self.rounding, other.rounding)
        for mine, theirs, same, words in (
            (self.fixed, other.fixed, agree, ANSWERS),
            (self.of_run, other.of_run, agree, ANSWERS),
            (self.slopes, other.slopes, _slopes_agree, GRADIENTS),
        ):
            if mine is not None and theirs is not None and not same(mine, theirs, rounding):
                return words
        return None

    def write(self, path: Path) -> None:
        """Write the identity to ``path`` as safetensors.

        Raises:
            InputError: the file cannot be written.
        """
        answers = {name: getattr(self, name) for name in ANSWER_FIELDS if getattr(self, name) is not None}
        words = self.model_dump(exclude={*ANSWER_FIELDS})
        tensor_files.write(path, answers, {"identity": json.dumps(words, default=sorted)})  # JSON has no sets

    @classmethod
    def read(cls, path: Path) -> "Identity | None":
        """Read what :meth:`write` wrote; None if the file is absent or damaged."""
        try:
            texts, answers = tensor_files.read(path)
            if not all(value.ndim == 2 and value.dtype == torch.float32 for value in answers.values()):
                return None
            return cls.model_validate({**documents.parse(texts["identity"]), **answers})
        except (OSError, ValueError, KeyError, TypeError):
            return None


def tensors_by_hash(model: nn.Module) -> dict[str, str]:
    """A hash of every tensor and array that ``model`` holds, by name. Call it before the model's first call."""
    return {name: _hash(value) for name, value in tensors_of(model)}


def identify(handled: Handled, target: Target, facts: Facts, tensors: dict[str, str], images: Tensor) -> Identity:
    """Identify a model. Its buffers and attributes are put back before and after.

    Args:
        handled: the model.
        target: the same model as attacks ask it.
        facts: what the preflight found out about the model.
        tensors: what :func:`tensors_by_hash` gave before the model's first call.
        images: the run's images, float32 (N, C, H, W) in [0, 1] on the model's device; the first 64 are used. N may
            be 0.

    Raises:
        InputError: the model fails on the fixed images or the run's images.
    """
    handled.state.restore()
    fixed = fixed_images(tuple(images.shape[1:])).to(images.device)
    answers = answers_of(target, fixed, "fixed")
    of_run = answers_of(target, images[:IDENTITY_IMAGES], "of run") if len(images) else None
    moving = frozenset(facts.moving) | set(handled.state.changed())
    first_pass = fixed[:PREFLIGHT_IMAGES]
    again = [answers_of(target, first_pass, "fixed") for _ in range(REPEATED_CALLS if target.randomised else 0)]
    repeats = all(agree(answers[:PREFLIGHT_IMAGES], each, FLOAT32_ROUNDING) for each in again)
    slopes, later = (_slopes(handled, target, facts, fixed[GRADIENT_IMAGES]) for _ in range(REPEATED_CALLS))
    handled.state.restore()
    types = {value.dtype for value in parameters_of(handled.model).values() if value.is_floating_point()}
    half_precision = bool(types & {torch.float16, torch.bfloat16})
    return Identity(
        tensors=tensors,
        moving=moving,
        rounding=HALF_PRECISION_ROUNDING if half_precision else FLOAT32_ROUNDING,
        noise=images.device.type if target.randomised else None,
        fixed=answers if repeats else None,
        of_run=of_run if repeats else None,
        slopes=slopes if repeats and _slopes_agree(slopes, later, FLOAT32_ROUNDING) else None,
    )


def fixed_images(shape: tuple[int, ...]) -> Tensor:
    """Images of noise from dark to bright, the same on every machine: float32 (64, C, H, W) in [0, 1].

    Args:
        shape: (C, H, W).
    """
    noise = np.random.RandomState(0).random_sample((IDENTITY_IMAGES, *shape)).astype(np.float32)
    brightness = torch.linspace(0, 1, IDENTITY_IMAGES).view(-1, *[1] * len(shape))
    return (torch.from_numpy(noise) * 0.5 - 0.25 + brightness).clamp_(0, 1)


def agree(one: Tensor, other: Tensor, rounding: float) -> bool:
    """Whether two sets of logits (N, classes) agree for every image that both have.

    Args:
        one: logits of one model.
        other: logits of the other model; the number of images may be another.
        rounding: logits may differ by this share of the image's largest logit.
    """
    if one.shape[1] != other.shape[1]:
        return False
    rows = min(len(one), len(other))
    one, other = one[:rows], other[:rows]
    close = (one == other) | (one.isnan() & other.isnan()) | ((one - other).abs() <= rounding * _largest(one))
    return bool(close.all())


@torch.no_grad()
def answers_of(target: Target, images: Tensor, *place: str | int) -> Tensor:
    """The logits float32 (N, classes) of ``images``, on the CPU, under the random streams at ``place``.

    Raises:
        InputError: the model fails on the images.
    """
    with target.streams(0, "identity", *place), blaming("the model fails on images of patterned noise"):
        parts = images.split(PREFLIGHT_IMAGES)  # as many as in the preflight fit into memory
        return torch.cat([target.model(part).float() for part in parts]).cpu()


def _slopes(handled: Handled, target: Target, facts: Facts, images: Tensor) -> Tensor:
    """The field ``slopes`` of an :class:`Identity`, asked anew whatever is known of the model's gradient.

    Another device may need cuDNN off, and a model that is compared may work in place where the run's did not.
    """
    model = adapted(handled, facts.needs.model_copy(update={"own_input": True, "no_cudnn": True}))
    way = Autograd.backward if facts.autograd is Autograd.none else facts.autograd
    handled.state.restore()
    with target.streams(0, "identity", "slopes"):
        return torch.cat([_slope_a_pass(model, part, way) for part in images.split(GRADIENT_IMAGES_A_PASS)]).cpu()


@torch.enable_grad()
def _slope_a_pass(model: nn.Module, images: Tensor, way: Autograd) -> Tensor:
    pixels = images[0].numel()
    places = torch.linspace(0, pixels - 1, min(pixels, GRADIENT_PIXELS), device=images.device).round().long()
    x = images.clone().requires_grad_()
    try:
        logits = model(x)
        weights = torch.linspace(-1, 1, logits.shape[1], device=logits.device)  # a sum of log softmaxes is nearly flat
        gradient = slope((logits * weights).sum(), x, way).flatten(1)[:, places]
    except Exception as error:
        if is_out_of_memory(error):
            raise
        return images.new_zeros(len(images), len(places))
    return (gradient * pixels / _largest(logits.detach())).nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)


def _slopes_agree(one: Tensor, other: Tensor, rounding: float) -> bool:
    """Whether gradients are those of one model: at half of the images at least, since at a kink rounding decides."""
    if one.shape != other.shape:
        return False
    share = HALF_PRECISION_GRADIENT_SHARE if rounding > FLOAT32_ROUNDING else FLOAT32_GRADIENT_SHARE
    size = torch.maximum(one.abs().mean(1), other.abs().mean(1))
    close = (one - other).abs().mean(1) <= (share * size).clamp_min(SMALLEST_SLOPE)
    return bool(close.float().mean() >= 0.5)


def _largest(logits: Tensor) -> Tensor:
    """The largest finite logit of each image by its absolute value, (N, 1)."""
    return logits.abs().nan_to_num(nan=0.0, posinf=0.0).amax(1, keepdim=True).clamp_min(1e-3)


def _is_in(name: str, moving: frozenset[str]) -> bool:
    """Whether calls change the attribute that holds a tensor: ``cache`` holds ``cache[0]``."""
    return name.partition("[")[0] in moving


def _named(names: Iterable[str]) -> str | None:
    """Words for some tensors: ``its 'conv1.weight' and 3 more tensors``; None for no tensors."""
    first, *others = sorted(names) or [""]
    more = f" and {len(others)} more tensor{'s' * (len(others) > 1)}" if others else ""
    return f"its '{first}'{more}" if first else None


def _hash(value: Tensor | np.ndarray) -> str:
    kind = str((value.dtype, tuple(value.shape))).encode()
    return hashlib.sha256(kind + bytes_of(value)).hexdigest()[:16]
