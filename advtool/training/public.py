"""What ``advtool.training`` offers beyond the recipes: all that needs torch."""

from advtool.results import Collapse, Figures, RangeTest
from advtool.training.examples import EXAMPLES, Examples
from advtool.training.keeper import Trained
from advtool.training.observer import Observer, Observers
from advtool.training.range_test import lr_range
from advtool.training.resumption import find_output, is_begun, new_output, resume
from advtool.training.session import default_output, train
from advtool.training.tensorboard import TensorBoard

__all__ = [
    "EXAMPLES",
    "Collapse",
    "Examples",
    "Figures",
    "Observer",
    "Observers",
    "RangeTest",
    "TensorBoard",
    "Trained",
    "default_output",
    "find_output",
    "is_begun",
    "lr_range",
    "new_output",
    "resume",
    "train",
]
