"""Sweeps: curves with known answers, the rules that read them, their runs, views and commands."""

import csv
import io
import json
import os
import random
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import torch

import advtool
from advtool.cli.evaluation_progress import EvaluationProgress
from advtool.cli.sweep import parse_draws, parse_radii
from advtool.errors import InputError
from advtool.evaluation.observer import Observer
from advtool.report import FORMATS, plots, sweep_plot
from advtool.results import EotSweep, EpsSweep, Evaluation, Finding, PairedChange, notation
from advtool.studies import curves, sweep
from tests.conftest import Command, InProcess
from tests.support.certifiers import install, intervals
from tests.support.linear import closed_form_slack, problem
from tests.support.models import NoisyInput, mlp
from tests.support.runs import labelled, without_times


class Listener(Observer):
    def __init__(self) -> None:
        self.points: list[tuple[str, int, list[float]]] = []
        self.notes: list[str] = []

    def point(self, name: str, number: int, costs: Any) -> None:
        self.points.append((name, number, list(costs)))

    def note(self, message: str) -> None:
        self.notes.append(message)


def small_eps_sweep(**changes: Any) -> EpsSweep:
    x, y = labelled(mlp(), 150)
    arguments = {"eps": [0.05, 0, 0.1], "pgd_steps": 5}
    return advtool.sweep_eps(mlp(), x, y, **{**arguments, **changes})


def small_eot_sweep(**changes: Any) -> EotSweep:
    model = NoisyInput(mlp(), 0.2)
    x, y = labelled(model.model, 60)
    arguments = {"draws": [4, 1], "eps": 0.1, "votes": 3, "pgd_steps": 5}
    return advtool.sweep_eot(model, x, y, **{**arguments, **changes})


def test_a_linear_models_curve_reaches_the_closed_form() -> None:
    model, x, y, _ = problem(classes=2, seed=0)
    radii = [0.005, 0.01, 0.02, 0.03]
    slacks = [closed_form_slack(model, x, y, eps) for eps in radii]
    decided = torch.stack(slacks).abs().amin(0) > 1e-4
    expected = [int((slack > 0)[decided].sum()) for slack in slacks]
    assert len(set(expected)) == len(radii), "the problem decides nothing"
    result = advtool.sweep_eps(model, x[decided], y[decided], eps=radii)
    for curve in result.curves:
        assert [point.robust for point in curve.points] == expected
        assert curve.rise is None
    assert [point.robust for point in result.worst_case] == expected


def test_eps_0_is_the_clean_accuracy_and_every_point_its_evaluation() -> None:
    result = small_eps_sweep()
    clean, alone = result.clean, advtool.evaluate(mlp(), *labelled(mlp(), 150), eps=0.1, attacks="pgd", pgd_steps=5)
    assert alone.clean == clean
    assert [curve.name for curve in result.curves] == ["fgsm", "pgd"]
    for points in (*(curve.points for curve in result.curves), result.worst_case):
        assert [point.value for point in points] == [0, 0.05, 0.1]
        assert (points[0].robust, points[0].interval) == (clean.correct, clean.interval)
    fgsm, pgd = result.curves
    assert pgd.points[2].robust == alone.attacks[0].robust
    assert pgd.points[2].parameters == alone.attacks[0].parameters
    assert fgsm.points[0].accuracy_on_examples == clean.accuracy
    assert pgd.points[0].accuracy_on_examples is None


def test_an_eot_point_is_the_evaluation_with_as_many_draws() -> None:
    result = small_eot_sweep()
    model = NoisyInput(mlp(), 0.2)
    alone = advtool.evaluate(model, *labelled(model.model, 60), eps=0.1, attacks="pgd", eot=4, votes=3, pgd_steps=5)
    (curve,) = result.curves
    assert [point.value for point in curve.points] == [1, 4]
    assert curve.points[1].robust == alone.attacks[0].robust
    assert curve.points[1].model_calls == alone.attacks[0].model_calls
    assert (result.votes, result.eps) == (3, 0.1)


def test_a_resumed_sweep_equals_an_uninterrupted_one_and_grows(tmp_path: Path) -> None:
    expected = without_times(small_eps_sweep().to_dict())
    assert without_times(small_eps_sweep(run_dir=tmp_path).to_dict()) == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == ["eps-0.05", "eps-0.1"]
    for gone in sorted((tmp_path / "eps-0.1" / "shards").iterdir())[2:4]:
        gone.unlink()
    listener = Listener()
    resumed = small_eps_sweep(run_dir=tmp_path, observer=listener)
    assert without_times(resumed.to_dict()) == expected
    assert ["complete" in note for note in listener.notes if note.startswith("run ")] == [True, False]
    shards = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("shards/*")}
    grown = small_eps_sweep(eps=[0, 0.05, 0.1, 0.2], run_dir=tmp_path)
    assert {path: path.stat().st_mtime_ns for path in shards} == shards
    assert grown.curves[1].points[:3] == resumed.curves[1].points


def test_the_observer_hears_the_points_in_order_with_their_costs() -> None:
    listener = Listener()
    small_eot_sweep(observer=listener)
    assert listener.points == [("eot 1", 0, [1, 4]), ("eot 4", 1, [1, 4])]


def test_what_the_evaluations_warn_of_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def warning(*arguments: Any, **settings: Any) -> Evaluation:
        found = [Finding(code="no-gradient", kind="masking", message="words")] if settings["eps"] == 0.1 else []
        return advtool.evaluate(*arguments, **settings).model_copy(update={"warnings": found})

    monkeypatch.setattr(sweep, "evaluate", warning)
    result = small_eps_sweep()
    assert result.to_dict()["warnings"] == [
        {"code": "no-gradient", "kind": "masking", "message": "words", "value": 0.1}
    ]
    assert "eps 0.1: masking [no-gradient]: words" in FORMATS["table"](result)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"eps": [0]}, "at least one eps above 0"),
        ({"eps": [0.1, 1.5]}, "eps=1.5 is no number in"),
        ({"eps": [-0.1]}, "eps=-0.1 is no number in"),
        ({"attacks": "pgdd"}, "did you mean 'pgd'"),
    ],
)
def test_bad_eps_sweeps_are_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        small_eps_sweep(**change)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"draws": [0, 1]}, "draws=0 must be an integer of at least 1"),
        ({"draws": [5, 5]}, "at least two counts"),
        ({"eps": 0}, "eps=0 is no number in"),
    ],
)
def test_bad_eot_sweeps_are_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        small_eot_sweep(**change)


def test_a_deterministic_model_needs_no_eot_sweep() -> None:
    with pytest.raises(InputError, match=r"deterministic.* 1 EOT sample is enough"):
        advtool.sweep_eot(mlp(), *labelled(mlp(), 20))


@pytest.mark.parametrize("stranger", ["thesis.tex", "old-eps-0.1", "eps-notes", "eps-0.1-2", "eot-5"])
def test_a_folder_that_holds_something_else_is_refused(stranger: str, tmp_path: Path) -> None:
    (tmp_path / stranger).mkdir()
    with pytest.raises(InputError, match="exists and is no sweep over eps"):
        small_eps_sweep(run_dir=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [stranger]


def survivors(*shares: float, total: int = 1000) -> dict[int, list[bool]]:
    """At 1, 10, 100, ... this share of the images survives, always the first ones, so each change goes one way."""
    return {10**place: [image < share * total for image in range(total)] for place, share in enumerate(shares)}


@pytest.mark.parametrize(
    ("vectors", "enough"),
    [
        (survivors(0.5, 0.5, 0.5), 1),  # flat
        (survivors(0.6, 0.5, 0.5), 10),  # one step down, then flat
        (survivors(0.51, 0.5, 0.5), 1),  # one point: within the tolerance
        (survivors(0.56, 0.53, 0.5, 0.5), 100),  # 3 points are not less than 3 points
        (survivors(0.6, 0.55, 0.5), None),  # still falling
        (survivors(0.54, 0.52, 0.5, total=10_000), 10),  # each step within the tolerance, both together not
        (survivors(0.5, 0.6, 0.5), None),  # a rise in between: nothing below the failure is proposed
        (survivors(0.5, 0.5, 0.5, total=20), None),  # too few images to tell
    ],
)
def test_enough_draws_are_the_fewest_that_no_larger_count_beats(
    vectors: dict[int, list[bool]], enough: int | None
) -> None:
    falls = curves.deepest_falls(vectors)
    assert [fall.start for fall in falls] == list(vectors)[:-1]
    assert curves.enough_draws(falls) == enough


def test_the_deepest_fall_is_the_one_whose_interval_reaches_lowest() -> None:
    (to_the_middle, _) = curves.deepest_falls(survivors(0.5, 0.3, 0.4))
    assert (to_the_middle.start, to_the_middle.end) == (1, 10)
    assert to_the_middle.difference == pytest.approx(-0.2)


def test_a_rise_beyond_noise_is_told_and_noise_is_not() -> None:
    rise = curves.clearest_rise(survivors(0.5, 0.3, 0.45, 0.4))
    assert rise is not None
    assert (rise.start, rise.end, rise.difference) == (10, 100, pytest.approx(0.15))
    assert curves.clearest_rise(survivors(0.5, 0.4, 0.41)) is None
    assert curves.clearest_rise(survivors(0.5)) is None
    luck = random.Random(0)
    noise = {eps: [luck.random() < 0.5 for _ in range(300)] for eps in range(8)}
    assert curves.clearest_rise(noise) is None


def test_the_default_grid_reaches_twice_eps_and_never_leaves_the_range() -> None:
    assert sweep.eps_grid(0.3) == [0, 0.075, 0.15, 0.225, 0.3, 0.375, 0.45, 0.525, 0.6]
    assert sweep.eps_grid(8 / 255)[4] == pytest.approx(8 / 255, abs=1e-9)
    assert sweep.eps_grid(0.8)[-1] == 1
    assert [notation.eps(eps) for eps in sweep.eps_grid(8 / 255)[:3]] == ["0", "2/255", "4/255"]
    assert [notation.eps(eps) for eps in (0.6, 0.2, 8 / 255)] == ["0.6", "0.2", "8/255"]


def test_views_show_the_documents_figures(tmp_path: Path) -> None:
    result = small_eps_sweep()
    document = json.loads(FORMATS["json"](result))
    assert document["schema"] == "advtool.sweep/1"
    assert document["over"] == "eps"
    lines = list(csv.DictReader(io.StringIO(FORMATS["csv"](result))))
    shown = [(line["attack"], float(line["eps"]), float(line["accuracy"])) for line in lines]
    drawn = [(curve["name"], curve["points"]) for curve in document["curves"]] + [
        ("worst case", document["worst_case"])
    ]
    assert shown == [(name, point["value"], point["accuracy"]) for name, points in drawn for point in points]
    share = f"{100 * document['curves'][1]['points'][2]['accuracy']:.1f} %"
    assert f"| pgd | 0.1 | {share} |" in FORMATS["markdown"](result)
    table = FORMATS["table"](result)
    assert max(map(len, table.splitlines())) <= 80
    assert share in table
    plots.save(sweep_plot.figure(result), tmp_path / "curve.svg")
    assert ElementTree.parse(tmp_path / "curve.svg").getroot().tag.endswith("svg")
    for words in ("fgsm", "pgd", "worst case", "robust accuracy"):
        assert f"<!-- {words} -->" in (tmp_path / "curve.svg").read_text()


def test_a_sweep_tells_what_is_certified_and_shades_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, intervals(mlp()))
    assert "certified" not in small_eps_sweep().to_dict()
    result = small_eps_sweep(certify=True, attacks=["pgd"])
    assert result.certified is not None
    alone = advtool.evaluate(mlp(), *labelled(mlp(), 150), eps=0.05, attacks="pgd", pgd_steps=5, certify=True)
    assert alone.certified is not None
    assert [point.value for point in result.certified] == [0, 0.05, 0.1]
    assert result.certified[0].robust == result.clean.correct
    assert (result.certified[1].robust, result.certified[1].method) == (alone.certified.robust, "by hand")
    for certified, worst in zip(result.certified, result.worst_case, strict=True):
        assert certified.accuracy <= worst.accuracy
    assert EpsSweep.model_validate(json.loads(FORMATS["json"](result))).to_dict() == result.to_dict()
    lines = list(csv.DictReader(io.StringIO(FORMATS["csv"](result))))
    shown = [float(line["accuracy"]) for line in lines if line["attack"] == "certified"]
    assert shown == [point.accuracy for point in result.certified]
    axes = sweep_plot.figure(result).axes[0]
    shade = next(area for area in axes.collections if area.get_label() == "undecided")
    corners = {(round(float(x), 6), round(float(y), 6)) for x, y in shade.get_paths()[0].vertices}
    for point in (*result.certified, *result.worst_case):
        assert (round(point.value, 6), round(point.accuracy, 6)) in corners


def test_an_eot_sweep_says_what_is_enough(tmp_path: Path) -> None:
    result = small_eot_sweep(draws=[1, 2, 3])
    (curve,) = result.curves
    undecided = result.model_copy(update={"curves": [curve.model_copy(update={"enough": None})]})
    falls = [
        PairedChange(start=1, end=3, difference=-0.05, interval=(-0.09, -0.02)),
        PairedChange(start=2, end=3, difference=-0.01, interval=(-0.029, 0.015)),
    ]
    decided = result.model_copy(update={"curves": [curve.model_copy(update={"enough": 2, "falls": falls})]})
    assert "pgd: take 3 EOT samples or more" in FORMATS["markdown"](undecided)
    assert (
        "pgd: 2 EOT samples are enough. With more, up to 3, accuracy falls by less than 3.0 points (at 3 it changes by "
        "-1.0, paired 95 %: -2.9 to 1.5)"
    ) in FORMATS["markdown"](decided)
    axes = sweep_plot.figure(result).axes[0]
    assert axes.get_xscale() == "log"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "2", "3"]
    assert list(axes.lines[0].get_ydata()) == [point.accuracy for point in curve.points]


def test_progress_says_where_the_sweep_is_and_how_long_it_will_take(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with EvaluationProgress("sweeping", Path("runs/x")) as progress:
        for number, (at, name) in enumerate(((0.0, "eot 1"), (10.0, "eot 2"), (10.5, "eot 5"))):
            now = at
            progress.point(name, number, (1, 2, 5))
            progress.note("noted")
    lines = [line for line in capsys.readouterr().err.splitlines() if "noted" not in line]
    assert lines[0] == "advtool: sweeping"
    assert lines[1] == "advtool: point 1 of 3: eot 1"
    assert lines[2] == "advtool: point 2 of 3: eot 2, about 1 min 10 s left"
    assert lines[3] == "advtool: point 3 of 3: eot 5", "half a second: that point was finished before"


def test_lists_of_values_are_read() -> None:
    assert parse_radii("0, 0.05,8/255") == [0, 0.05, 8 / 255]
    assert parse_draws("1, 10,100") == [1, 10, 100]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("eps --eps 0,2", "--eps '0,2': 2 is outside [0, 1]"),
        ("eps --eps 0,,1", "--eps '' is no number"),
        ("eps --eps nan", "outside [0, 1]"),
        ("eps --eps 0", "--eps '0': name at least one eps above 0"),
        ("eps --attack pgdd", "did you mean 'pgd'"),
        ("eps --plot curve.txt", ".png, .svg or .pdf"),
        ("eps --output /proc/none/curve.json", "cannot write"),
        ("eot --eot-draws 0,1", "--eot-draws '0,1'"),
        ("eot --eot-draws 5,5", "--eot-draws '5,5': name at least two counts"),
        ("eot --eot-draws 1,2000000", "--eot-draws '1,2000000': write integers from 1 to 1000000"),
        (f"eot --eot-draws 1,{'9' * 5000}", "write integers from 1 to 1000000"),
        ("eps --plot /dev/null/curve.png", "cannot write --plot"),
        ("eot", "the model is deterministic"),
    ],
)
def test_bad_input_is_one_line(words: str, said: str, advtool_here: InProcess, digits_checkpoint: Path) -> None:
    assert said in advtool_here.refused("sweep", *words.split(), "--checkpoint", digits_checkpoint, "--images", "10")


@pytest.mark.slow
def test_the_command_draws_goes_on_and_answers(tmp_path: Path, digits_checkpoint: Path) -> None:
    advtool_command = Command(tmp_path)
    options = ("--images", "120", "--pgd-steps", "3", "--format", "json", "--checkpoint", digits_checkpoint)
    first = advtool_command("sweep", "eps", "--eps", "0,0.05,0.1", "--plot", "curve.svg", *options)
    document = json.loads(first.stdout)
    assert [point["value"] for point in document["curves"][0]["points"]] == [0, 0.05, 0.1]
    assert document["checkpoint"]["path"] == os.fspath(digits_checkpoint)
    assert ElementTree.parse(tmp_path / "curve.svg").getroot().tag.endswith("svg")
    assert "point 2 of 2: eps 0.1" in first.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    for gone in sorted((folder / "eps-0.1" / "shards").glob("2-pgd-*")):
        gone.unlink()
    again = advtool_command("sweep", "eps", "--eps", "0.1,0.05,0", *options)
    assert "2 of 3 parts are finished" in again.stderr
    assert without_times(json.loads(again.stdout)) == without_times(document)
