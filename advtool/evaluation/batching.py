"""How many images go through the model at once."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from advtool.attacks.base import TensorAttack
from advtool.errors import InputError, is_out_of_memory

CPU_BYTES = 128 * 2**20
"""Activations of one pass on a CPU: at a fifth of it networks are 1.1 to 1.2 times slower, and more gains little."""
CUDA_SHARE = 0.1
"""Of all of the GPU's memory (what is free changes from run to run); workspaces and the attack's tensors take more."""
MOST = 65536
BYTES_A_SHARD = {"cpu": 240_000 * 2**20, "cuda": 40_000 * 2**30}
"""Activations of all passes of a shard's dearest attack, about: minutes, which is what a kill loses."""
IMAGES_A_SHARD = {"cpu": 1000, "cuda": 4000}
"""At most: enough to fill a pass when most of them have fallen."""

Result = TypeVar("Result")


def images_a_pass(model: nn.Module, image: Tensor) -> int:
    """Images whose activations, kept for a backward pass, fit into the device's budget.

    Args:
        model: in eval mode.
        image: one image (1, C, H, W) on its device.
    """
    cuda = image.device.type == "cuda"
    budget = CUDA_SHARE * torch.cuda.get_device_properties(image.device).total_memory if cuda else CPU_BYTES
    return int(min(MOST, max(1, budget // activation_bytes(model, image))))


def shard_size(attacks: Sequence[TensorAttack], model: nn.Module, image: Tensor) -> int:
    """Images of a shard of a run with these attacks; ``image`` is one image (1, C, H, W) on the model's device."""
    place = image.device.type
    queries = BYTES_A_SHARD[place] // activation_bytes(model, image)
    return max(1, min(IMAGES_A_SHARD[place], queries // max(attack.most_queries for attack in attacks)))


def activation_bytes(model: nn.Module, image: Tensor) -> int:
    """Bytes of the input and of the outputs of all leaf modules for one image: about what a backward pass keeps."""
    sizes = [image.nbytes]

    def add(_module: nn.Module, _inputs: Any, output: Any) -> None:
        sizes.append(output.nbytes if isinstance(output, Tensor) else 0)

    leaves = [module for module in model.modules() if not any(module.children())]
    hooks = [leaf.register_forward_hook(add) for leaf in leaves]
    try:
        with torch.no_grad():
            sizes.append(model(image).nbytes)
    finally:
        for hook in hooks:
            hook.remove()
    return sum(sizes)


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
