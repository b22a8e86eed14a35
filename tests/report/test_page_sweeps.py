"""The curves of ``advtool report``: read from the runs of a sweep, and drawn where the figures are."""

import math
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

import advtool
from advtool.errors import InputError
from advtool.evaluation import shard
from advtool.evaluation.finished import read_finished
from advtool.evaluation.observer import Observer
from advtool.report.page import render
from advtool.results import Diagnostics, EpsPoint, EpsSweep, Page, notation
from advtool.studies.finished_sweep import is_sweep, read_sweep
from advtool.studies.page import read_page
from tests.support.html import Node, parse
from tests.support.models import NoisyInput, mlp
from tests.support.runs import two_models_images, without_times

EPS = [0.0, 0.02, 0.05, 0.1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sweeps")


@pytest.fixture(scope="module")
def over_eps(folder: Path) -> EpsSweep:
    images, labels = two_models_images(60)
    settings = {"attacks": ["fgsm", "pgd"], "pgd_steps": 5, "certify": True}
    return advtool.sweep_eps(mlp(), images, labels, eps=EPS, run_dir=folder / "eps", **settings)


@pytest.fixture(scope="module")
def chart(folder: Path, over_eps: EpsSweep) -> Node:
    return parse(render(read_page(folder / "eps"))).classed("chart")[0]


def test_a_sweep_is_read_as_it_was_made(folder: Path, over_eps: EpsSweep) -> None:
    assert is_sweep(folder / "eps")
    assert not is_sweep(folder / "eps" / "eps-0.1")
    assert read_sweep(folder / "eps").result.to_dict() == over_eps.to_dict()


def test_a_sweep_over_draws_is_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(shard.BYTES_A_SHARD, "cpu", 100_000)  # more draws fit on fewer images, as for a large model
    images, labels = two_models_images(30)
    model = NoisyInput(mlp(), 0.05).eval()
    made = advtool.sweep_eot(
        model, images, labels, draws=[1, 2, 10], eps=0.05, votes=2, pgd_steps=2, run_dir=folder / "eot"
    )
    assert read_sweep(folder / "eot").result.to_dict() == made.to_dict()
    sizes = [read_finished(run).manifest.configuration["images_a_shard"] for run in (folder / "eot").iterdir()]
    assert len(set(sizes)) > 1, "every point has the same shards"
    page = parse(render(read_page(folder / "eot")))
    assert [span.text for span in page.classed("ticks")[1].all("span")] == ["1", "2", "10"]
    dots = [node.attributes["d"] for node in page.all("path") if node.attributes["class"].startswith("dot")]
    accuracies = [100 - 100 * point.accuracy for point in made.curves[0].points]
    places = [0, 100 * math.log(2) / math.log(10), 100]  # from 1 to 10 draws
    assert dots == [f"M{x:.2f} {y:.2f}h0" for x, y in zip(places, accuracies, strict=True)]
    (told,) = [each for each in page.classed("warning") if each.text.startswith("random-model")]
    assert "(EOT samples 1, EOT samples 2, EOT samples 10)" in told.text


def test_dots_lie_where_the_accuracies_are(chart: Node, over_eps: EpsSweep) -> None:
    drawn = {
        style: [node.attributes["d"] for node in chart.all("path") if node.attributes["class"] == f"dot {style}"]
        for style in ("attack-1", "attack-2", "worst", "certified")
    }
    assert over_eps.certified is not None
    wanted = [*(curve.points for curve in over_eps.curves), over_eps.worst_case, over_eps.certified]
    for dots, points in zip(drawn.values(), wanted, strict=True):
        places = [(100 * point.value / EPS[-1], 100 - 100 * point.accuracy) for point in points]
        assert dots == [f"M{x:.2f} {y:.2f}h0" for x, y in places]
    assert len({point.accuracy for point in over_eps.worst_case}) > 2


def test_what_is_undecided_is_shaded(chart: Node, over_eps: EpsSweep) -> None:
    assert over_eps.certified is not None
    (shape,) = [
        node for node in chart.all("path") if node.attributes["class"] == "undecided" and "L" in node.attributes["d"]
    ][:1]
    edge = [tuple(map(float, point.split())) for point in shape.attributes["d"][1:-1].split("L")]
    upper = [round(100 - 100 * point.accuracy, 2) for point in over_eps.worst_case]
    lower = [round(100 - 100 * point.accuracy, 2) for point in over_eps.certified]
    assert [y for _, y in edge] == upper + lower[::-1]


def test_a_band_lies_between_the_ends_of_the_intervals_and_a_line_at_the_clean_accuracy(
    chart: Node, over_eps: EpsSweep
) -> None:
    assert over_eps.certified is not None
    for style, points in (("worst", over_eps.worst_case), ("certified", over_eps.certified)):
        (band,) = [node for node in chart.all("path") if node.attributes["class"] == f"band {style}"]
        heights = [float(corner.split()[1]) for corner in band.attributes["d"][1:-1].split("L")]
        low, high = ([round(100 - 100 * point.interval[end], 2) for point in points] for end in (0, 1))
        assert heights == high + low[::-1]
    (line,) = [
        node for node in chart.all("path") if node.attributes["class"] == "line clean" and "100" in node.attributes["d"]
    ]
    assert line.attributes["d"] == f"M0 {100 - 100 * over_eps.clean.accuracy:.2f}H100"


def test_the_figures_stand_beside_the_chart(folder: Path, over_eps: EpsSweep) -> None:
    page = parse(render(read_page(folder / "eps")))
    rows = page.table(page.all("caption")[0].text)[1:]
    wanted = [
        [curve.name, notation.eps(point.value), notation.percent(point.accuracy)]
        for curve in over_eps.curves
        for point in curve.points
    ]
    assert [row[:3] for row in rows[: len(wanted)]] == wanted
    description = page.all("desc")[0].text
    assert f"worst case: from {wanted[0][2]} at 0 to" in description


def test_runs_of_several_sweeps_are_refused(folder: Path, tmp_path: Path) -> None:
    images, labels = two_models_images(10)
    for eps, count in ((0.1, 10), (0.2, 5)):
        advtool.evaluate(
            mlp(), images[:count], labels[:count], eps=eps, attacks="fgsm", run_dir=tmp_path / f"eps-{eps}"
        )
    with pytest.raises(InputError, match=r"are not of one sweep: dataset\.images differs at eps 0\.2"):
        read_page(tmp_path)


class Stop(Observer):
    """Ends a sweep when one of its points begins, as Ctrl-C does."""

    def __init__(self, name: str) -> None:
        self.name = name

    def point(self, name: str, number: int, costs: Any) -> None:
        if name == self.name:
            raise KeyboardInterrupt


def notes(folder: Path) -> list[str]:
    (found,) = parse(render(read_page(folder))).classed("notes")
    return [note.text.strip() for note in found.all("li")]


@pytest.mark.parametrize(
    ("stopped", "missing", "told"),
    [
        ("eot 2", "2, 10", "pgd: one count of EOT samples alone does not tell how many are enough"),
        ("eot 10", "10", "pgd: take 2 EOT samples or more."),
    ],
)
def test_a_sweep_that_stopped_shows_what_there_is_and_what_is_missing(
    tmp_path: Path, stopped: str, missing: str, told: str
) -> None:
    images, labels = two_models_images(20)
    settings = {"draws": [1, 2, 10], "eps": 0.05, "votes": 2, "pgd_steps": 2, "run_dir": tmp_path / "eot"}
    sweep = partial(advtool.sweep_eot, NoisyInput(mlp(), 0.05).eval(), images, labels, **settings)
    with pytest.raises(KeyboardInterrupt):
        sweep(observer=Stop(stopped))
    first, second = notes(tmp_path / "eot")
    assert first == f"Not finished: EOT samples {missing}. The command that began the sweep goes on with it"
    assert second.startswith(told)
    made = sweep()
    assert read_sweep(tmp_path / "eot").result.to_dict() == made.to_dict()
    assert len(notes(tmp_path / "eot")) == 1


def test_a_point_that_has_begun_is_missing_too(folder: Path, over_eps: EpsSweep, tmp_path: Path) -> None:
    shutil.copytree(folder / "eps", tmp_path / "eps")
    (tmp_path / "eps" / "eps-0.02" / "result.json").unlink()
    (told,) = notes(tmp_path / "eps")
    assert told.startswith("Not finished: eps 0.02. The command")
    found = read_sweep(tmp_path / "eps").result
    assert found.worst_case == [point for point in over_eps.worst_case if point.value != 0.02]


def test_a_sweep_without_a_finished_run_is_refused(folder: Path, over_eps: EpsSweep, tmp_path: Path) -> None:
    shutil.copytree(folder / "eps" / "eps-0.1", tmp_path / "eps" / "eps-0.1")
    (tmp_path / "eps" / "eps-0.1" / "result.json").unlink()
    (tmp_path / "eps" / "eps-0.2").mkdir()
    with pytest.raises(InputError, match=r"no run of the sweep '.*eps' is finished: the command that began it"):
        read_page(tmp_path / "eps")


def test_a_sweep_of_an_older_version_knows_what_it_has(tmp_path: Path) -> None:
    """It made no folders of points that it had not come to."""
    images, labels = two_models_images(20)
    model = NoisyInput(mlp(), 0.05).eval()
    advtool.evaluate(
        model, images, labels, eps=0.05, attacks="pgd", pgd_steps=2, eot=1, votes=2, run_dir=tmp_path / "eot" / "eot-1"
    )
    assert notes(tmp_path / "eot") == ["pgd: one count of EOT samples alone does not tell how many are enough"]


def test_a_refused_sweep_leaves_no_folder(tmp_path: Path) -> None:
    images, labels = two_models_images(5)
    with pytest.raises(InputError, match="did you mean 'pgd'"):
        advtool.sweep_eps(mlp(), images, labels, eps=EPS, attacks="pgdd", run_dir=tmp_path / "eps")
    assert not (tmp_path / "eps").exists()


def test_a_copy_of_a_run_is_no_point_of_the_sweep(folder: Path, over_eps: EpsSweep, tmp_path: Path) -> None:
    shutil.copytree(folder / "eps", tmp_path / "eps")
    shutil.copytree(folder / "eps" / "eps-0.1", tmp_path / "eps" / "eps-0.1-2")
    assert read_sweep(tmp_path / "eps").result.to_dict() == over_eps.to_dict()


def test_probes_of_an_audit_are_a_curve(folder: Path, over_eps: EpsSweep) -> None:
    run = read_page(folder / "eps" / "eps-0.1").runs[0]
    points = [
        EpsPoint(eps=eps, robust=robust, accuracy=robust / 20) for eps, robust in ((0.05, 15), (0.1, 9), (0.5, 1))
    ]
    diagnostics = Diagnostics(images=20, by_eps=points, saturated=0, vanishing=0, blind=0, undefined=0)
    audited = replace(run, result=run.result.model_copy(update={"diagnostics": diagnostics}))
    section = parse(render(Page([audited], [], []))).section("PGD at other eps")
    dots = [node.attributes["d"] for node in section.all("path") if node.attributes["class"].startswith("dot")]
    assert dots == ["M10.00 25.00h0", "M20.00 55.00h0", "M100.00 95.00h0"]
    assert "the first 20 images" in section.text


def test_the_first_examples_are_kept_and_change_nothing(tmp_path: Path) -> None:
    """A run that begins in the middle keeps the same ones; one that broke few images keeps those."""
    images, labels = two_models_images(150)
    kept = {}
    for name in ("whole", "resumed"):
        result = advtool.evaluate(mlp(), images, labels, eps=0.05, attacks=["fgsm", "pgd"], run_dir=tmp_path / name)
        kept[name] = {path.name: path.read_bytes() for path in (tmp_path / name / "shown").iterdir()}
        if name == "whole":
            for path in (tmp_path / "whole").glob("shards/*"):
                (tmp_path / "resumed" / "shards").mkdir(parents=True, exist_ok=True)
                if path.name.startswith("0-"):
                    (tmp_path / "resumed" / "shards" / path.name).write_bytes(path.read_bytes())
            for file in ("manifest.json", "model.safetensors", "image_ids.json"):
                (tmp_path / "resumed" / file).write_bytes((tmp_path / "whole" / file).read_bytes())
    in_memory = advtool.evaluate(mlp(), images, labels, eps=0.05, attacks=["fgsm", "pgd"])
    assert kept["whole"] == kept["resumed"]
    assert without_times(result.to_dict()) == without_times(in_memory.to_dict())
    examples = read_page(tmp_path / "whole").runs[0].examples
    assert len(examples) == 8
    with torch.no_grad():
        for each in examples:
            assert mlp()(each.image[None]).argmax() == each.prediction != each.label
            assert (each.image - each.original).abs().max() <= 0.05 + 1e-6
