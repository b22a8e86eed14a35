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
    from advtool.attacks.art_classifier import EOTClassifier as EOTClassifier
    from advtool.errors import InputError as InputError
    from advtool.evaluation.evaluator import check as check
    from advtool.evaluation.evaluator import evaluate as evaluate
    from advtool.models import load_checkpoint as load_checkpoint
    from advtool.models.bias import collapse as collapse
    from advtool.models.bias import perturbation_parameters as perturbation_parameters
    from advtool.models.bias import perturbation_step as perturbation_step
    from advtool.models.bias import with_perturbation_bias as with_perturbation_bias
    from advtool.models.noise import PNIL as PNIL
    from advtool.models.noise import with_pnil as with_pnil
    from advtool.results import Check as Check
    from advtool.results import Evaluation as Evaluation
    from advtool.studies.comparison import compare as compare
    from advtool.studies.score import score as score
    from advtool.studies.seeds import evaluate_seeds as evaluate_seeds
    from advtool.studies.sweep import sweep_eot as sweep_eot
    from advtool.studies.sweep import sweep_eps as sweep_eps
    from advtool.target.opening.opener import open_model as open_model
    from advtool.target.target import Target as Target

_HOMES = {
    "PNIL": "advtool.models.noise",
    "EOTClassifier": "advtool.attacks.art_classifier",
    "InputError": "advtool.errors",
    "compare": "advtool.studies.comparison",
    "check": "advtool.evaluation.evaluator",
    "evaluate": "advtool.evaluation.evaluator",
    "open_model": "advtool.target.opening.opener",
    "Check": "advtool.results",
    "Target": "advtool.target.target",
    "score": "advtool.studies.score",
    "evaluate_seeds": "advtool.studies.seeds",
    "sweep_eot": "advtool.studies.sweep",
    "sweep_eps": "advtool.studies.sweep",
    "load_checkpoint": "advtool.models",
    "Evaluation": "advtool.results",
    "collapse": "advtool.models.bias",
    "perturbation_parameters": "advtool.models.bias",
    "perturbation_step": "advtool.models.bias",
    "with_perturbation_bias": "advtool.models.bias",
    "with_pnil": "advtool.models.noise",
}
__all__ = [
    "PNIL",
    "Check",
    "EOTClassifier",
    "Evaluation",
    "InputError",
    "Target",
    "__version__",
    "check",
    "collapse",
    "compare",
    "evaluate",
    "evaluate_seeds",
    "load_checkpoint",
    "open_model",
    "perturbation_parameters",
    "perturbation_step",
    "score",
    "sweep_eot",
    "sweep_eps",
    "with_perturbation_bias",
    "with_pnil",
]


def __getattr__(name: str) -> Any:
    """Torch and ART take seconds to import: only who asks for them waits."""
    if name not in _HOMES:
        raise AttributeError(f"module 'advtool' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)
