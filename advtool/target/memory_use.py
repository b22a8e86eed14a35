"""What a pass through a model takes in memory, and how many images go through it at once."""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from advtool.errors import InputError, is_out_of_memory
from advtool.target.holding import buffers_of, modules_of, parameters_of
from advtool.target.target import Autograd, slope

CPU_BYTES = 128 * 2**20
"""Activations of one pass on a CPU: at a fifth of it networks are 1.1 to 1.2 times slower, and more gains little."""
CUDA_SHARE = 0.1
"""Of all of the GPU's memory (what is free changes from run to run); workspaces and the attack's tensors take more."""
MOST_IMAGES = 65536
FEW, MORE = 2, 4
"""Batches whose difference is what an image takes: weights that are computed anew at each pass are in both."""

Result = TypeVar("Result")


def images_a_pass(bytes_an_image: int, device: torch.device) -> int:
    """Images whose activations, kept for a backward pass, fit into the device's budget."""
    cuda = device.type == "cuda"
    budget = CUDA_SHARE * torch.cuda.get_device_properties(device).total_memory if cuda else CPU_BYTES
    return int(min(MOST_IMAGES, max(1, budget // bytes_an_image)))


def bytes_an_image(model: nn.Module, image: Tensor, autograd: Autograd) -> int:
    """What autograd keeps of an image between the forward and the backward pass, or recomputes on the way back.

    Of a model without gradients, the outputs of its layers.

    Args:
        model: in eval mode and frozen.
        image: one image (1, C, H, W) on its device.
        autograd: how its gradient is asked for.
    """
    few, more = (image.repeat(count, 1, 1, 1) for count in (FEW, MORE))
    if autograd is Autograd.none:
        return _bytes_of_layers(model, few) // FEW
    kept = (_saved_bytes(model, more, autograd) - _saved_bytes(model, few, autograd)) // (MORE - FEW)
    return max(kept, image.nbytes)


def halving_on_out_of_memory(compute: Callable[[], Result], halve: Callable[[], int]) -> Result:
    """``compute()``, tried again after ``halve()`` each time memory runs out.

    Args:
        compute: repeatable, gives the same result whatever a failed try has left.
        halve: halves the batch and returns the new size.

    Raises:
        InputError: one image at a time is still too much.
    """
    while True:
        try:
            return compute()
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if halve() < 1:
            raise InputError("out of memory with a single image at a time: use a device with more memory")


class _Saved:
    """A tensor that autograd keeps; its storage is counted while any tensor on it is kept."""

    def __init__(self, tensor: Tensor, ledger: "_Ledger") -> None:
        self.tensor, self._ledger = tensor, ledger
        ledger.add(tensor)

    def __del__(self) -> None:
        self._ledger.remove(self.tensor)


class _Ledger:
    """The bytes of all storages that are kept at present, and the most there ever were. Weights do not count."""

    def __init__(self, weights: set[int]) -> None:
        self._weights, self._kept = weights, dict[int, int]()
        self.bytes = self.most = 0

    def add(self, tensor: Tensor) -> None:
        storage = _storage(tensor)
        if storage is None or storage.data_ptr() in self._weights:
            return
        holders = self._kept.get(storage.data_ptr(), 0)
        self._kept[storage.data_ptr()] = holders + 1
        self.bytes += 0 if holders else storage.nbytes()
        self.most = max(self.most, self.bytes)

    def remove(self, tensor: Tensor) -> None:
        storage = _storage(tensor)
        holders = 0 if storage is None else self._kept.get(storage.data_ptr(), 0)
        if storage is not None and holders:
            self._kept[storage.data_ptr()] = holders - 1
            self.bytes -= 0 if holders > 1 else storage.nbytes()


def _storage(tensor: Tensor) -> torch.UntypedStorage | None:
    try:
        return tensor.untyped_storage()
    except (RuntimeError, NotImplementedError):  # sparse, nested, or a subclass without one
        return None


@torch.enable_grad()
def _saved_bytes(model: nn.Module, images: Tensor, autograd: Autograd) -> int:
    """The most that autograd keeps at a time in one pass forward and backward, weights left out."""
    tensors = (*parameters_of(model).values(), *buffers_of(model).values())
    weights = {storage.data_ptr() for tensor in tensors if (storage := _storage(tensor)) is not None}
    ledger = _Ledger(weights)
    hooks = saved_tensors_hooks(lambda tensor: _Saved(tensor, ledger), lambda saved: saved.tensor)
    with _uncompiled(), hooks:
        x = images.clone().requires_grad_()
        slope(model(x).logsumexp(1).sum(), x, autograd)
    return ledger.most


def _uncompiled() -> AbstractContextManager[Any]:
    """Compiled models run as they were written: the compiler would trace the hooks. Its import takes seconds."""
    compiles = "torch._dynamo" in sys.modules
    return torch.compiler.set_stance("force_eager") if compiles else nullcontext()


def _bytes_of_layers(model: nn.Module, images: Tensor) -> int:
    """Of the input and the outputs of all leaf modules."""
    sizes = [images.nbytes]

    def add(_module: nn.Module, _inputs: Any, output: Any) -> None:
        sizes.append(output.nbytes if isinstance(output, Tensor) else 0)

    leaves = [module for module in modules_of(model).values() if not module._modules]
    hooks = [leaf.register_forward_hook(add) for leaf in leaves if not isinstance(leaf, torch.jit.ScriptModule)]
    try:
        with torch.no_grad():
            sizes.append(model(images).nbytes)
    finally:
        for hook in hooks:
            hook.remove()
    return sum(sizes)
