"""The model under attack as ART sees it: a thin adapter around a :class:`~advtool.target.target.Target`."""

from typing import Any, Self, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from advtool import arguments, seeding
from advtool.arguments import shown
from advtool.attacks.toolbox import PyTorchClassifier
from advtool.data import as_labels
from advtool.errors import InputError
from advtool.target import probing
from advtool.target.blaming import blaming
from advtool.target.facts import Randomness
from advtool.target.preflight import PREFLIGHT_IMAGES
from advtool.target.scores import refuse_missing_classes
from advtool.target.state import State
from advtool.target.target import Target

Array = TypeVar("Array", np.ndarray, Tensor)


def _number_of_the_target(name: str) -> property:
    """``name`` of the target, as ART's ``get_params`` and ``set_params`` read and write it."""

    def read(classifier: "EOTClassifier") -> int:
        return int(getattr(classifier.target, name))

    def write(classifier: "EOTClassifier", value: Any) -> None:
        setattr(classifier.target, name, arguments.count(f"{name}={shown(value)}", value))

    return property(read, write)


class EOTClassifier(PyTorchClassifier):
    """A target as ART's classifier: its scores and its gradients, each the mean over draws of a random model.

    Methods return the type they were given: NumPy for ART's own attacks, tensors that stay on the device for ours.

    Args:
        model: a target, or a model to make one of. The model stays on its device and in its mode.
        options: of :class:`~advtool.target.target.Target`, for a model: ``input_shape``, ``classes``, ``eot``, ... If
            ``randomness`` is not among them, the model is asked a few times whether it draws noise.

    Raises:
        InputError: an option is wrong or missing, the model fails when it is asked, or it has not so many classes.
    """

    estimator_params = [*PyTorchClassifier.estimator_params, "eot", "votes", "batch_size"]
    eot = _number_of_the_target("eot")
    votes = _number_of_the_target("votes")
    batch_size = _number_of_the_target("batch_size")

    def __init__(self, model: Target | nn.Module, **options: Any) -> None:
        self.target = model if isinstance(model, Target) else _target(model, options)
        super().__init__(
            model=_Whole(self.target),
            loss=nn.CrossEntropyLoss(),
            input_shape=self.target.input_shape,
            nb_classes=self.target.classes,
            clip_values=self.target.clip,
            preprocessing=None,
            device_type="gpu" if self.target.device.type == "cuda" else "cpu",
        )
        self._device = self.target.device  # ART knows the CPU and the current GPU alone

    def predict(self, x: Array, batch_size: int = 128, training_mode: bool = False, **kwargs: Any) -> Array:
        """ART's signature for :meth:`Target.scores`. ``batch_size`` and ``training_mode`` are the target's own."""
        del batch_size, training_mode, kwargs
        return like(x, self.target.scores(on_device(x, self.target.device)))

    def loss_gradient(self, x: Array, y: Array, training_mode: bool = False, **kwargs: Any) -> Array:
        """ART's signature for the gradient of the mean cross entropy over ``eot`` draws.

        Labels are one-hot (N, classes) or indices (N,) or (N, 1), arrays or tensors alike.
        """
        del training_mode, kwargs
        indices = as_labels(y, len(x)).to(self.target.device)
        refuse_missing_classes(indices, self.target.classes)
        return like(x, self.target.scores_and_gradient(on_device(x, self.target.device), indices)[1])

    def class_gradient(self, x: Array, label: Any = None, training_mode: bool = False, **kwargs: Any) -> Array:
        """ART's signature for the gradients of classes' logits, means over ``eot`` draws.

        Args:
            x: images (N, C, H, W).
            label: a class, or one for each image (N,), whose gradients are (N, 1, C, H, W); None: all classes, whose
                gradients are (N, classes, C, H, W).
            training_mode: ignored.
            kwargs: ignored; ART's callers pass their own.

        Raises:
            ValueError: ART's, if there is no such class.
        """
        del training_mode, kwargs
        images = on_device(x, self.target.device)
        classes = torch.arange(self.target.classes) if label is None else torch.as_tensor(label)
        if not bool(((classes >= 0) & (classes < self.target.classes)).all()):
            raise ValueError(f"label={shown(label)} is out of range: the model has {self.target.classes} classes")
        rows = classes[None] if label is None else classes.view(-1, 1)
        asked = rows.expand(len(images), -1).to(images.device)
        copies = images.repeat_interleave(asked.shape[1], 0)
        slopes = self.target.scores_and_gradient(copies, asked.flatten().long(), _logit)[1]
        return like(x, slopes.view(*asked.shape, *images.shape[1:]))


class _Whole(nn.Module):
    """The model as one opaque piece: ART would run a Sequential's children and skip its own ``forward``.

    Some attacks of ART call it themselves. Each call is one draw, and counts.
    """

    def __init__(self, target: Target) -> None:
        super().__init__()
        self.inner, self._target = target.model, target

    def forward(self, x: Tensor) -> Tensor:
        self._target.calls.forward += len(x)
        logits: Tensor = self.inner(x.to(self._target.device)).to(x.device)
        if logits.requires_grad:
            logits.register_hook(self._count_backward)
        return logits

    def _count_backward(self, gradient: Tensor) -> None:
        self._target.calls.backward += len(gradient)

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        """Nothing: ART moves what it is given, and the model is the caller's."""
        del fn, recurse
        return self

    def train(self, mode: bool = True) -> Self:
        """Nothing: ART changes the mode, and the target asks the model in the mode that it is in."""
        del mode
        return self


def _target(model: nn.Module, options: dict[str, Any]) -> Target:
    """A target of a module, which is asked about a few random images unless ``options`` tell whether it draws noise."""
    if missing := [name for name in ("input_shape", "classes") if name not in options]:
        example = "EOTClassifier(model, input_shape=(1, 28, 28), classes=10)"
        raise InputError(f"EOTClassifier: {' and '.join(missing)} must be given for a model, e.g. {example}")
    target = Target(model, **options)
    if "randomness" not in options:
        target.randomness = _randomness(target)
    return target


def _randomness(target: Target) -> Randomness:
    """Whether the model draws noise. It is asked about a few random images, and left as it was.

    Raises:
        InputError: it fails, or it has not as many outputs as the target has classes.
    """
    draws = seeding.generator(torch.device("cpu"), 0, "probe")
    images = torch.empty(PREFLIGHT_IMAGES, *target.input_shape).uniform_(*target.clip, generator=draws)
    images, state = images.to(target.device), State(target.model)
    try:
        with seeding.global_streams(target.device, 0, "probe"), blaming("the model fails on a few images"):
            found = probing.randomness(target.model, images)
            with torch.no_grad():
                outputs = tuple(target.model(images).shape[1:])
    finally:
        state.restore()
    if outputs != (target.classes,):
        raise InputError(f"classes={target.classes} must be the model's number of outputs; it gives {outputs} an image")
    return found


def _logit(logits: Tensor, classes: Tensor) -> Tensor:
    """The logit of one class of each image, (N,): what a class gradient is of."""
    return logits.gather(1, classes[:, None]).squeeze(1)


def on_device(images: np.ndarray | Tensor, device: torch.device) -> Tensor:
    """Images as a float32 tensor without a graph: ART's attacks pass float64 now and then (HopSkipJump)."""
    plain = images.detach() if isinstance(images, Tensor) else np.ascontiguousarray(images)
    return torch.as_tensor(plain, dtype=torch.float32, device=device)


def like(given: Array, result: Tensor) -> Array:
    """``result`` as the type of ``given``: a tensor, or a float32 array."""
    return result if isinstance(given, Tensor) else result.cpu().numpy().astype(np.float32)
