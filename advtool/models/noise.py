"""PNIL, the pixelwise noise injection layer (Schwinn, Raab & Eskofier, section 3.2).

The layer adds Gaussian noise to its input, with a learned variance for every pixel. The names W, B, Sigma and X are the
paper's.
"""

import copy
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from advtool import arguments
from advtool.errors import InputError, near_match, reason
from advtool.models.surgery import replaced

INITIAL_W, INITIAL_B = 0.0, -4.0  # a standard deviation of exp(-2) = 0.135 for every pixel


class PNIL(nn.Module):
    """Adds Gaussian noise of learned variance to each pixel, in training and in eval mode alike.

    Input: float (N, ``*shape``), for images in [0, 1]. Output: the same shape, not clipped. Every pixel of every image
    has its own noise, from torch's global generator on the input's device; ``torch.manual_seed`` repeats it. The
    gradient reaches W, B and the input (reparameterization).

    Args:
        shape: of one input, (C, H, W) for images, and of the parameters W (0 at the start) and B (-4 at the start).
    """

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        sides = [
            arguments.count(f"shape={arguments.shown(shape)}: each side", side)
            for side in arguments.listed(f"shape={arguments.shown(shape)}", shape)
        ]
        self.W = nn.Parameter(torch.full(sides, INITIAL_W))
        self.B = nn.Parameter(torch.full(sides, INITIAL_B))

    def forward(self, X: Tensor) -> Tensor:
        """Equation 3: ``X' = X + N(0, 1) exp(Sigma / 2)``."""
        # Contiguous, so that the draws do not depend on the layout (channels_last) of the images.
        N = torch.randn_like(X, memory_format=torch.contiguous_format)
        return X + N * torch.exp(self.sigma(X) / 2)

    def sigma(self, X: Tensor) -> Tensor:
        """Equation 2: ``Sigma = X W + B``, pixel by pixel. By equation 3 it is the logarithm of the variance.

        Raises:
            InputError: the inputs have another shape than the layer; broadcasting would hide it.
        """
        if X.shape[1:] != self.W.shape:
            raise InputError(f"the PNIL is made for inputs {_sizes(self.W.shape)}, not {_sizes(X.shape[1:])}")
        return X * self.W + self.B

    def variance(self, X: Tensor) -> Tensor:
        """``exp(Sigma)``: the variance of every pixel of the output, in the shape of ``X``."""
        return torch.exp(self.sigma(X))

    def extra_repr(self) -> str:
        return _sizes(self.W.shape)


def with_pnil(model: nn.Module, input_shape: Sequence[int], *, at: Sequence[str] = ()) -> nn.Module:
    """A copy of ``model`` with a PNIL in front, and in front of the layers ``at`` (section 5.2).

    ``nn.Sequential(pnil=PNIL, inner=layer)`` replaces each such layer, and the model itself. The state dict has
    ``pnil.W``, ``pnil.B``, and the model's own names behind ``inner.``. The paper reports one PNIL in front; several
    "yielded comparable results".

    Args:
        model: maps float (N, C, H, W) to logits (N, classes). It stays as it was. The copy has the same mode, device
            and type of parameters.
        input_shape: (C, H, W) of one image.
        at: names of layers as in ``model.named_modules()``; each must have one input. A copy of the model runs on one
            black image to find the shapes of these inputs.

    Raises:
        InputError: a name is unknown, the model does not run its layer or gives it inputs of several shapes, or the
            model does not take such images.
    """
    input_shape = arguments.image_shape(f"input_shape={arguments.shown(input_shape)}", input_shape)
    known = dict(arguments.module(model).named_modules(remove_duplicate=False))
    at = arguments.listed(f"at={arguments.shown(at)}", at)
    for name in at:
        if name not in known:
            near = near_match(str(name), filter(None, known))
            raise InputError(f"the model has no layer {arguments.shown(name)} to put a PNIL in front of{near}")
    shapes = {model: input_shape}
    if at:
        shapes |= {known[name]: shape for name, shape in _input_shapes(model, input_shape, at).items()}
    like = _parameter(model)
    return replaced(model, {layer: partial(_behind, PNIL(shape).to(like)) for layer, shape in shapes.items()})


def input_pnil(model: nn.Module) -> PNIL | None:
    """The PNIL in front of the whole model, if :func:`with_pnil` made the model; else None."""
    first = getattr(model, "pnil", None)
    return first if isinstance(first, PNIL) else None


class NoiseLevels(NamedTuple):
    """Mean standard deviation of the noise, in units of the pixel range [0, 1]."""

    centre: float
    border: float


def noise_levels(layer: PNIL, images: Tensor) -> NoiseLevels:
    """The mean of ``exp(Sigma / 2)`` over images, channels and pixels, in the centre and in the border.

    The centre is the middle half of the height and of the width, so a quarter of the area. The border is the rest.

    Args:
        layer: takes images of at least 4x4 pixels.
        images: float (N, C, H, W) in [0, 1], on the layer's device.

    Raises:
        InputError: the images are smaller, or do not have the shape of the layer.
    """
    if images.ndim != 4 or min(images.shape[2:]) < 4:
        raise InputError(f"noise levels need images of 4x4 pixels or more, not of inputs {_sizes(images.shape[1:])}")
    with torch.no_grad():
        deviation = torch.exp(layer.sigma(images) / 2).mean((0, 1))
    height, width = deviation.shape
    central = torch.zeros_like(deviation, dtype=torch.bool)
    central[height // 4 : height - height // 4, width // 4 : width - width // 4] = True
    return NoiseLevels(deviation[central].mean().item(), deviation[~central].mean().item())


class Maps(NamedTuple):
    """What figures 1 and 3 show: five tensors in the shape (C, H, W) of one image, on the CPU."""

    X: Tensor
    B: Tensor
    W: Tensor
    variance: Tensor
    Y: Tensor


def maps(layer: PNIL, image: Tensor) -> Maps:
    """Input, parameters, variance ``exp(Sigma)`` and one draw of the output, for one image (C, H, W) in [0, 1].

    Raises:
        InputError: the image has another shape than the layer.
    """
    X = image[None]
    with torch.no_grad():
        shown = (X[0], layer.B, layer.W, layer.variance(X)[0], layer(X)[0])
    return Maps(*(values.detach().cpu() for values in shown))


def _behind(pnil: PNIL, layer: nn.Module) -> nn.Module:
    noisy = nn.Sequential(OrderedDict(pnil=pnil, inner=layer))
    noisy.training = layer.training  # train() would overrule the modes of the layers within
    return noisy


def _input_shapes(model: nn.Module, input_shape: Sequence[int], names: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """The shape of one input of each layer, found by running a copy of the model on a black image."""
    calls: dict[str, set[tuple[tuple[int, ...], ...]]] = {name: set() for name in names}
    probe = copy.deepcopy(model).eval()  # a copy, for batch norm counts what it sees
    for name in names:
        probe.get_submodule(name).register_forward_pre_hook(
            lambda _, inputs, seen=calls[name]: seen.add(tuple(tuple(x.shape[1:]) for x in inputs))
        )
    try:
        with torch.no_grad():
            probe(_parameter(model).new_zeros(1, *input_shape))
    except RuntimeError as error:
        raise InputError(f"the model does not take images {_sizes(input_shape)}: {reason(error)}") from None
    return {name: _only_shape(name, seen) for name, seen in calls.items()}


def _only_shape(name: str, calls: set[tuple[tuple[int, ...], ...]]) -> tuple[int, ...]:
    match list(calls):
        case [(shape,)]:
            return shape
        case []:
            raise InputError(f"the model does not run the layer '{name}'")
        case _:
            raise InputError(f"the layer '{name}': a PNIL needs one with one input, always of the same shape")


def _parameter(model: nn.Module) -> Tensor:
    """A parameter of the model, which gives new tensors their device and type."""
    return next(model.parameters(), torch.empty(0))


def _sizes(shape: Iterable[int]) -> str:
    return "x".join(map(str, shape))
