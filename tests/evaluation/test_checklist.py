"""Checklists: every item is answered as the run deserves, and every command that is named can be given."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer.main
from torch import nn

import advtool
from advtool.cli import app
from advtool.errors import InputError
from advtool.evaluation.checklist.lists import CARLINI, LISTS, PINTOR, ROBUSTBENCH
from advtool.report import FORMATS
from advtool.results import Checklist, ChecklistItem, DatasetInfo, Evaluation
from advtool.threat import ThreatModel
from tests.conftest import Command
from tests.support.models import NoisyInput, Rounded, mlp
from tests.support.runs import two_models_images

ORIGIN = {"spec": "my nets/net.py:make", "weights": {"path": "w.pth", "sha256": "0"}, "arguments": {"width": 2}}


def evaluated(model: nn.Module, *attacks: str, eps: float = 0.05, **more: Any) -> Evaluation:
    images, labels = two_models_images(20)
    return advtool.evaluate(model, images, labels, eps=eps, attacks=attacks, pgd_steps=10, **more)


@pytest.fixture(scope="module")
def fgsm() -> Evaluation:
    return evaluated(mlp(), "fgsm")


@pytest.fixture(scope="module")
def audit() -> Evaluation:
    return evaluated(mlp(), "audit")


def with_status(checklist: Checklist, *statuses: str) -> set[str]:
    return {item.item for item in checklist.items if item.status in statuses}


def find(checklist: Checklist, words: str) -> ChecklistItem:
    (found,) = [item for item in checklist.items if words in item.item]
    return found


def parameters(command: str) -> dict[str, Any]:
    """What the real command line makes of the command, down to the last option; it is not run."""
    parsed, words = typer.main.get_command(app), shlex.split(command)[1:]
    while words and words[0] in getattr(parsed, "commands", {}):
        parsed = parsed.commands[words.pop(0)]
    return parsed.make_context("advtool", words).params


def test_the_lists_hold_every_item_once() -> None:
    items = [(each.source, item.section, item.asks) for each in LISTS for item in each.items]
    assert len(set(items)) == len(items)
    assert [(each.source, len(each.items)) for each in LISTS] == [
        (CARLINI, 12),
        (CARLINI, 11),
        (CARLINI, 7),
        (PINTOR, 6),
        (ROBUSTBENCH, 3),
    ]
    # the sections that the paper's own list names, in its order (section 3)
    assert [" ".join(item.section for item in each.items) for each in LISTS[:3]] == [
        "3 2.2 2.5 4.3 2.6 4.2 5.2 5.2 5.2 5.3 5.4 5.7",
        "4.3 4.4 4.4 4.5 4.6 4.6 4.7 4.8 4.9 5.1 4.10",
        "4.1 4.11 4.12 4.13 4.14 5.5 5.6",
    ]


def test_fgsm_alone_leaves_nearly_all_undone(fgsm: Evaluation) -> None:
    checklist = advtool.checklist(fgsm)
    assert with_status(checklist, "done") == {
        "State a precise threat model",
        "Report clean model accuracy",
        "Describe the attacks, all hyperparameters",
        "Report success for each example",
        "Unavailable gradients",
        "Silent success",
        "Transfer failure",
        "Gradients are not zero in general",
        "The forward pass is deterministic",
        "No optimization loop in the forward pass",
    }
    assert all((item.command is not None) == (item.status == "not done") for item in checklist.items)


def test_an_audit_does_what_it_can(audit: Evaluation) -> None:
    checklist = advtool.checklist(audit)
    assert with_status(checklist, "not done") == {
        "Curve of success against perturbation budget",
        "Try a hard-label attack",
        "Perform a transferability attack",
        "Attack with random noise",
    }
    assert with_status(checklist, "not applicable") == {
        "Ensemble over randomness",
        "Attacks succeed if the randomness is fixed",
        "Differentiable techniques for what is not",
    }


def test_done_comes_with_the_figures_of_the_run(audit: Evaluation) -> None:
    checklist = advtool.checklist(audit)
    assert audit.planted is not None
    assert audit.certified is not None
    assert audit.diagnostics is not None
    share = f"{100 * audit.worst_case.accuracy:.1f} %"
    assert f"worst case {share}" in find(checklist, "Report success for each example").answer
    assert f"attacks found {audit.planted.found}" in find(checklist, "Validate attacks").answer
    assert f"{100 * audit.certified.accuracy:.1f} % are proved" in find(checklist, "provable").answer
    largest = audit.diagnostics.by_eps[-1]
    assert f"{100 * largest.accuracy:.1f} % at eps 0.5" in find(checklist, "Unconstrained").answer


def test_the_diagnostics_count_what_the_probes_left(audit: Evaluation) -> None:
    diagnostics, outcomes = audit.diagnostics, audit.outcomes
    assert diagnostics is not None
    assert [point.eps for point in diagnostics.by_eps] == [0.025, 0.05, 0.1, 0.5]
    for point in diagnostics.by_eps:
        stage = "pgd" if point.eps == 0.05 else f"pgd at eps {point.eps:g}"
        survive = int(outcomes.survives(stage).sum())
        assert (point.robust, point.accuracy) == (survive, survive / diagnostics.images)
    assert "diagnostics" not in evaluated(mlp(), "pgd").to_dict()


def test_json_alone_gives_the_same_answers(audit: Evaluation) -> None:
    read = Evaluation.model_validate_json(json.dumps(audit.to_dict()))
    assert advtool.checklist(read) == advtool.checklist(audit)


def test_what_the_run_warns_of_stands_at_its_item() -> None:
    checklist = advtool.checklist(evaluated(Rounded(mlp()), "fgsm", "pgd", eps=0.2))
    warned = {item.item: item.findings for item in checklist.items if item.findings}
    assert warned["Unavailable gradients"] == warned["Gradients are not zero in general"] == ("zero-gradient",)
    undone = find(checklist, "Differentiable techniques")
    assert (undone.status, undone.findings) == ("not done", ("zero-gradient",))
    assert "pgd-straight" in str(undone.command)


def test_a_random_model_needs_draws() -> None:
    noisy = NoisyInput(mlp(), 0.3)
    right, few = (advtool.checklist(evaluated(noisy, "fgsm", eot=n, votes=n)) for n in (2, 1))
    assert find(right, "Ensemble").status == "done"
    assert find(few, "Ensemble").status == "not done"
    assert "eot=2, votes=2" in str(find(right, "hard-label").command)
    assert "eot" not in str(find(few, "Ensemble").command)  # a single draw was the fault
    assert find(right, "fixed").status == "not done"
    assert find(right, "provable").status == "not applicable"
    assert find(right, "deterministic").findings == ("random-model",)


def test_the_same_attack_with_twice_the_effort_tells_of_convergence() -> None:
    halved = ("pgd(steps=4)", "pgd(steps=7)")
    doubled = ("pgd(steps=4)", "pgd(steps=2, restarts=4)")
    short, long = (find(advtool.checklist(evaluated(mlp(), *each)), "Incomplete") for each in (halved, doubled))
    assert (short.status, long.status) == ("not done", "done")
    assert "pgd(restarts=4, steps=2) leaves" in long.answer
    assert "times 2" in long.answer


def test_a_hard_label_attack_and_much_noise_count(fgsm: Evaluation) -> None:
    only = fgsm.attacks[0]
    named = {"art:HopSkipJump(max_iter=1)": {"max_iter": 1}, "noise(samples=10000)": {"samples": 10000}}
    attacks = [only.model_copy(update={"name": name, "parameters": given}) for name, given in named.items()]
    checklist = advtool.checklist(fgsm.model_copy(update={"attacks": attacks}))
    for words in ("hard-label", "random noise", "Silent success"):
        assert find(checklist, words).status == "done"
    alone = advtool.checklist(fgsm.model_copy(update={"attacks": attacks[:1]}))
    assert find(alone, "Silent success").status == "not done"  # an attack of ART returns one point, its last


def test_python_gets_calls_that_run(fgsm: Evaluation, monkeypatch: pytest.MonkeyPatch) -> None:
    """With cheaper attacks, but else as they are written."""
    images, labels = two_models_images(20)
    called: list[dict[str, Any]] = []

    def cheaper(real: Callable[..., Any]) -> Callable[..., None]:
        def call(*given: Any, **named: Any) -> None:
            called.append(named)
            real(*given, **named | {"attacks": "transfer" if "surrogate" in named else "fgsm"})

        return call

    for name in ("evaluate", "sweep_eps"):
        monkeypatch.setattr(advtool, name, cheaper(getattr(advtool, name)), raising=False)
    names = {"advtool": advtool, "model": mlp(), "images": images, "labels": labels, "SURROGATE": mlp(seed=1)}
    commands = {item.command for item in advtool.checklist(fgsm).items if item.command}
    for command in commands:
        eval(command, names)
    assert len(called) == len(commands) == 9
    assert all(named["seed"] == 0 for named in called)


def test_the_command_line_understands_every_command(fgsm: Evaluation, audit: Evaluation) -> None:
    data = DatasetInfo(
        name="set", split="test", images=20, path="my data/set.npz", classes_file="names.txt", input_size="4x4"
    )
    eps = ThreatModel(eps=8 / 255)
    asked = {"dataset": data, "model": ORIGIN | {"mean": [0.5], "std": [0.25]}, "seed": 3, "threat_model": eps}
    for result in (fgsm, audit):
        items = advtool.checklist(result.model_copy(update=asked)).items
        for command in {item.command for item in items if item.command is not None}:
            given = parameters(command)
            assert (given["model"], given["weights"], given["model_args"]) == (
                "my nets/net.py:make",
                "w.pth",
                '{"width": 2}',
            )
            assert (given["mean"], given["std"], given["seed"], given["images"]) == ("0.5", "0.25", 3, 20)
            assert (given["dataset"], str(given["classes"]), given["input_size"]) == (
                "my data/set.npz",
                "names.txt",
                "4x4",
            )
            assert given["eps"] in (8 / 255, "0,4/255,8/255,16/255,32/255,0.5,1")


def test_an_odd_eps_is_written_to_the_last_bit(fgsm: Evaluation) -> None:
    asked = {"threat_model": ThreatModel(eps=0.123456789), "model": {"spec": "a:b"}}
    result = fgsm.model_copy(update=asked)
    assert parameters(str(find(advtool.checklist(result), "hard-label").command))["eps"] == 0.123456789


def test_a_terminal_gets_commands_to_copy(fgsm: Evaluation) -> None:
    """A shell reads their lines as one command, quotes and all."""
    described = fgsm.model_copy(update={"model": ORIGIN})
    checklist = advtool.checklist(described)
    text = FORMATS["table"](checklist)
    assert max(map(len, text.splitlines())) <= 80
    shown = text[text.index("(1) advtool") :].replace("\\\n", " ")
    for number, command in enumerate(dict.fromkeys(item.command for item in checklist.items if item.command), 1):
        (line,) = [line for line in shown.splitlines() if line.startswith(f"({number}) ")]
        assert shlex.split(line)[1:] == shlex.split(command)
        assert f"{number}. `{command}`" in FORMATS["markdown"](checklist)


def test_a_terminal_gets_folded_items_and_no_escaped_break(fgsm: Evaluation) -> None:
    shown = FORMATS["table"](advtool.checklist(fgsm))
    assert "\\n" not in shown
    assert len(shown.splitlines()) < 180, "the answers have the rest of the width"


def test_only_a_result_has_a_checklist() -> None:
    with pytest.raises(InputError, match=r"must be the result of advtool\.evaluate"):
        advtool.checklist({"schema": "advtool.eval/1"})  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_command_line_shows_it(
    advtool_command: Command, digits_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--images", "20", "--attack", "fgsm", "--run-dir", "run", "--format", "checklist")
    shown = advtool_command("eval", digits_checkpoint, *options).stdout
    app(["checklist", str(advtool_command.folder / "run"), "--format", "json"], standalone_mode=False)
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "advtool.checklist/1"
    assert FORMATS["table"](Checklist.model_validate(document)) == shown
    assert {item["status"] for item in document["items"]} == {"done", "not done", "not applicable", "left to you"}
    named = [item["command"] for item in document["items"] if "command" in item]
    assert all(parameters(command)["checkpoint"] == str(digits_checkpoint) for command in named)


def test_what_has_no_checklist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="leave out --seeds 2"):
        app(["eval", "--format", "checklist", "--seeds", "2"], standalone_mode=False)
    with pytest.raises(InputError, match="holds no run"):
        app(["checklist", str(tmp_path)], standalone_mode=False)
