"""How tensors are computed: precision, memory, faster layers."""

from typing import Literal

Precision = Literal["auto", "float32", "bfloat16"]
"""Of the passes through a model. It stands here because the commands' ``--help`` reads it, which imports no torch."""
