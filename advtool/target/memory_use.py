"""How much memory an image takes in a pass through a model, and how many images go through it at once."""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from advtool.errors import InputError, is_out_of_memory
from advtool.target.differentiation import slope
from advtool.target.facts import Autograd
from advtool.target.holding import buffers_of, modules_of, parameters_of

CPU_BYTES_A_PASS = 128 * 2**20
"""Activations of one pass on a CPU. With a fifth of it networks are 1.1 to 1.2 times slower; more gains little."""
CUDA_SHARE_A_PASS = 0.1
"""Share of the GPU's whole memory for the activations of one pass. The free memory would change from run to run."""
MAX_IMAGES_A_PASS = 65536
SMALL_BATCH, LARGE_BATCH = 2, 4
"""The difference of two batches shows what an image takes. It leaves out weights that each pass computes anew."""

Result = TypeVar("Result")


def images_a_pass(bytes_an_image: int, device: torch.device) -> int:
    """The number of images that go through a model at once.

    Args:
        bytes_an_image: what :func:`bytes_an_image` gave.
        device: where the model is.
    """
    cuda = device.type == "cuda"
    budget = CUDA_SHARE_A_PASS * torch.cuda.get_device_properties(device).total_memory if cuda else CPU_BYTES_A_PASS
    return int(min(MAX_IMAGES_A_PASS, max(1, budget // bytes_an_image)))


def bytes_an_image(model: nn.Module, image: Tensor, autograd: Autograd) -> int:
    """The bytes that one image takes: what autograd keeps for the backward pass, or recomputes during it.

    For a model without gradients, the outputs of its layers are counted.

    Args:
        model: in eval mode and frozen.
        image: one image (1, C, H, W) on the model's device.
        autograd: how to ask for the gradient.
    """
    small, large = (image.repeat(count, 1, 1, 1) for count in (SMALL_BATCH, LARGE_BATCH))
    if autograd is Autograd.none:
        return _bytes_of_layers(model, small) // SMALL_BATCH
    difference = _saved_bytes(model, large, autograd) - _saved_bytes(model, small, autograd)
    return max(difference // (LARGE_BATCH - SMALL_BATCH), image.nbytes)


def halving_on_out_of_memory(compute: Callable[[], Result], halve: Callable[[], int]) -> Result:
    """Call ``compute()``, and each time memory runs out, call ``halve()`` and try again.

    Args:
        compute: may be called again after a try that failed.
        halve: halves the batch and returns the new size.

    Raises:
        InputError: memory runs out with one image at a time.
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
    """A tensor that autograd keeps. Its storage counts until no tensor on it is kept."""

    def __init__(self, tensor: Tensor, ledger: "_Ledger") -> None:
        self.tensor, self._ledger = tensor, ledger
        ledger.add(tensor)

    def __del__(self) -> None:
        self._ledger.remove(self.tensor)


class _Ledger:
    """Counts the bytes of all storages that are kept now (``bytes``), and the largest count so far (``most``).

    Args:
        weights: addresses of the storages of weights, which do not count.
    """

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
    except (RuntimeError, NotImplementedError):  # sparse and nested tensors, and some subclasses, have no storage
        return None


@torch.enable_grad()
def _saved_bytes(model: nn.Module, images: Tensor, autograd: Autograd) -> int:
    """The largest number of bytes that autograd keeps at a time in one forward and backward pass, without weights."""
    tensors = (*parameters_of(model).values(), *buffers_of(model).values())
    weights = {storage.data_ptr() for tensor in tensors if (storage := _storage(tensor)) is not None}
    ledger = _Ledger(weights)
    hooks = saved_tensors_hooks(lambda tensor: _Saved(tensor, ledger), lambda saved: saved.tensor)
    with _uncompiled(), hooks:
        x = images.clone().requires_grad_()
        slope(model(x).logsumexp(1).sum(), x, autograd)
    return ledger.most


def _uncompiled() -> AbstractContextManager[Any]:
    """Run compiled models without the compiler, which would trace the hooks."""
    is_imported = "torch._dynamo" in sys.modules  # the import takes seconds
    return torch.compiler.set_stance("force_eager") if is_imported else nullcontext()


def _bytes_of_layers(model: nn.Module, images: Tensor) -> int:
    """The bytes of the input and of the outputs of all leaf modules."""
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
