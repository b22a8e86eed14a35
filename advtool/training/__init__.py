"""Training: one loop, recipes as plain data, examples as tensor functions."""

from advtool.training.examples import EXAMPLES, Examples
from advtool.training.history import Collapse, Figures
from advtool.training.keeper import Trained, partial_path
from advtool.training.lr_range import RangeTest, lr_range
from advtool.training.observer import Observer
from advtool.training.recipes import RECIPES, Recipe, recipe_for
from advtool.training.session import default_output, train
from advtool.training.settings import Settings

__all__ = [
    "EXAMPLES",
    "RECIPES",
    "Collapse",
    "Examples",
    "Figures",
    "Observer",
    "RangeTest",
    "Recipe",
    "Settings",
    "Trained",
    "default_output",
    "lr_range",
    "partial_path",
    "recipe_for",
    "train",
]
