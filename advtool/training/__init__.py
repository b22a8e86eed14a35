"""Training: one loop, recipes as plain data, examples as tensor functions."""

from advtool.training.examples import EXAMPLES, Examples
from advtool.training.keeper import Trained, partial_path
from advtool.training.observer import Observer
from advtool.training.recipes import RECIPES, Recipe, recipe_for
from advtool.training.session import default_output, train
from advtool.training.validation import Figures

__all__ = [
    "EXAMPLES",
    "RECIPES",
    "Examples",
    "Figures",
    "Observer",
    "Recipe",
    "Trained",
    "default_output",
    "partial_path",
    "recipe_for",
    "train",
]
