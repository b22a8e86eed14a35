"""advtool: train robust image classifiers, and tell how robust any PyTorch classifier really is.

::

    import advtool
    model = advtool.load_checkpoint("checkpoints/digits-lenet-both-s0.safetensors")
    result = advtool.evaluate(model, images, labels, eps=0.3)
    result.effective_robustness.accuracy
"""

import random
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_state = random.getstate()
import_module("rich.style")  # ART imports it too, and it draws from Python's global generator when it is imported
random.setstate(_state)

if TYPE_CHECKING:
    from advtool.public import *  # noqa: F403


def __getattr__(name: str) -> Any:
    """Torch and ART take seconds to import: only a caller who asks for a name of ours waits."""
    if not name.startswith("_"):
        if find_spec(f"advtool.{name}") is not None:
            return import_module(f"advtool.{name}")
        public = import_module("advtool.public")
        if hasattr(public, name):
            return getattr(public, name)
    raise AttributeError(f"module 'advtool' has no attribute '{name}'")
