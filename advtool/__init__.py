"""advtool: train robust image classifiers, and tell how robust any PyTorch classifier really is.

::

    import advtool
    model = advtool.load_checkpoint("checkpoints/digits-lenet-both-s0.safetensors")
    result = advtool.evaluate(model, images, labels, eps=0.3)
    result.effective_robustness.accuracy
"""

import random
from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_state = random.getstate()
import_module("rich.style")  # ART imports it too, and it draws from Python's global generator when it is imported
random.setstate(_state)

if TYPE_CHECKING:
    from advtool.public import *  # noqa: F403


def __getattr__(name: str) -> Any:
    """Torch and ART take seconds to import: only a caller who asks for a name of ours waits."""
    if name.startswith("_"):
        raise AttributeError(f"module 'advtool' has no attribute '{name}'")
    public = import_module("advtool.public")
    if not hasattr(public, name):
        raise AttributeError(f"module 'advtool' has no attribute '{name}'")
    return getattr(public, name)
