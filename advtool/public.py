"""What ``import advtool`` offers: everything that needs torch or ART."""

from advtool import attacks as attacks
from advtool import perturb as perturb
from advtool.attacks.art_classifier import EOTClassifier as EOTClassifier
from advtool.certification.certify import certify as certify
from advtool.errors import InputError as InputError
from advtool.evaluation.checklist.checklist import checklist as checklist
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
from advtool.studies.smallest_eps import smallest_eps as smallest_eps
from advtool.studies.sweep import sweep_eot as sweep_eot
from advtool.studies.sweep import sweep_eps as sweep_eps
from advtool.target.opening.opener import open_model as open_model
from advtool.target.target import Target as Target
from advtool.threat import ThreatModel as ThreatModel
