"""The evaluator: what counts as robust, what random streams do, what the verifier lets through."""

import hashlib
import json
import random
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import advtool
from advtool.attacks.base import Guide, StepReport, TensorAttack
from advtool.attacks.candidates import Candidates, Found
from advtool.attacks.registry import ATTACKS
from advtool.attacks.suites import SUITES, Scope
from advtool.errors import InputError
from advtool.evaluation import provenance
from advtool.evaluation.observer import Observer
from advtool.evaluation.verification import verify
from advtool.report.check import facts
from advtool.target import probing
from advtool.target.facts import Randomness
from advtool.target.target import Target
from advtool.threat import ThreatModel
from tests.support.models import Cheat, Linear, NoisyInput, mlp
from tests.support.runs import SHAPE, Listener, images, labelled, without_times


def test_the_same_seed_gives_the_same_document() -> None:
    model = NoisyInput(mlp(SHAPE), 0.1)
    x, y = labelled(model.model)
    first, second = (
        advtool.evaluate(
            model,
            x,
            y,
            eps=0.05,
            attacks=["paper", "art:HopSkipJump(max_iter=1, max_eval=20, init_eval=5)"],
            spsa_steps=5,
            seed=3,
        )
        for _ in range(2)
    )
    assert json.dumps(without_times(first.to_dict())) == json.dumps(without_times(second.to_dict()))


def test_another_seed_gives_other_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Tensor] = []

    class Recorder(ATTACKS["pgd"]):  # type: ignore[misc,name-defined]
        def search(self, x: Tensor, y: Tensor, generator: torch.Generator, report: StepReport) -> Found:
            result = super().search(x, y, generator, report)
            found.append(result.x)
            return result

    monkeypatch.setitem(ATTACKS, "pgd", Recorder)
    model = mlp(SHAPE)
    x, y = labelled(model, 20)
    for seed in (0, 0, 1):
        advtool.evaluate(model, x, y, eps=0.01, attacks=["pgd"], seed=seed)
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_global_generators_are_put_back() -> None:
    model = NoisyInput(mlp(SHAPE), 0.1)
    x, y = labelled(model.model, 20)

    def draws() -> tuple[float, float, float]:
        torch.manual_seed(5), np.random.seed(5), random.seed(5)
        if evaluating:
            advtool.evaluate(model, x, y, eps=0.05, attacks=["fgsm", "art:ZooAttack(max_iter=1)"])
        return torch.rand(1).item(), np.random.rand(), random.random()

    evaluating = False
    expected = draws()
    evaluating = True
    assert draws() == expected


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_the_callers_grad_mode_does_not_matter(mode: type[torch.no_grad]) -> None:
    """Gradient attacks that silently find nothing under no_grad would call every model robust."""
    x, y = labelled(mlp(SHAPE))
    expected = advtool.evaluate(mlp(SHAPE), x, y, eps=0.05, attacks=["fgsm", "pgd"])
    model = mlp(SHAPE)
    with mode():
        inside = advtool.evaluate(model, x.clone(), y.clone(), eps=0.05, attacks=["fgsm", "pgd"])
    assert [attack.robust for attack in inside.attacks] == [attack.robust for attack in expected.attacks]
    assert expected.attacks[1].robust < expected.clean.correct


class NoAnswerInTheDark(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        level = x.flatten(1).mean(1, keepdim=True)
        return torch.cat([torch.where(level < 0.2, torch.nan, level), torch.zeros(len(x), 1)], 1)


def grey_images(*levels: float) -> Tensor:
    return torch.stack([torch.full(SHAPE, level) for level in levels])


def test_logits_that_are_not_finite_are_never_right_and_are_told() -> None:
    x, y = grey_images(0.9, 0.8, 0.1, 0.3), torch.zeros(4, dtype=torch.long)
    result = advtool.evaluate(NoAnswerInTheDark(), x, y, eps=0.05, spsa_steps=3)
    assert result.clean.correct == 3
    assert result.worst_case.robust == 3
    told = [(warning.message, warning.unanswered) for warning in result.warnings if warning.code == "no-answer"]
    assert told == [("the outputs are NaN or infinite for 1 image without an attack: these count as misclassified", 1)]
    check = advtool.check(NoAnswerInTheDark(), x, y, eps=0.05)
    assert check.unanswered == 1
    assert ("answers", "NaN or infinite for 1 of these: they count as misclassified") in facts(check)


@pytest.mark.parametrize("attack", ["fgsm", "pgd", "apgd", "square(queries=200)", "spsa(steps=5)"])
def test_no_answer_to_an_adversarial_example_is_the_attacks_success_and_earns_no_warning(attack: str) -> None:
    x, y = grey_images(0.9, 0.8, 0.21, 0.3), torch.zeros(4, dtype=torch.long)
    result = advtool.evaluate(NoAnswerInTheDark(), x, y, eps=0.05, attacks=[attack])
    assert (result.clean.correct, result.worst_case.robust) == (4, 3)
    assert "no-answer" not in {warning.code for warning in result.warnings}


ANSWERLESS = [
    "pgd",
    "pgd-smooth",
    "apgd",
    "apgd-targeted",
    "doubling",
    "nearest",
    "square",
    "noise(samples=20)",
    "spsa",
]


@pytest.mark.parametrize("noise", [0.0, 0.001])
def test_every_search_keeps_a_point_without_an_answer(noise: float) -> None:
    """Nothing else breaks an image here."""
    model = NoisyInput(NoAnswerInTheDark(), noise) if noise else NoAnswerInTheDark()
    x, y = grey_images(0.9, 0.202), torch.zeros(2, dtype=torch.long)
    result = advtool.evaluate(model, x, y, eps=0.05, attacks=ANSWERLESS, spsa_steps=10)
    assert result.clean.correct == 2
    assert {attack.name: attack.robust for attack in result.attacks} == {attack.name: 1 for attack in result.attacks}


def test_next_to_no_eps_changes_nothing() -> None:
    model = mlp(SHAPE)
    x, y = labelled(model)
    y[:20] = (y[:20] + 1) % 4
    result = advtool.evaluate(model, x, y, eps=1e-9, spsa_steps=5)
    assert result.clean.correct == 130
    assert [attack.robust for attack in result.attacks] == [130, 130, 130]
    assert result.worst_case.accuracy == result.effective_robustness.accuracy == result.clean.accuracy


def test_the_models_own_forward_is_attacked_though_it_is_a_sequential() -> None:
    cheat = Cheat(*mlp(SHAPE))
    x, y = labelled(cheat)
    through_its_forward = advtool.evaluate(cheat, x, y, eps=0.05, attacks=["fgsm", "pgd"])
    plain = nn.Sequential(*mlp(SHAPE))
    mirrored = advtool.evaluate(plain, 1 - x, y, eps=0.05, attacks=["fgsm", "pgd"])
    assert through_its_forward.clean.accuracy == 1
    assert through_its_forward.attacks[0].robust == mirrored.attacks[0].robust < len(x)


def test_minimum_and_worst_case_are_what_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two attacks break different images. The minimum is the accuracy under one, the worst case loses to both."""
    model = Linear(torch.tensor([[1.0], [0.0]]), torch.tensor([-0.5, 0.0]))  # class 0 for pixels above 0.5
    x = torch.tensor([0.55, 0.56, 0.57, 0.9, 0.2]).view(5, 1, 1, 1)
    y = torch.tensor([0, 0, 0, 0, 0])  # the last is misclassified from the start

    def breaking(rows: list[int]) -> type[TensorAttack]:
        class Breaker(TensorAttack):
            name, guide, one_step, most_queries = "breaker", Guide.nothing, True, 1

            def explore(
                self, x: Tensor, y: Tensor, found: Candidates, generator: torch.Generator, report: StepReport
            ) -> None:
                x_adv = x.clone()
                x_adv[rows] -= 0.1
                found.take(x_adv, step=1)

        return Breaker

    monkeypatch.setitem(ATTACKS, "one", breaking([0]))
    monkeypatch.setitem(ATTACKS, "two", breaking([1, 2]))
    result = advtool.evaluate(model, x, y, eps=0.1 + 1e-6, attacks=["one", "two"])
    assert (result.clean.correct, result.clean.total) == (4, 5)
    assert [attack.robust for attack in result.attacks] == [3, 2]
    assert (result.effective_robustness.attack, result.effective_robustness.accuracy) == ("two", 0.4)
    assert (result.worst_case.robust, result.worst_case.total) == (1, 5)
    assert [attack.accuracy_on_examples for attack in result.attacks] == [0.6, 0.4]


def test_accuracy_on_examples_may_exceed_clean_accuracy() -> None:
    """The gradient points the wrong way, so FGSM helps the model. Images that it mends do not count as robust."""

    class WrongWay(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            pixel = x.flatten(1)
            truth = 10 * (pixel - 0.5)
            turned = truth.detach() - truth + truth.detach()
            return torch.cat([turned, torch.zeros_like(turned)], 1)

    x = torch.tensor([0.45, 0.6, 0.48]).view(3, 1, 1, 1)
    result = advtool.evaluate(WrongWay(), x, torch.tensor([0, 0, 0]), eps=0.1, attacks=["fgsm"])
    assert result.clean.correct == result.attacks[0].robust == 1
    assert result.attacks[0].accuracy_on_examples == 1.0


@pytest.mark.parametrize("break_it", ["outside the ball", "outside the clip range", "nan", "infinite"])
def test_the_verifier_refuses_points_that_are_no_adversarial_examples(break_it: str) -> None:
    model = Linear(torch.tensor([[1.0, 0.0], [0.0, 0.0]]), torch.tensor([-0.5, 0.0])).requires_grad_(False)
    target = Target(model, input_shape=(1, 1, 2), classes=2)
    x = torch.tensor([[0.55, 0.02], [0.55, 0.02]]).view(2, 1, 1, 2)
    good = x - torch.tensor([0.1, 0.0])
    bad = good.clone()
    bad[1, 0, 0] = {
        "outside the ball": torch.tensor([0.44, 0.02]),
        "outside the clip range": torch.tensor([0.45, -0.01]),
        "nan": torch.tensor([0.45, torch.nan]),
        "infinite": torch.tensor([-torch.inf, 0.02]),
    }[break_it]
    y = torch.tensor([0, 0])
    assert verify(target.scores, good, x, y, ThreatModel(eps=0.1)).adversarial.tolist() == [True, True]
    assert verify(target.scores, bad, x, y, ThreatModel(eps=0.1)).adversarial.tolist() == [True, False]


def test_luck_is_no_attack() -> None:
    """A model whose noise alone flips a tenth of its single draws keeps its accuracy under votes.

    Searching until some noisy prediction is wrong would 'break' nearly every image in 50 steps.
    """
    coin = NoisyInput(Linear(torch.tensor([[1.0], [0.0]]), torch.tensor([-0.5, 0.0])), scale=0.1)
    x = torch.full((100, 1, 1, 1), 0.63)  # wrong in one draw of ten
    result = advtool.evaluate(coin, x, torch.zeros(100, dtype=torch.long), eps=1e-6, attacks=["pgd", "spsa"])
    assert (result.eot, result.votes) == (20, 20)
    assert result.clean.accuracy == 1
    assert result.worst_case.accuracy >= 0.98


@pytest.mark.parametrize("attack", ["pgd", "audit"])
def test_seeds_agree_on_a_pnil_model_within_their_intervals(attack: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each accuracy lies in the other's interval, and the noise is large enough to matter."""
    short = {"pgd": Scope.every, "pgd-margin": Scope.diagnosed, "square(queries=20)": Scope.survivors}
    monkeypatch.setitem(SUITES, "audit", short)
    model = advtool.with_pnil(mlp(SHAPE), input_shape=SHAPE).eval()
    x, y = labelled(mlp(SHAPE), 200)
    first, second = (
        advtool.evaluate(model, x, y, eps=0.05, attacks=attack, pgd_steps=6, seed=seed, eot=5) for seed in (0, 2)
    )
    assert 0.05 < first.worst_case.accuracy < first.clean.accuracy - 0.05
    with torch.no_grad():
        assert (model(x).argmax(1) != model(x).argmax(1)).any(), "no noise to speak of"
    pairs = [(first.clean, second.clean), (first.worst_case, second.worst_case), (first.attacks[0], second.attacks[0])]
    for one, other in pairs:
        assert one.interval[0] <= other.accuracy <= one.interval[1]
        assert other.interval[0] <= one.accuracy <= other.interval[1]


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (mlp(SHAPE), Randomness.none),
        (NoisyInput(mlp(SHAPE), 0.1), Randomness.each_image),
        (NoisyInput(mlp(SHAPE), 0.1, once_a_call=True), Randomness.each_call),
        (nn.Sequential(nn.Dropout(0.5), mlp(SHAPE)), Randomness.none),
    ],
)
def test_randomness_is_found_out(model: nn.Module, expected: Randomness) -> None:
    assert probing.randomness(model.eval(), images(8)) is expected


def test_a_model_that_draws_once_a_call_is_called_once_a_draw() -> None:
    calls = []

    class Counting(NoisyInput):
        def forward(self, x: Tensor) -> Tensor:
            calls.append(len(x))
            return super().forward(x)

    model = Counting(mlp(SHAPE), 0.1, once_a_call=True).requires_grad_(False)
    target = Target(model, input_shape=SHAPE, classes=4, eot=3, votes=5, randomness=Randomness.each_call)
    target.scores(images(6))
    assert calls == [6] * 5
    calls.clear()
    target.scores_and_gradient(images(6), torch.zeros(6, dtype=torch.long))
    assert calls == [6] * 3


class Glutton(nn.Module):
    """Runs out of memory with more than ``most`` images at once."""

    def __init__(self, most: int = 10**9) -> None:
        super().__init__()
        self.model, self.most = mlp(SHAPE), most

    def forward(self, x: Tensor) -> Tensor:
        if len(x) > self.most:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")
        return self.model(x)


def test_out_of_memory_in_the_surrogate_halves_its_batch_too(tmp_path: Path) -> None:
    model = mlp(SHAPE)
    x, y = labelled(model)
    asked = {"eps": 0.05, "attacks": ["transfer"], "run_dir": tmp_path}
    expected = advtool.evaluate(model, x, y, **{**asked, "run_dir": None}, surrogate=Glutton())
    assert expected.worst_case.robust < expected.clean.correct
    listener = Listener()
    result = advtool.evaluate(model, x, y, **asked, surrogate=Glutton(9), observer=listener)
    assert 4 < result.environment["surrogate_images_a_pass"] <= 9
    assert "the surrogate last" in listener.notes[-1]
    assert [attack.robust for attack in result.attacks] == [attack.robust for attack in expected.attacks]
    next((tmp_path / "shards").glob("1-*")).unlink()
    listener.notes.clear()
    again = advtool.evaluate(model, x, y, **asked, surrogate=Glutton(9), observer=listener)
    assert again.environment == result.environment
    assert not any("out of memory" in note for note in listener.notes), "the number is not kept"


def test_out_of_memory_halves_the_batch_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Glutton()
    x, y = labelled(model)
    expected = advtool.evaluate(model, x, y, eps=0.05, spsa_steps=3)
    model.most = 9
    listener = Listener()
    result = advtool.evaluate(model, x, y, eps=0.05, spsa_steps=3, observer=listener)
    assert result.environment["images_a_pass"] <= 9
    assert "out of memory" in listener.notes[0]
    assert [attack.robust for attack in result.attacks] == [attack.robust for attack in expected.attacks]

    class Starver(Observer):
        def start(self, stage: str, images: int) -> None:
            model.most = 0

    with pytest.raises(InputError, match="out of memory with a single image"):
        advtool.evaluate(model, x, y, eps=0.05, observer=Starver())


def test_the_fingerprint_of_the_images_takes_no_copy_of_them() -> None:
    values = (torch.rand(1000, 3, 32, 32), torch.arange(1000), torch.zeros(0))
    content = b"".join(value.numpy().tobytes() for value in values)
    tracemalloc.start()
    found = provenance.tensors(*values)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == hashlib.sha256(content).hexdigest()[:16]
    assert most < len(content) / 10


@pytest.mark.parametrize("scale", [255.0, -1.0, torch.nan])
def test_images_outside_the_range_are_refused(scale: float) -> None:
    with pytest.raises(InputError, match=r"images must lie in \[0, 1\]"):
        advtool.evaluate(mlp(SHAPE), images(5) * scale, torch.zeros(5, dtype=torch.long))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"images": torch.zeros(0, *SHAPE)}, "non-empty"),
        ({"images": torch.zeros(5, 16)}, r"\(N, C, H, W\)"),
        ({"images": torch.zeros(5, *SHAPE, dtype=torch.uint8)}, "divide by 255"),
        ({"images": torch.zeros(5, 1, 5, 5)}, r"does not take images of shape \(1, 5, 5\)"),
        ({"labels": torch.zeros(4, dtype=torch.long)}, "one class index an image"),
        ({"labels": torch.full((5,), 0.5)}, "class indices"),
        ({"observer": 3}, "observer=3 must be an advtool.evaluation.observer.Observer"),
        ({"refuse_chance": torch.ones(2)}, "refuse_chance=.* must be True or False"),
        ({"save_adversarial": "yes"}, "save_adversarial='yes' must be True or False"),
        ({"labels": torch.tensor([0, 1, 2, 3, -1])}, "class indices"),
        ({"labels": torch.tensor([0, 1, 2, 3, 4])}, "labels go up to 4, but the model has 4 classes"),
        ({"model": nn.Flatten(2)}, "logits"),
        ({"model": nn.Sequential(nn.Flatten(), nn.Linear(16, 1))}, "the model has 2 classes"),
        ({"eps": 0.0}, "eps"),
        ({"eps": 8.0}, "eps"),
        ({"attacks": []}, "no attack"),
        ({"eps": "8/255"}, "eps='8/255'"),
        ({"device": "gpu"}, "device 'gpu' is unknown"),
        ({"device": "meta"}, "use 'cpu'"),
        ({"seed": None}, "seed=None"),
        ({"eot": 2.5}, "eot=2.5"),
        ({"eot": 0}, "eot=0"),
        ({"votes": 0}, "votes=0"),
        ({"spsa_samples": 3}, "even"),
    ],
)
def test_bad_arguments_are_refused_in_one_line_that_names_them(change: dict[str, Any], words: str) -> None:
    arguments = {"model": mlp(SHAPE), "images": images(5), "labels": torch.arange(5) % 4, **change}
    with pytest.raises(InputError, match=words):
        advtool.evaluate(**arguments)


def test_nan_weights_are_refused_by_name() -> None:
    model = mlp(SHAPE)
    model[3].weight.data[0, 0] = torch.nan
    with pytest.raises(InputError, match=r"3\.weight"):
        advtool.evaluate(model, images(5), torch.zeros(5, dtype=torch.long))
