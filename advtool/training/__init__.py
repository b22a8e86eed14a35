"""Training: one loop, recipes as plain data, examples as tensor functions."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from advtool.training.recipes import RECIPES as RECIPES
from advtool.training.recipes import Recipe as Recipe
from advtool.training.recipes import recipe_for as recipe_for
from advtool.training.recipes import register as register
from advtool.training.settings import Settings as Settings

if TYPE_CHECKING:
    from advtool.training.public import *  # noqa: F403 - its __all__ is the list


def __getattr__(name: str) -> Any:
    """Torch takes seconds to import: the commands' ``--help``, which reads the recipes, does not wait for it."""
    public = import_module("advtool.training.public")
    if name not in public.__all__:
        raise AttributeError(f"module 'advtool.training' has no attribute '{name}'")
    return getattr(public, name)
