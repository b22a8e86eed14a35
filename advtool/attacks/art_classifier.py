"""The model under attack as ART sees it: a thin adapter around a :class:`~advtool.target.target.Target`."""

from typing import Any, TypeVar

import numpy as np
import torch
from art.estimators.classification import PyTorchClassifier
from torch import Tensor, nn

from advtool.target.target import Target

Array = TypeVar("Array", np.ndarray, Tensor)


class EOTClassifier(PyTorchClassifier):
    """A target as ART's classifier: ``predict`` gives its scores, ``loss_gradient`` its gradient.

    Both return the type they were given: NumPy for ART's own attacks, tensors that stay on the device for ours.

    Args:
        model: a target, or a model to make one of.
        options: of :class:`~advtool.target.target.Target`, for a model: ``input_shape``, ``classes``, ``eot``, ...
    """

    estimator_params = [*PyTorchClassifier.estimator_params, "eot", "votes", "batch_size"]

    def __init__(self, model: Target | nn.Module, **options: Any) -> None:
        self.target = model if isinstance(model, Target) else Target(model, **options)
        super().__init__(
            model=_Whole(self.target.model),
            loss=nn.CrossEntropyLoss(),
            input_shape=self.target.input_shape,
            nb_classes=self.target.classes,
            clip_values=self.target.clip,
            device_type="gpu" if self.target.device.type == "cuda" else "cpu",
        )
        self.eot, self.votes = self.target.eot, self.target.votes

    def predict(self, x: Array, batch_size: int = 128, training_mode: bool = False, **kwargs: Any) -> Array:
        """ART's signature for :meth:`Target.scores`. ``batch_size`` and ``training_mode`` are the target's own."""
        del batch_size, training_mode, kwargs
        return like(x, self.target.scores(self._on_device(x)))

    def loss_gradient(self, x: Array, y: Array, training_mode: bool = False, **kwargs: Any) -> Array:
        """ART's signature for the gradient of the mean cross entropy over ``eot`` draws.

        Labels are one-hot (N, classes) or indices (N,), arrays or tensors alike.
        """
        del training_mode, kwargs
        labels = self._on_device(y, dtype=None)
        indices = labels.argmax(1) if labels.ndim == 2 else labels
        return like(x, self.target.scores_and_gradient(self._on_device(x), indices.long())[1])

    def _on_device(self, values: np.ndarray | Tensor, dtype: torch.dtype | None = torch.float32) -> Tensor:
        # ART's attacks pass float64 now and then (HopSkipJump): the model's type is float32
        return torch.as_tensor(values, dtype=dtype, device=self.target.device)


class _Whole(nn.Module):
    """The model as one opaque piece: ART would run a Sequential's children and skip its own ``forward``."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.inner = model

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)  # type: ignore[no-any-return]


def like(given: Array, result: Tensor) -> Array:
    """``result`` as the type of ``given``: a tensor, or a float32 array."""
    return result if isinstance(given, Tensor) else result.cpu().numpy().astype(np.float32)
