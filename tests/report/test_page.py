"""The page of ``advtool report``: its figures are those of the runs, and it needs nothing else."""

import base64
import io
import json
import math
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import advtool
from advtool.evaluation.diagnostics.evidence import CODES
from advtool.report.page import render
from advtool.report.page.margins import margins
from advtool.report.remedies import REMEDIES
from advtool.results import DatasetInfo, Evaluation, Outcome, Outcomes, Page, PageRun, notation
from advtool.studies.page import read_page
from tests.support.html import Node, parse
from tests.support.models import NoisyInput, mlp
from tests.support.runs import two_models_images, without_times

IMAGES = 60
NAMES = ["<b>cat</b>", "dog & co", '"owl"', "eel/ant"]
EPS = 0.08


def evaluated(folder: Path, model: torch.nn.Module, *attacks: str, **settings: Any) -> Evaluation:
    x, y = two_models_images(IMAGES)
    data = DatasetInfo(name="<i>zoo</i>", split="test", images=IMAGES, classes=NAMES)
    settings = {"eps": EPS, "pgd_steps": 10, "indices": range(100, 100 + IMAGES), "dataset": data} | settings
    return advtool.evaluate(model.eval(), x, y, attacks=attacks, run_dir=folder, **settings)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs on the same images, an audit of a random model, and a run that breaks nothing."""
    folder = tmp_path_factory.mktemp("runs")
    evaluated(folder / "a<b>c", mlp(), "fgsm", "pgd", certify=True, planted=True)
    evaluated(folder / "other", mlp(seed=1), "fgsm", "pgd")
    evaluated(folder / "random", NoisyInput(mlp(), 0.05), "pgd(steps=2)", eot=2, votes=2)
    evaluated(folder / "unbroken", mlp(), "fgsm", eps=1e-6)
    return folder


@pytest.fixture(scope="module")
def run(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "a<b>c" / "result.json").read_text())


@pytest.fixture(scope="module")
def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "a<b>c" / "images.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def alone(folder: Path) -> Node:
    return parse(render(read_page(folder / "a<b>c")))


@pytest.fixture(scope="module")
def together(folder: Path) -> str:
    return render(read_page(*(folder / name for name in ("a<b>c", "other", "random", "unbroken"))))


def title(page: Node) -> str:
    return page.all("caption")[0].text


def worst_margin(line: dict[str, Any]) -> float:
    margins = [each["margin"] for each in line["attacks"].values() if each["margin"] is not None]
    return min([line["clean"]["margin"], *margins])


def test_the_accuracies_are_those_of_the_json(alone: Node, run: dict[str, Any]) -> None:
    rows = {row[0]: row[1:4] for row in alone.table(title(alone))}
    wanted = {"clean": run["clean"], "worst case": run["worst_case"], "certified": run["certified"]}
    wanted |= {attack["name"]: attack for attack in run["attacks"]}
    assert len(wanted) == 5
    for name, figures in wanted.items():
        accuracy, interval = notation.percent(figures["accuracy"]), notation.percent_interval(figures["interval"])
        assert rows[name] == [accuracy, interval, str(IMAGES)], name
    assert rows["undecided"][0] == f"{run['undecided']} left"
    assert rows["planted"][0] == f"{run['planted']['found']} found"
    assert f"{run['worst_case']['accuracy']:.1%}".replace("%", " %") in alone.classed("lede")[0].text


def test_the_bar_at_the_top_parts_all_images(alone: Node, run: dict[str, Any]) -> None:
    words = [item.text for item in alone.classed("shares")[0].all("li")]
    counts = {re.sub(r".*% (.*) \(.*", r"\1", each): int(each.rpartition("(")[2][:-1]) for each in words}
    proved, robust = run["certified"]["robust"], run["worst_case"]["robust"]
    assert counts == {
        name: count
        for name, count in {
            "proved robust": proved,
            "undecided: survive, but are not proved": robust - proved,
            "broken by an attack": run["clean"]["correct"] - robust,
            "wrong without an attack": IMAGES - run["clean"]["correct"],
        }.items()
        if count
    }
    assert sum(counts.values()) == IMAGES


def test_classes_are_counted_like_the_run(alone: Node, lines: list[dict[str, Any]]) -> None:
    rows = alone.table("Accuracy by class")[1:]
    assert [row[0] for row in rows] == [NAMES[label] for label in sorted({line["label"] for line in lines})]
    for row in rows:
        of_class = [line for line in lines if line["class"] == row[0]]
        right = [line["clean"]["prediction"] == line["label"] for line in of_class]
        robust = [
            ok and all(each["robust"] for each in line["attacks"].values())
            for ok, line in zip(right, of_class, strict=True)
        ]
        assert row[1:4] == [str(len(right)), *(notation.percent(sum(x) / len(x)) for x in (right, robust))]


def test_margins_are_those_of_the_images(alone: Node, lines: list[dict[str, Any]]) -> None:
    clean = torch.tensor([line["clean"]["margin"] for line in lines], dtype=torch.float64)
    worst = torch.tensor([worst_margin(line) for line in lines], dtype=torch.float64)
    shares = {"lowest": 0, "25 %": 0.25, "median": 0.5, "highest": 1}
    rows = {row[0]: row[1:] for row in alone.table("Quantiles of the margin")}
    for words, share in shares.items():
        assert rows[words] == [f"{values.quantile(share):.3f}" for values in (clean, worst)]
    assert worst.quantile(0.5) < clean.quantile(0.5)


def test_a_margin_is_counted_in_the_bin_that_begins_at_it() -> None:
    """Bins are 0.2 wide, from -1 to 3. A margin of 0 is no misclassified image, so it lies right of the 0."""
    margin = torch.tensor([[-1.0, 0.0, 0.5, 3.0], [math.nan, -0.5, 0.0, 0.5]], dtype=torch.float64)
    outcome = torch.tensor([[Outcome.fallen] + 3 * [Outcome.robust], [Outcome.not_asked, Outcome.fallen, 1, 1]])
    none = torch.zeros_like(outcome)
    chart = margins(Outcomes(("clean", "pgd"), outcome, none, margin, none, none, margin * math.nan))
    assert chart is not None
    assert chart.zero == pytest.approx(25)
    assert [(tick.at, tick.label) for tick in chart.counts] == [(0, "0"), (100, "1")]
    bins = {}
    for shape in chart.shapes:
        corners = [tuple(map(float, corner.split())) for corner in shape.path[1:-1].split("L")]
        tops = corners[1:-1:2]  # the left one of each bin
        bins[shape.style] = [round(-1 + 4 * x / 100, 6) for x, y in tops if y < 100]
    assert bins == {"untouched": [-1, 0, 0.4, 2.8], "attacked": [-1, -0.6, 0, 0.4]}


def test_examples_are_the_first_images_that_fell(
    folder: Path, alone: Node, run: dict[str, Any], lines: list[dict[str, Any]]
) -> None:
    x, y = two_models_images(IMAGES)
    first = {
        line["index"]: next(name for name, each in line["attacks"].items() if not each["robust"])
        for line in lines
        if not all(each["robust"] for each in line["attacks"].values())
    }
    shown = alone.classed("examples")[0].children
    items = [item for item in shown if item.tag == "li"]
    assert len(items) == min(8, len(first)) == 8
    assert len(first) == run["clean"]["correct"] - run["worst_case"]["robust"]
    for item in items:
        match = re.fullmatch(r"image (\d+), (.*) (\S+)", item.all("p")[0].text)
        assert match is not None
        index, place = int(match[1]), int(match[1]) - 100
        assert (NAMES[y[place]], first[index]) == match.groups()[1:]
        before, after, change = (pixels(image) for image in item.all("img"))
        assert np.abs(before - 255 * x[place, 0].numpy()).max() <= 0.5
        assert 0 < np.abs(after - before).max() <= 255 * EPS + 1
        assert change.min() == 0 or change.max() == 255
        with torch.no_grad():
            predicted = mlp()(torch.tensor(after / 255, dtype=torch.float32)[None, None]).argmax().item()
        captions = [caption.text for caption in item.all("figcaption")]
        assert captions[0].removeprefix("as it is") == NAMES[y[place]]
        told = captions[1].removeprefix("attacked")
        assert told == NAMES[lines[place]["attacks"][first[index]]["prediction"]] != NAMES[y[place]]
        assert predicted == NAMES.index(told) or abs(lines[place]["attacks"][first[index]]["margin"]) < 0.1  # rounding


def pixels(image: Node) -> np.ndarray:
    content = base64.b64decode(image.attributes["src"].removeprefix("data:image/png;base64,"))
    return np.asarray(Image.open(io.BytesIO(content)), dtype=np.float64)


def test_pairs_are_what_compare_says(folder: Path, together: str) -> None:
    wanted = advtool.compare(folder / "a<b>c", folder / "other")
    section = parse(together).section(f"{folder / 'a<b>c'} against {folder / 'other'}")
    rows = {row[0]: row[1:] for row in section.table(title(section))}
    for name, paired in [("clean", wanted.clean), ("worst case", wanted.worst_case)]:
        assert rows[name] == [
            notation.percent(paired.accuracy_a),
            notation.percent(paired.accuracy_b),
            notation.points(paired.difference, signed=True),
            notation.points_interval(paired.interval, signed=True),
            notation.p_value(paired.p_value),
        ]
    assert wanted.worst_case.difference


def test_runs_that_cannot_be_compared_stand_side_by_side_all_the_same(folder: Path, together: str) -> None:
    page = parse(together)
    (row,) = [row for row in page.table("The runs side by side") if row[0] == str(folder / "unbroken")]
    assert row[2] == "1e-06"
    alone = page.section(f"{folder / 'a<b>c'} against {folder / 'random'}").text
    assert "Not compared: the runs have no attack in common that saw every image in both" in alone


def test_what_nothing_broke_has_no_example(folder: Path) -> None:
    page = parse(render(read_page(folder / "unbroken")))
    assert "No attack broke an image" in page.section("Images and adversarial examples").text
    assert not page.all("img")


def test_every_code_has_a_remedy_and_the_page_tells_it(folder: Path) -> None:
    assert REMEDIES.keys() == set(CODES)
    page = parse(render(read_page(folder / "random")))
    (told,) = page.classed("warning")
    assert told.text.startswith("random-model setup the model is random")
    assert told.text.endswith(f"What to do: {REMEDIES['random-model'].replace('`', '')}")


@pytest.mark.parametrize("name", ["a<b>c", "random"])
def test_the_command_repeats_the_run(folder: Path, name: str) -> None:
    run = read_page(folder / name).runs[0]
    model = mlp() if name == "a<b>c" else NoisyInput(mlp(), 0.05)
    images, labels = two_models_images(IMAGES)
    assert run.command is not None
    again = eval(run.command, {"advtool": advtool, "model": model.eval(), "images": images, "labels": labels})
    before, now = (without_times(result.to_dict()) for result in (run.result, again))
    named = {"dataset": None}  # Python's caller names it, and no command can
    assert now | named == before | named


def test_it_needs_nothing_else_and_runs_nothing(together: str) -> None:
    page = parse(together)
    assert not page.all("script", "iframe", "object", "embed", "form", "base")
    for node in page.all():
        assert not [name for name in node.attributes if name.startswith("on")]
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            assert node.attributes.get(name, "#").startswith(("#", "data:")), (node.tag, node.attributes[name])
    assert not re.search(r"@import|url\(", together)
    (policy,) = [node for node in page.all("meta") if "http-equiv" in node.attributes]
    assert policy.attributes["content"].startswith("default-src 'none'; img-src data:;")


def test_what_users_named_is_text(together: str) -> None:
    page = parse(together)
    assert not [node for node in page.all("b", "i") if node.text]
    assert "<b>cat</b>" in page.text
    assert "<i>zoo</i>" in page.text


def test_a_screen_reader_finds_its_way(together: str) -> None:
    page = parse(together)
    assert page.all("html")[0].attributes["lang"] == "en"
    for landmark in ("header", "nav", "main", "footer"):
        assert len(page.all(landmark)) == 1
    levels = [int(node.tag[1]) for node in page.all("h1", "h2", "h3", "h4", "h5")]
    assert levels[0] == 1 == levels.count(1)
    assert all(after - before <= 1 for before, after in pairwise(levels))
    ids = [node.attributes["id"] for node in page.all() if "id" in node.attributes]
    assert len(set(ids)) == len(ids)
    for node in page.all():
        names = node.attributes.get("aria-labelledby", "").split()
        names += [node.attributes["href"][1:]] if node.attributes.get("href", "").startswith("#") else []
        assert set(names) <= set(ids), names
    assert all(node.attributes["alt"] for node in page.all("img"))
    assert len({node.attributes["alt"] for node in page.all("img")}) > 16
    for table in page.all("table"):
        assert table.all("caption")[0].text
        assert all(cell.attributes["scope"] in ("col", "row") for cell in table.all("th"))
    for drawing in page.all("svg"):
        assert drawing.attributes.get("aria-hidden") == "true" or drawing.attributes["role"] == "img"


def test_an_older_run_says_what_it_lacks(folder: Path) -> None:
    run = replace(read_page(folder / "a<b>c").runs[0], command=None, examples=[])
    text = parse(render(Page([run], [], []))).text
    assert "older version of advtool made this run and did not note its settings" in text
    assert "kept no example to show" in text


def test_many_classes_are_folded_and_the_weakest_stand_in_view(folder: Path) -> None:
    run: PageRun = read_page(folder / "a<b>c").runs[0]
    many = [replace(run.classes[label % 4], label=label) for label in range(100)]
    section = parse(render(Page([replace(run, classes=many)], [], []))).section("Accuracy by class")
    weakest = section.table("The 10 classes of lowest worst case")[1:]
    lowest = min(each.worst_case.accuracy for each in many)
    assert {row[3] for row in weakest} == {notation.percent(lowest)}
    assert len(section.table("All 100 classes")) == 101
    assert section.all("details")


SCHEME = re.compile(r"--(\w+): (#[0-9a-f]{3,6});")


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
def test_text_stands_out_from_its_ground(together: str, scheme: str) -> None:
    """WCAG 2.2, AA: a contrast of 4.5 for text."""
    blocks = re.findall(r":root \{(.*?)\}", together, re.DOTALL)
    colours = dict(SCHEME.findall(blocks[["light", "dark", "print"].index(scheme)]))
    for ground in ("paper", "panel"):
        for ink in ("ink", "quiet", "link", "masking", "strength", "setup"):
            assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
    for line in ("good", "bad", "a1", "a2", "a3", "a4", "a5", "a6"):  # graphics: 3
        assert contrast(colours[line], colours["paper"]) >= 3, line


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
