"""What a result must meet, asked by ``advtool eval`` and by ``assert_robust``."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

import advtool
from advtool.cli import main
from advtool.errors import InputError
from advtool.gates.gates import Gates
from advtool.results import Diagnostics, Evaluation, Finding, SeedsEvaluation
from tests.support.models import mlp
from tests.support.runs import two_models_images

SETTINGS: dict[str, Any] = {"eps": 0.05, "attacks": ["fgsm", "pgd"], "pgd_steps": 3}
MASKING = Finding(code="zero-gradient", kind="masking", message="")
SETUP = Finding(code="low-clean-accuracy", kind="setup", message="")


@pytest.fixture(scope="module")
def found() -> Evaluation:
    """An evaluation whose worst case lies above 0.5 with room on both sides."""
    result = advtool.evaluate(mlp(), *two_models_images(), **SETTINGS)
    assert 0.55 < result.worst_case.interval[0] < result.worst_case.accuracy < 0.95
    return result


DIAGNOSED = Diagnostics(images=9, by_eps=[], saturated=0, vanishing=0, blind=0, undefined=0)


def changed(found: Evaluation, seed: int = 0, warnings: tuple[Finding, ...] = (), **worst_case: Any) -> Evaluation:
    return found.model_copy(
        update={
            "seed": seed,
            "warnings": list(warnings),
            "worst_case": found.worst_case.model_copy(update=worst_case),
        }
    )


def test_the_worst_case_is_judged_and_equal_is_enough(found: Evaluation) -> None:
    result = changed(found, accuracy=0.4, interval=(0.3, 0.5))
    assert Gates(at_least=0.4).failures([result]) == []
    assert Gates(at_least=0.41).failures([result]) == ["the worst case, 0.4000, is below at_least=0.41"]


def test_the_interval_judges_its_lower_end(found: Evaluation) -> None:
    result = changed(found, accuracy=0.4, interval=(0.3, 0.5))
    by_interval: dict[str, Any] = {"fail_under_interval": True, "as_options": True}
    assert Gates(at_least=0.3, **by_interval).failures([result]) == []
    (line,) = Gates(at_least=0.35, **by_interval).failures([result])
    assert line == "the lower end of the worst case's interval, 0.3000, is below --fail-under 0.35"


def test_a_figure_just_below_is_written_as_below(found: Evaluation) -> None:
    (line,) = Gates(at_least=0.4).failures([changed(found, accuracy=0.39999)])
    assert line == "the worst case, 0.39999, is below at_least=0.4"


def test_only_warnings_of_the_kind_fail_and_each_gate_has_its_line(found: Evaluation) -> None:
    result = changed(found, warnings=(SETUP, MASKING), accuracy=0.4)
    assert Gates(fail_on_warning=("strength",)).failures([result]) == []
    gates = Gates(at_least=0.5, fail_on_warning=("masking", "setup", "masking"), as_options=True)
    assert gates.failures([result]) == [
        "the worst case, 0.4000, is below --fail-under 0.5",
        "--fail-on-warning masking: the run warns of zero-gradient",
        "--fail-on-warning setup: the run warns of low-clean-accuracy",
    ]


def test_a_run_without_a_cascade_does_not_show_that_nothing_is_masked(found: Evaluation) -> None:
    gates = Gates(fail_on_warning=("masking",), as_options=True)
    assert gates.failures([found]) == []
    assert gates.notes([found]) == [
        "--fail-on-warning masking: no warning, but only a cascade such as --attack audit looks for all masking"
    ]
    assert gates.notes([found.model_copy(update={"diagnostics": DIAGNOSED})]) == []
    assert gates.notes([changed(found, warnings=(MASKING,))]) == [], "it fails: that says enough"
    assert Gates(at_least=0.1, fail_on_warning=("setup",)).notes([found]) == []


def test_assert_robust_warns_where_nobody_looked_for_all_masking() -> None:
    with pytest.warns(UserWarning, match=r"^fail_on_warning=masking: no warning, but .* attacks='audit' looks") as told:
        advtool.assert_robust(mlp(), *two_models_images(60), fail_on_warning=["masking"], **SETTINGS)
    assert told[0].filename == __file__, "the line of the test"


def test_every_seed_must_pass_and_the_lines_name_the_seeds(found: Evaluation) -> None:
    seeds = [
        changed(found, 3, accuracy=0.6),
        changed(found, 4, (MASKING,), accuracy=0.4),
        changed(found, 5, (MASKING,), accuracy=0.45),
    ]
    assert Gates(at_least=0.4).failures(seeds) == []
    assert Gates(at_least=0.5, fail_on_warning=("masking",)).failures(seeds) == [
        "the lowest worst case, 0.4000 with seed 4, is below at_least=0.5",
        "fail_on_warning=masking: the run warns of zero-gradient with seeds 4, 5",
    ]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"at_least": 40}, "at_least=40 must be a number from 0 to 1"),
        ({"at_least": float("nan")}, "at_least=nan must be"),
        ({"fail_under_interval": True}, "fail_under_interval says what at_least judges: give at_least too"),
        ({"fail_on_warning": ["maskin"]}, r"fail_on_warning='maskin' must be one of .*did you mean 'masking'"),
        ({"fail_on_warning": "masking"}, "must be a list of names"),
        ({}, "asks nothing of the model"),
        (
            {"at_least": 0.1, "seeds": [0, 1], "seed": 3},
            r"^seed=3 goes with one seed: with seeds=\[0, 1\] leave it out$",
        ),
        (
            {"at_least": 0.1, "seeds": [0, 1], "run_dir": "a"},
            "^run_dir='a' goes with one seed: .* name run_dirs, a folder for each$",
        ),
    ],
)
def test_bad_gates_are_refused_before_anything_is_computed(asked: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        advtool.assert_robust(mlp(), [], **asked)


def test_assert_robust_gives_what_it_found(found: Evaluation) -> None:
    result = advtool.assert_robust(mlp(), *two_models_images(), at_least=0.5, fail_under_interval=True, **SETTINGS)
    assert isinstance(result, Evaluation)
    assert result.worst_case == found.worst_case


def test_the_assertion_holds_the_failures_and_the_table() -> None:
    asked: dict[str, Any] = {"at_least": 0.99, **SETTINGS}
    with pytest.raises(AssertionError) as failed:
        advtool.assert_robust(mlp(), *two_models_images(), **asked)
    first, blank, title, *table = str(failed.value).splitlines()
    assert first.startswith("the worst case, 0.")
    assert first.endswith(", is below at_least=0.99")
    assert (blank, "250 given images" in title) == ("", True)
    for words in ("clean", "fgsm", "pgd", "worst case"):
        assert any(words in line for line in table), words


def test_assert_robust_repeats_with_seeds() -> None:
    images, labels = two_models_images(60)
    result = advtool.assert_robust(mlp(), images, labels, at_least=0.0, seeds=[3, 4], **SETTINGS)
    assert isinstance(result, SeedsEvaluation)
    assert result.seeds == [3, 4]
    with pytest.raises(
        AssertionError, match=r"the lowest worst case, 0\.\d{4} with seed [34], is below at_least=0\.99"
    ):
        advtool.assert_robust(mlp(), images, labels, at_least=0.99, seeds=[3, 4], **SETTINGS)


@pytest.fixture
def evaluate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """``advtool eval`` in this process, in an empty folder: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path) -> tuple[Any, str, str]:
        monkeypatch.setattr(sys, "argv", ["advtool", "eval", "--attack", "fgsm", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            main()
        return left.value.code, *capsys.readouterr()

    return run


def test_the_command_judges_the_interval_and_stdout_is_the_answer(evaluate: Any, digits_checkpoint: Path) -> None:
    asked = (digits_checkpoint, "--images", "40", "--eps", "0.1", "--format", "json", "--fail-under-interval")
    code, out, err = evaluate(*asked, "--fail-under", "0.95")
    low = json.loads(out)["worst_case"]["interval"][0]
    assert code == 1
    assert err.splitlines()[-1] == (
        f"advtool: the lower end of the worst case's interval, {low:.4f}, is below --fail-under 0.95"
    )
    code, out, err = evaluate(*asked, "--fail-under", "0.95", "--seeds", "2")
    assert (code, json.loads(out)["schema"]) == (1, "advtool.eval-seeds/1")
    assert "the lowest lower end of the worst case's interval" in err.splitlines()[-1]
    code, _, err = evaluate(*asked, "--fail-under", "0.1", "--fail-on-warning", "masking")
    assert code == 0
    assert err.splitlines()[-1].startswith("advtool: note: --fail-on-warning masking: no warning, but only a cascade")


def test_the_command_says_every_gate_that_fails(evaluate: Any) -> None:
    """A model that rounds its pixels has no gradient, and one with random weights guesses."""
    Path("net.py").write_text(ROUNDING)
    asked = ("net.py:make", "--dataset", "digits", "--images", "40", "--force", "--format", "json")
    code, out, err = evaluate(*asked, "--fail-under", "1", "--fail-on-warning", "setup", "--fail-on-warning", "masking")
    assert {"zero-gradient", "low-clean-accuracy"} <= {finding["code"] for finding in json.loads(out)["warnings"]}
    under, setup, masking = err.splitlines()[-3:]
    assert code == 1
    assert under.endswith("is below --fail-under 1")
    assert setup.startswith("advtool: --fail-on-warning setup: the run warns of ")
    assert "low-clean-accuracy" in setup
    assert masking == "advtool: --fail-on-warning masking: the run warns of zero-gradient"


ROUNDING = """
import torch
from torch import nn

class Rounding(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.last = nn.Linear(784, 10)

    def forward(self, x):
        return self.last(x.flatten(1).round())

make = Rounding
"""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--fail-under", "40"), "--fail-under 40.0: it must be a number from 0 to 1"),
        (("--fail-under-interval", "0.4"), "--fail-under-interval says what --fail-under judges"),
        (("--fail-on-warning", "maskin"), "--fail-on-warning 'maskin': it must be one of masking, strength, setup"),
    ],
)
def test_the_command_refuses_bad_gates_in_a_line(evaluate: Any, arguments: tuple[str, ...], words: str) -> None:
    code, out, err = evaluate(*arguments)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert words in err


def test_a_gate_under_torchrun_that_restarts_is_refused(
    evaluate: Any, digits_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else each failure would be taken for a crash, and the answer would be printed again and again."""
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "1")
    monkeypatch.setenv("TORCHELASTIC_MAX_RESTARTS", "2")
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "2")
    for gate in (("--fail-under", "0.4"), ("--fail-on-warning", "masking")):
        code, out, err = evaluate(*gate)
        assert (code, out, len(err.splitlines())) == (2, "", 1)
        assert "leave out --max-restarts" in err
    monkeypatch.setenv("TORCHELASTIC_MAX_RESTARTS", "0")
    assert evaluate("--fail-under", "0", "--checkpoint", digits_checkpoint, "--images", "20")[0] == 0
