"""Adversarial perturbation bias: embedding adversarial perturbations into the parameters (Wen & Itti).

A perturbation bias replaces the bias of a fully connected layer; sign steps change it. The paper has two structures: in
the naive one the bias is ``delta_AP`` itself, in the multimodal one ``delta_AP = m_AP W_AP``. One training step::

    loss.backward()
    optimizer.step()                          # of all parameters except perturbation_parameters(model)
    perturbation_step(model, eps, "descent")  # Algorithm 2

After the training, :func:`collapse` makes a plain model. The names are those of the paper's Algorithms 1 and 2.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, get_args

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.functional import linear
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize

from advtool import arguments
from advtool.arguments import shown
from advtool.errors import InputError, near_match
from advtool.models.surgery import replaced

Structure = Literal["naive", "multimodal"]
Direction = Literal["descent", "ascent"]

INITIAL_SCALE = 0.1
"""Standard deviation of ``m_AP`` and ``W_AP`` at the start. If both were zero, both gradients would be zero."""


class PerturbedLinear(nn.Module, ABC):
    """A fully connected layer with an adversarial perturbation bias.

    Input: (..., inputs). Output: (..., n). ``weight`` is the paper's W, (n, inputs). ``bias`` is its ``delta_AP``,
    (n,); a model may read it like the bias of an ``nn.Linear``.

    Args:
        layer: the layer to replace. The new layer shares its weight. If the layer's bias is frozen, so is the new one;
            if it has no bias, its weight decides.
    """

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.weight = layer.weight
        self.train(layer.training)

    @property
    @abstractmethod
    def bias(self) -> Tensor:
        """``delta_AP``, (n,)."""

    @property
    @abstractmethod
    def perturbation(self) -> nn.Parameter:
        """The parameter that the sign step of Algorithm 2 changes."""

    def forward(self, X: Tensor) -> Tensor:
        """Algorithm 1: ``Y = W X + delta_AP``."""
        return linear(X, self.weight, self.bias)

    def collapsed(self) -> nn.Linear:
        """An ordinary layer with this weight and the present ``delta_AP`` as its bias."""
        layer = nn.Linear(self.in_features, self.out_features, device="meta")  # draws no numbers
        layer.weight = self.weight
        layer.bias = nn.Parameter(self.bias.detach().clone(), requires_grad=self.perturbation.requires_grad)
        return layer.train(self.training)


class NaiveLinear(PerturbedLinear):
    """The naive structure: ``delta_AP`` itself, which starts from the layer's own bias, or from zero."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__(layer)
        start = layer.weight.new_zeros(layer.out_features) if layer.bias is None else layer.bias
        self.delta_AP = nn.Parameter(start.detach().clone(), requires_grad=_is_trained(layer))

    @property
    def bias(self) -> Tensor:
        return self.delta_AP

    @property
    def perturbation(self) -> nn.Parameter:
        return self.delta_AP


class MultimodalLinear(PerturbedLinear):
    """The multimodal structure: ``delta_AP = m_AP W_AP``. Both start at random, from torch's global generator.

    Args:
        layer: the layer to replace. Its own bias is dropped.
        memories: h. The bias memories ``m_AP`` are (1, h), the bias weights ``W_AP`` (h, n).
    """

    def __init__(self, layer: nn.Linear, memories: int) -> None:
        super().__init__(layer)
        # Drawn on the CPU, so that a model on a GPU starts from the same numbers.
        m_AP, W_AP = (INITIAL_SCALE * torch.randn(shape) for shape in ((1, memories), (memories, layer.out_features)))
        self.m_AP = nn.Parameter(m_AP.to(layer.weight), requires_grad=_is_trained(layer))
        self.W_AP = nn.Parameter(W_AP.to(layer.weight), requires_grad=_is_trained(layer))

    @property
    def bias(self) -> Tensor:
        return (self.m_AP @ self.W_AP).squeeze(0)

    @property
    def perturbation(self) -> nn.Parameter:
        return self.m_AP


def with_perturbation_bias(
    model: nn.Module, *, bias: Structure, memories: int = 8, layers: Sequence[str] | None = None
) -> nn.Module:
    """A copy of ``model`` whose fully connected layers have an adversarial perturbation bias (section 3).

    Args:
        model: any module that holds ``nn.Linear`` layers. It stays as it was.
        bias: ``naive`` starts from the layers' own biases, so the logits stay; ``multimodal`` replaces them by
            ``m_AP W_AP``, both drawn from N(0, 0.1²) with torch's global generator.
        memories: h, the number of bias memories of the multimodal structure.
        layers: names of layers as in ``model.named_modules()``; None: every ``nn.Linear``.

    Raises:
        InputError: the structure is unknown, ``memories`` is below 1, or a layer cannot be replaced: it is no
            ``nn.Linear``, it was never initialised (``nn.LazyLinear``), or it computes its weight or output in its own
            way (weight norm, spectral norm, a hook, its own ``forward``).
    """
    memories = arguments.count(f"memories={shown(memories)}", memories)
    structures: dict[str, Callable[[nn.Linear], nn.Module]] = {
        "naive": NaiveLinear,
        "multimodal": partial(MultimodalLinear, memories=memories),
    }
    structure = structures[arguments.choice(f"bias={shown(bias)}", bias, structures)]
    return replaced(model, dict.fromkeys(_fully_connected(model, layers), structure))


def perturbation_parameters(model: nn.Module) -> list[nn.Parameter]:
    """``delta_AP`` or ``m_AP`` of each layer, in the model's order. Do not give them to the optimiser if the sign step
    is direct (:func:`perturbation_step`).

    Adam divides a gradient by its running size, so a sign step of size eps would lose its eps. W and ``W_AP`` have
    ordinary gradients and belong to the optimiser.
    """
    return [layer.perturbation for layer in _perturbed(model)]


@torch.no_grad()
def perturbation_step(model: nn.Module, eps: float, direction: Direction = "descent") -> None:
    """Algorithm 2 for the :func:`perturbation_parameters`, with the gradients of ``loss.backward()``.

    ``p <- p - eps sign(g)``, or ``+`` for ascent. g is the gradient summed over the batch; the gradient of a mean has
    the same sign. Afterwards ``p.grad`` is None. A parameter without a gradient does not change.

    With ``torch.distributed`` initialised, g is summed over all ranks too. So every rank must make this call, with the
    same number of images. This also works under ``DistributedDataParallel``: its gradients are equal on all ranks, and
    their sum has the same sign.

    Args:
        model: made by :func:`with_perturbation_bias`, or a wrapper around such a model.
        eps: size of the step, in units of the layer's output (``delta_AP``) or of ``m_AP``.
        direction: ``descent`` lowers the loss, the letter of Algorithm 2; ``ascent`` raises it, as FGSM does.

    Raises:
        InputError: ``eps`` is not a positive number, or the direction is unknown.
    """
    size = _signed(eps, direction)
    for p in perturbation_parameters(model):
        p.add_(_summed_gradient(p).sign(), alpha=size)
        p.grad = None


@torch.no_grad()
def sign_gradients(model: nn.Module, eps: float, direction: Direction = "descent") -> None:
    """Algorithm 2 with the step left to an optimiser: ``eps sign(g)`` replaces each gradient g, as "d delta_AP" there.

    Call it between ``loss.backward()`` and ``optimizer.step()``, and give the :func:`perturbation_parameters` to the
    optimiser. :func:`perturbation_step` explains g, the arguments and the errors; ascent gives ``-eps sign(g)``, since
    optimisers descend.
    """
    size = _signed(eps, direction)
    for p in perturbation_parameters(model):
        sign = _summed_gradient(p).sign()
        if p.requires_grad:
            p.grad = -size * sign


def collapse(model: nn.Module) -> nn.Module:
    """A copy of ``model`` with ordinary ``nn.Linear`` layers: "keep delta_AP", delete ``m_AP`` and ``W_AP``.

    This is the end of Algorithm 2. The copy has the same logits. Its parameters have the names and sizes of the model
    before :func:`with_perturbation_bias`. A layer that had no bias has one now.
    """
    return replaced(model, dict.fromkeys(_perturbed(model), PerturbedLinear.collapsed))


def _signed(eps: float, direction: Direction) -> float:
    """``-eps`` for descent, ``eps`` for ascent."""
    size = arguments.number(eps)
    if size is None or size <= 0:
        raise InputError(f"eps {shown(eps)} of a perturbation step: it must be a positive number, such as 0.03")
    arguments.choice(f"direction={shown(direction)}", direction, get_args(Direction))
    return size if direction == "ascent" else -size


def _perturbed(model: nn.Module) -> list[PerturbedLinear]:
    return [layer for layer in arguments.module(model).modules() if isinstance(layer, PerturbedLinear)]


def _summed_gradient(p: nn.Parameter) -> Tensor:
    """The gradient of ``p`` on all ranks together."""
    # All ranks must take part, or they wait for each other.
    gradient = torch.zeros_like(p) if p.grad is None else p.grad
    if dist.is_available() and dist.is_initialized():
        dist.all_reduce(gradient)
    return gradient


def _fully_connected(model: nn.Module, names: Sequence[str] | None) -> list[nn.Linear]:
    modules = arguments.module(model).named_modules(remove_duplicate=False)
    known = {name: layer for name, layer in modules if isinstance(layer, nn.Linear)}
    chosen = list(known) if names is None else arguments.listed(f"layers={shown(names)}", names)
    if not chosen:
        raise InputError("the model has no fully connected layer (nn.Linear) to give a perturbation bias to")
    for name in chosen:
        if name not in known:
            raise InputError(f"the model has no fully connected layer {shown(name)}{near_match(str(name), known)}")
        _check_replaceable(name, known[name])
    return [known[name] for name in chosen]


def _check_replaceable(name: str, layer: nn.Linear) -> None:
    if is_lazy(layer.weight):
        raise InputError(f"the layer '{name}' is not initialised yet: run the model once first")
    if not _is_ordinary(layer):
        raise InputError(
            f"the layer '{name}' computes its output or its weight in a way of its own "
            "(such as weight norm, or a hook): name the other layers with layers=[...]"
        )


def _is_ordinary(layer: nn.Linear) -> bool:
    """Whether weight and bias alone say what the layer computes: the new layer takes only these."""
    hooks = (layer._forward_pre_hooks, layer._forward_hooks, layer._backward_pre_hooks, layer._backward_hooks)
    return (
        type(layer).forward is nn.Linear.forward
        and "weight" in layer._parameters  # else computed before every pass, as weight and spectral norm do
        and not parametrize.is_parametrized(layer)
        and not any(hooks)
    )


def _is_trained(layer: nn.Linear) -> bool:
    """Whether the layer's bias is trained; without a bias, whether its weight is."""
    return (layer.weight if layer.bias is None else layer.bias).requires_grad
