"""The audit from end to end, on small networks for digits: tricks are named, honest models are not."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

import advtool
from advtool.attacks.suites import SUITES, Scope
from advtool.data import load, to_float
from advtool.results import Evaluation
from tests.support.models import NoisyInput, Rounded, Scaled

EPS = 0.1

SHORTER = {
    "fgsm": Scope.every,
    "pgd": Scope.every,
    "noise": Scope.diagnosed,
    "pgd-margin": Scope.diagnosed,
    "pgd-temperature": Scope.diagnosed,
    "pgd-straight": Scope.diagnosed,
    "pgd-smooth(samples=4)": Scope.diagnosed,
    "square(queries=300)": Scope.diagnosed,
    "apgd(loss='dlr', steps=30)": Scope.survivors,
    "apgd(loss='dlr', steps=20)": Scope.survivors,
}
"""The suite with fewer samples and queries, for the sake of time."""


@pytest.fixture(autouse=True)
def shorter_audit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SUITES, "audit", SHORTER)


def digits(split: str) -> tuple[Tensor, Tensor]:
    """At the 8x8 pixels of the original."""
    images = load("digits", split)
    return adaptive_avg_pool2d(to_float(images.images), 8), images.labels


def network(recipe: str) -> nn.Module:
    """Two hidden layers, stored: trained on the images ("clean"), or on examples of them at eps 0.1."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))
    model.load_state_dict(load_file(Path(__file__).parents[1] / "checkpoints" / f"digits-mlp-{recipe}.safetensors"))
    return model.eval()


def audit(model: nn.Module, images: int = 150, **options: Any) -> Evaluation:
    x, y = digits("test")
    return advtool.evaluate(
        model.eval(), x[:images], y[:images], **{"eps": EPS, "attacks": "audit", "pgd_steps": 20, **options}
    )


def masking(result: Evaluation) -> set[str]:
    return {finding.code for finding in result.warnings if finding.kind == "masking"}


@pytest.mark.parametrize("recipe", ["clean", "nfgsm", "pgd"])
def test_an_honest_model_raises_no_masking_code(recipe: str) -> None:
    result = audit(network(recipe))
    assert result.clean.accuracy > 0.8
    assert recipe == "clean" or result.worst_case.accuracy > 0.3, "a model whose robustness is worth a look"
    assert masking(result) == set()
    assert {finding.code for finding in result.warnings} <= HONEST_CODES


HONEST_CODES = {
    "worst-case-below-pgd",
    "noise-breaks-it",
    "gradient-free-beats-gradient",
    "margin-beats-cross-entropy",
    "temperature-beats-cross-entropy",
    "smoothing-beats-plain-gradient",
}
"""An honest model may earn these codes as notes of strength or setup."""


def test_logits_times_100_are_found_out_and_change_nothing() -> None:
    plain, scaled = audit(network("nfgsm")), audit(Scaled(network("nfgsm"), 100))
    pgd, worst = (scaled.attacks[1].accuracy, scaled.worst_case.accuracy)
    assert pgd is not None
    assert pgd > worst + 0.2, "PGD is misled"
    assert {"margin-beats-cross-entropy", "temperature-beats-cross-entropy"} <= masking(scaled)
    assert abs(worst - plain.worst_case.accuracy) <= 0.03
    finding = next(finding for finding in scaled.warnings if finding.code == "margin-beats-cross-entropy")
    assert finding.saturated > 0.5
    assert finding.drop >= 0.05
    assert finding.interval[0] >= 0.03


def test_rounding_to_16_levels_is_found_out() -> None:
    plain, result = audit(network("nfgsm")), audit(Rounded(network("nfgsm")))
    assert result.worst_case.accuracy <= plain.worst_case.accuracy + 0.03, "rounding itself may cost, it must not gain"
    pgd = result.attacks[1].accuracy
    assert pgd is not None
    assert pgd > result.worst_case.accuracy + 0.15
    assert {"straight-through-beats-plain-gradient", "gradient-free-beats-gradient"} <= masking(result)


def test_a_hidden_softmax_is_told() -> None:
    result = audit(nn.Sequential(network("clean"), nn.Softmax(1)), images=60)
    assert "probabilities" in {finding.code for finding in result.warnings}


def test_one_draw_of_a_random_model_is_too_few() -> None:
    """With the default number of draws, only the randomness is told."""
    noisy = NoisyInput(network("nfgsm"), 0.1)
    once = audit(noisy, images=40, eot=1, votes=1, attacks=["fgsm", "pgd"])
    assert {"random-model", "too-few-draws"} <= {finding.code for finding in once.warnings}
    usual = audit(noisy, images=40, attacks=["fgsm"])
    assert {finding.code for finding in usual.warnings} == {"random-model"}
    assert (usual.eot, usual.votes) == (20, 20)


def test_a_gradient_that_is_turned_round_is_found_out() -> None:
    """Every step leads towards the label, even a wrong label, so the accuracy on examples beats the clean accuracy."""

    class Turned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = network("clean")

        def forward(self, x: Tensor) -> Tensor:
            return self.model(2 * x.detach() - x)

    x, y = digits("test")
    y[::5] = (y[::5] + 1) % 10
    attacks = ["fgsm", "pgd(steps=10)", "square(queries=200)"]
    result = advtool.evaluate(Turned().eval(), x[:150], y[:150], eps=EPS, attacks=attacks)
    assert {"label-leaking", "gradient-free-beats-gradient"} <= masking(result)
    assert result.attacks[0].accuracy_on_examples is not None
    assert result.attacks[0].accuracy_on_examples > result.clean.accuracy + 0.05


def test_a_model_without_a_gradient_is_found_out() -> None:
    class Cut(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = network("pgd")

        def forward(self, x: Tensor) -> Tensor:
            return self.model((x.detach() * 255).to(torch.uint8).float() / 255)

    result = audit(Cut())
    codes = {finding.code for finding in result.warnings}
    assert {"no-gradient", "gradient-free-beats-gradient", "search-far-below-pgd"} <= codes
