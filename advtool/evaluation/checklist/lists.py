"""The lists, item by item. A new item is a line here.

Carlini et al. group their items under a bold line. Where the lines below it ask for separate checks, each is an item;
else the answer to the bold line covers them.
"""

from advtool.evaluation.checklist import attack_rules, model_rules
from advtool.evaluation.checklist.item import Item, List, left_to_you

CARLINI = "Carlini et al. 2019, On Evaluating Adversarial Robustness, arXiv:1902.06705"
PINTOR = "Pintor et al. 2022, Indicators of Attack Failure, arXiv:2106.09947"
ROBUSTBENCH = "Croce et al. 2021, RobustBench, arXiv:2010.09670"

LISTS = (
    List(
        CARLINI,
        "common severe flaws",
        (
            Item("3", "Do not mindlessly follow this list", left_to_you("no list replaces thinking about your model")),
            Item("2.2", "State a precise threat model", model_rules.threat_model),
            Item("2.5", "Perform adaptive attacks", model_rules.adaptive),
            Item("4.3", "Focus on the strongest attacks", attack_rules.strongest),
            Item("2.6", "Release pre-trained models and source code", model_rules.released),
            Item("4.2", "Report clean model accuracy", model_rules.clean),
            Item("5.2", "Iterative attacks beat single-step attacks", attack_rules.iterative_first),
            Item("5.2", "A larger perturbation budget breaks more", model_rules.rises_with_eps),
            Item("5.2", "High distortion brings random guessing", model_rules.unbounded),
            Item("5.3", "Curve of success against perturbation budget", model_rules.curve),
            Item("5.4", "Adaptive attacks beat any other", attack_rules.white_box_first),
            Item("5.7", "Describe the attacks, all hyperparameters", attack_rules.described),
        ),
    ),
    List(
        CARLINI,
        "common pitfalls",
        (
            Item("4.3", "Apply a diverse set of attacks", attack_rules.diverse),
            Item("4.4", "Try a gradient-free attack", attack_rules.gradient_free),
            Item("4.4", "Try a hard-label attack", attack_rules.hard_label),
            Item("4.5", "Perform a transferability attack", attack_rules.transfer),
            Item("4.6", "Ensemble over randomness", model_rules.ensembled),
            Item("4.6", "Attacks succeed if the randomness is fixed", model_rules.fixed_noise),
            Item("4.7", "Differentiable techniques for what is not", attack_rules.straight_through),
            Item("4.8", "Verify that the attacks have converged", attack_rules.converged),
            Item("4.9", "Investigate attack hyperparameters", attack_rules.hyperparameters),
            Item(
                "5.1",
                "Compare against prior work",
                left_to_you("audit an earlier model on the same images; 'advtool compare' tells the difference"),
            ),
            Item(
                "4.10",
                "Test broader threat models",
                left_to_you("only for a general defence; rotations and corruptions are outside of advtool"),
            ),
        ),
    ),
    List(
        CARLINI,
        "special-case pitfalls",
        (
            Item("4.1", "Investigate provable approaches", model_rules.provable),
            Item("4.11", "Attack with random noise", attack_rules.random_noise),
            Item("4.12", "Use targeted and untargeted attacks", attack_rules.both_aims),
            Item(
                "4.13",
                "Perform ablation studies",
                left_to_you("audit the model without its defence: the attacks must break it"),
            ),
            Item("4.14", "Validate attacks on broken models", model_rules.planted),
            Item(
                "5.5",
                "Domains other than images",
                left_to_you("this run is about images alone; say whether the defence is too"),
            ),
            Item("5.6", "Report success for each example", model_rules.per_example),
        ),
    ),
    List(
        PINTOR,
        "indicators of attack failure",
        (
            Item("indicator 1", "Unavailable gradients", model_rules.gradients),
            Item("indicator 2", "Unstable predictions", model_rules.smooth_loss),
            Item("indicator 3", "Silent success", attack_rules.path_counts),
            Item("indicator 4", "Incomplete optimization", attack_rules.converged),
            Item("indicator 5", "Transfer failure", attack_rules.verified),
            Item("indicator 6", "Unconstrained attack failure", model_rules.unbounded),
        ),
    ),
    List(
        ROBUSTBENCH,
        "restrictions of the leaderboard",
        (
            Item("restriction 1", "Gradients are not zero in general", model_rules.gradients),
            Item("restriction 2", "The forward pass is deterministic", model_rules.deterministic),
            Item("restriction 3", "No optimization loop in the forward pass", model_rules.no_loop),
        ),
    ),
)
