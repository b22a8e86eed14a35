"""Which model is this? Known by its tensors and by what it answers, never by a guess about its Python source."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from advtool.files import write_atomically
from advtool.target.blaming import blaming
from advtool.target.facts import Facts
from advtool.target.handling import Handled
from advtool.target.holding import parameters_of, tensors_of
from advtool.target.state import bytes_of
from advtool.target.target import Target

ASKED = 64
"""Images of the run, and as many fixed ones, whose logits are compared."""
ROUNDING = 1e-4
"""Share of an image's largest logit that another device or thread count may move a logit by, in float32."""
ANSWERS = "its answers to the same images"
PART = 8
"""Images of a pass: as many as were asked about before."""
AGAIN = 2
"""So often a random model is asked again: does its noise come from where it can be seeded? A counter may alternate."""
COARSE_ROUNDING = 3e-2
"""The same of a model that computes in float16 or bfloat16."""


@dataclass(frozen=True)
class Identity:
    """A model by its tensors, taken before its first call, and its answers under fixed random streams."""

    tensors: Mapping[str, str]
    """a hash of each parameter, buffer, and tensor or array held as an attribute"""
    moving: frozenset[str] = frozenset()
    """what a call changes or creates: it says nothing of who the model is"""
    rounding: float = ROUNDING
    """share of an image's largest logit that another device or thread count may move a logit by"""
    noise: str | None = None
    """of a random model, where its noise comes from: it is the same on one kind of device alone"""
    fixed: Tensor | None = None
    """float32 (64, classes): the logits of :func:`fixed_images`"""
    of_run: Tensor | None = None
    """float32 (K, classes): the logits of the run's first K images, at most 64"""

    @property
    def fingerprint(self) -> str:
        """A short name for the model's tensors, for results."""
        stable = sorted((name, value) for name, value in self.tensors.items() if not _is_in(name, self.moving))
        return hashlib.sha256(repr(stable).encode()).hexdigest()[:16]

    def clash(self, tensors: Mapping[str, str]) -> str | None:
        """In which tensors that both have another model differs, in words; to be asked before its first call."""
        common = {name for name in self.tensors.keys() & tensors.keys() if not _is_in(name, self.moving)}
        return _named(name for name in common if self.tensors[name] != tensors[name])

    def difference(self, other: "Identity") -> str | None:
        """In what the two models differ, in words; None where they are the same as far as both tell."""
        names = {
            name for name in self.tensors.keys() | other.tensors.keys() if not _is_in(name, self.moving | other.moving)
        }
        if found := _named(name for name in names if self.tensors.get(name) != other.tensors.get(name)):
            return found
        answers = ((self.fixed, other.fixed), (self.of_run, other.of_run)) if self.noise == other.noise else ()
        rounding = max(self.rounding, other.rounding)
        for mine, theirs in answers:
            if mine is not None and theirs is not None and not agree(mine, theirs, rounding):
                return ANSWERS
        return None

    def write(self, path: Path) -> None:
        """Keep it at ``path``.

        Raises:
            InputError: the file cannot be written.
        """
        words = {
            "tensors": dict(self.tensors),
            "moving": sorted(self.moving),
            "rounding": self.rounding,
            "noise": self.noise,
        }
        logits = {"fixed": self.fixed, "of_run": self.of_run}
        content = {name: value.contiguous() for name, value in logits.items() if value is not None}
        write_atomically(path, save(content, metadata={"identity": json.dumps(words)}))

    @classmethod
    def read(cls, path: Path) -> "Identity | None":
        """What :meth:`write` put there; None where there is nothing that can be read."""
        try:
            with safe_open(path, framework="pt") as file:
                words = json.loads((file.metadata() or {})["identity"])
                logits = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return cls(**words | {"moving": frozenset(words["moving"])}, **logits)
        except (OSError, SafetensorError, ValueError, KeyError, TypeError):
            return None


def tensors_by_hash(model: nn.Module) -> dict[str, str]:
    """A hash of every tensor and array of ``model``, by name; to be taken before the first call."""
    return {name: _hash(value) for name, value in tensors_of(model)}


def identify(handled: Handled, target: Target, facts: Facts, tensors: Mapping[str, str], images: Tensor) -> Identity:
    """Who the model is. Its buffers and attributes are put back before and after.

    Args:
        handled: the model.
        target: the same as it is asked.
        facts: what is known of it.
        tensors: what :func:`tensors_by_hash` gave before the first call.
        images: of the run, float32 (N, C, H, W) in [0, 1] on its device; the first 64 count. There may be none.
    """
    handled.state.restore()
    fixed = fixed_images(tuple(images.shape[1:])).to(images.device)
    answers = answers_of(target, fixed, "fixed")
    of_run = answers_of(target, images[:ASKED], "of run") if len(images) else None
    moving = frozenset(facts.moving) | set(handled.state.changed())
    asked = fixed[:PART]
    again = [answers_of(target, asked, "fixed") for _ in range(AGAIN if target.randomised else 0)]
    repeats = all(agree(answers[:PART], each, ROUNDING) for each in again)
    handled.state.restore()
    types = {value.dtype for value in parameters_of(handled.model).values() if value.is_floating_point()}
    coarse = bool(types & {torch.float16, torch.bfloat16})
    noise = images.device.type if target.randomised else None
    return Identity(
        tensors,
        moving,
        COARSE_ROUNDING if coarse else ROUNDING,
        noise,
        fixed=answers if repeats else None,
        of_run=of_run if repeats else None,
    )


def fixed_images(shape: tuple[int, ...]) -> Tensor:
    """64 images (64, C, H, W) of patterned noise from black to white, the same on every machine."""
    noise = np.random.RandomState(0).random_sample((ASKED, *shape)).astype(np.float32)
    brightness = torch.linspace(0, 1, ASKED).view(-1, *[1] * len(shape))
    return (torch.from_numpy(noise) * 0.5 - 0.25 + brightness).clamp_(0, 1)


def agree(one: Tensor, other: Tensor, rounding: float) -> bool:
    """Whether two sets of logits (N, classes) are equal but for ``rounding``, a share of an image's largest logit."""
    if one.shape[1] != other.shape[1]:
        return False
    rows = min(len(one), len(other))
    one, other = one[:rows], other[:rows]
    most = one.abs().nan_to_num(nan=0.0, posinf=0.0).amax(1, keepdim=True).clamp_min(1e-3)
    close = (one == other) | (one.isnan() & other.isnan()) | ((one - other).abs() <= rounding * most)
    return bool(close.all())


@torch.no_grad()
def answers_of(target: Target, images: Tensor, *place: str | int) -> Tensor:
    """The logits (N, classes) of ``images``, on the CPU, under the stream at ``place``."""
    with target.streams(0, "identity", *place), blaming("the model fails on images of patterned noise"):
        return torch.cat([target.model(part).float() for part in images.split(PART)]).cpu()


def _is_in(name: str, moving: frozenset[str]) -> bool:
    """Whether a tensor moves, or the attribute that holds it, as in ``cache[0]``."""
    return name.partition("[")[0] in moving


def _named(names: Iterable[str]) -> str | None:
    """``its 'conv1.weight' and 3 more tensors``."""
    first, *others = sorted(names) or [""]
    more = f" and {len(others)} more tensor{'s' * (len(others) > 1)}" if others else ""
    return f"its '{first}'{more}" if first else None


def _hash(value: Tensor | np.ndarray) -> str:
    kind = str((value.dtype, tuple(value.shape))).encode()
    return hashlib.sha256(kind + bytes_of(value)).hexdigest()[:16]
