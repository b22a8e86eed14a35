"""Searches over readings: the grid, what validation chooses, and that no test image has a part in it."""

from collections.abc import Iterator
from dataclasses import fields, replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from advtool.checkpoints import Architecture, Header, now
from advtool.errors import InputError
from advtool.evaluation.settings import Settings
from advtool.reproduce import apb, apb_readings, engine, pnil
from advtool.reproduce.apb_readings import fgsm_in_validation, readings, trial
from advtool.reproduce.catalogue import Scale
from advtool.reproduce.cells import metric, share
from advtool.reproduce.engine import reproduce
from advtool.reproduce.lines import Line
from advtool.reproduce.observer import Observer
from advtool.reproduce.registry import find
from advtool.reproduce.search import Chosen, Trial
from advtool.reproduce.steps import Asked, Model, Question, Step
from advtool.reproduce.table import Table
from advtool.threat import ThreatModel


def card(clean: float, fgsm: float) -> Header:
    return Header(
        architecture=Architecture(name="lenet", input_shape=(1, 28, 28), classes=10),
        dataset="digits",
        recipe={"name": "clean"},
        threat_model=ThreatModel(eps=0.3),
        seed=0,
        date=now(),
        versions={},
        metrics={"clean_accuracy": clean, "one_step_accuracy": fgsm},
    )


def of_rate(rate: float) -> Trial:
    settings = (("arch", "cnn"), ("learning_rate", rate))
    return Trial(dataset="digits", recipe="clean", eps=0.1, epochs=1, limit=200, settings=settings)


TRIALS = tuple(map(of_rate, (1e-6, 1e-3, 1e-2, 1e30)))


def chosen(place: int) -> Chosen:
    return Chosen(
        dataset="digits",
        recipe="clean",
        eps=0.1,
        epochs=2,
        limit=300,
        validated=50,
        trials=TRIALS,
        by=lambda header: (float(header.metrics["clean_accuracy"]),),
        place=place,
    )


def test_the_grid_has_every_reading_once_and_adam_through_the_optimizer_without_eps() -> None:
    grid = list(readings(Scale.paper))
    axes = [("SGD", "Adam"), ("optimizer", "direct"), ("ascent", "descent"), ("naive", "multimodal"), ("all", "last")]
    whole = set(product(*axes, apb_readings.SIZES))
    assert len(whole) == 160
    shown = {(r.optimizer, r.step, r.direction, r.structure, r.layers, r.eps) for r in grid}
    moot = {reading for reading in whole if reading[:2] == ("Adam", "optimizer")}
    assert len(grid) == len(shown)
    assert shown == (whole - moot) | {(*reading[:-1], None) for reading in moot}
    assert 0.3 in apb_readings.SIZES, "the paper's only eps"


@pytest.mark.parametrize("reading", list(readings(Scale.paper)))
def test_a_trial_trains_what_its_labels_say(reading: apb_readings.Reading) -> None:
    recipe = trial(Scale.paper, "mnist", reading).resolved
    trained = (recipe.optimizer, recipe.apb_step, recipe.apb_direction, recipe.bias)
    assert trained == (reading.optimizer.lower(), reading.step, reading.direction, reading.structure)
    assert recipe.bias_layers == (("linear3",) if reading.layers == "last" else ())
    assert recipe.apb_eps == (0.03 if reading.eps is None else reading.eps)
    assert recipe.learning_rate == (0.01 if reading.optimizer == "SGD" else 0.001)


def test_the_search_is_ten_epochs_of_20000_images_and_asks_no_test_image() -> None:
    steps = engine.steps(find("apb-search").all_lines(Scale.paper, ["mnist"]))
    assert {type(step) for step in steps} == {Trial}
    assert {(step.epochs, step.limit, step.eps) for step in steps if isinstance(step, Model)} == {(10, 20_000, 0.3)}


def test_the_best_are_trained_as_figure_2_after_all_trials() -> None:
    lines = find("apb-readings").all_lines(Scale.paper, ["mnist"])
    steps = engine.steps(lines)
    places = [place for place, step in enumerate(steps) if isinstance(step, Chosen) and step.epochs == 500]
    trials = [place for place, step in enumerate(steps) if isinstance(step, Trial)]
    assert len(places) == 2
    assert len(trials) == 128
    assert max(trials) < min(places)
    searched = [step for step in steps if isinstance(step, Chosen) and step.epochs != 500]
    assert {(step.epochs, step.limit, step.place) for step in searched} == {(10, 20_000, 1), (10, 20_000, 2)}
    defaults = {line.models[0] for line in lines[:3]}
    assert defaults == {apb.lenet(Scale.paper, "mnist", bias) for bias in (apb.CLASSICAL, *apb.DESCENT)}


def test_at_night_fashion_mnist_has_the_default_readings_alone_with_the_papers_epochs() -> None:
    mnist, fashion = (find("apb-readings").all_lines(Scale.night, [name]) for name in ("mnist", "fashion-mnist"))
    assert [line.labels[-1] for line in fashion] == ["classical", "naive, descent", "multimodal h=8, descent"]
    assert {line.models[0].epochs for line in (*mnist[:3], *fashion)} == {500}
    assert len(mnist) == 8
    of_figure_2 = find("apb-fig2").all_lines(Scale.night, ["mnist", "fashion-mnist"])
    found = {line.models[0] for line in (*mnist[:3], *fashion)}
    assert found <= {model for line in of_figure_2 for model in line.models}


def test_the_stated_eps_is_the_default_reading_with_other_steps() -> None:
    line = find("apb-readings").all_lines(Scale.night, ["mnist"])[3]
    assert line.labels[-1] == "naive, descent, steps of 0.3"
    default = apb.lenet(Scale.night, "mnist", "naive, descent")
    assert dict(line.models[0].settings) == dict(default.settings) | {"apb_eps": 0.3}
    assert replace(line.models[0], settings=default.settings) == default


def test_a_winner_that_is_a_default_is_the_model_of_figure_2() -> None:
    trials = {reading: trial(Scale.paper, "mnist", reading) for reading in readings(Scale.paper)}
    cards: dict[Model, Header] = {each: card(0.9, 0.1) for each in trials.values()}
    default = apb_readings.Reading("Adam", "direct", "descent", "multimodal", "all", 0.03)
    cards[trials[default]] = card(0.9, 0.2)
    lines = {line.labels[-1]: line for line in find("apb-readings").all_lines(Scale.paper, ["mnist"])}
    (best,), (searched,) = (lines[f"best in validation{how}"].models for how in ("", apb_readings.AS_SEARCHED))
    assert isinstance(best, Chosen)
    assert isinstance(searched, Chosen)
    assert best.picked(cards) == apb.lenet(Scale.paper, "mnist", "multimodal, descent")
    assert searched.picked(cards).name == trials[default].name, "the very model of the search"


def test_who_has_not_learned_comes_last_and_of_equals_the_first_wins() -> None:
    cards: dict[Model, Header] = dict(zip(TRIALS, (card(0.1, 0.9), card(0.9, 0.3), card(0.9, 0.3)), strict=False))
    found = [replace(chosen(place), by=fgsm_in_validation).picked(cards) for place in (1, 2, 3)]
    assert [dict(each.settings)["learning_rate"] for each in found] == [1e-3, 1e-2, 1e-6]
    assert {(each.epochs, each.limit, each.validated) for each in found} == {(2, 300, 50)}
    assert {type(each) for each in found} == {Model}, "its file is that of the same model without a search"
    with pytest.raises(InputError, match="only 3 trainings of the search came to their end"):
        chosen(4).picked(cards)


QUESTION = Question(10, Settings(eps=0.1, attacks=("fgsm",)))


def lines(_scale: Scale, dataset: str) -> Iterator[Line]:
    for each in TRIALS:
        cells = {"in validation": metric("clean_accuracy")}
        yield Line(labels=(dataset, each.name), cells=cells, models=(each,))
    for place in (1, 2):
        yield Line(labels=(dataset, f"place {place}"), cells={"FGSM": share(QUESTION, "fgsm")}, models=(chosen(place),))


TOY = Table(
    name="toy",
    paper="nobody",
    claim="it runs",
    rule=lambda _row: None,
    datasets=("digits",),
    label_columns=("data set", "model"),
    lines=lines,
)


class Watcher(Observer):
    def __init__(self) -> None:
        self.steps: list[Step] = []

    def begin(self, step: Step) -> None:
        self.steps.append(step)


def test_a_search_survives_a_training_that_diverges_and_is_not_done_twice(tmp_path: Path) -> None:
    first, second = Watcher(), Watcher()
    result = reproduce(TOY, Scale.smoke, folder=tmp_path, observer=first)
    assert len(first.steps) == len(TRIALS) + 2 * 2
    seen: list[Any] = [row.figures["in validation"] for row in result.rows[: len(TRIALS)]]
    assert [figure.missing for figure in seen] == [None, None, None, "the training diverged"]
    best = sorted(TRIALS[:3], key=lambda each: -seen[TRIALS.index(each)].ours)[:2]
    names = [replace(each, epochs=2, limit=300, validated=50).name for each in best]
    assert result.notes == [f"digits, place {place}: {name}" for place, name in enumerate(names, start=1)]
    assert set(names) <= result.provenance.models.keys(), "the names of what was trained, not of the plan"
    again = reproduce(TOY, Scale.smoke, folder=tmp_path, observer=second)
    assert not second.steps
    assert [row.figures for row in again.rows] == [row.figures for row in result.rows]


def test_the_readings_of_table_1_share_its_models_and_questions() -> None:
    """Early stopping is the paper's, so those trainings are table 1's; without it there is one more of each."""
    of_table = set(engine.steps(find("pnil-table1").all_lines(Scale.paper, ["mnist"])))
    steps = engine.steps(find("pnil-readings").all_lines(Scale.paper, ["mnist"]))
    models = [step for step in steps if isinstance(step, Model)]
    assert len(models) == 2 * 2 * 2 * 2 * 2, "eps, training, PNIL, epoch, folds"
    assert {model.resolved.keep for model in models if model in of_table} == {"loss"}
    assert {model.resolved.keep for model in models if model not in of_table} == {"last"}
    assert sum(model in of_table for model in models) == len(models) / 2
    draws = {(m.resolved.pnil, q.settings.eot) for m, q in (s for s in steps if isinstance(s, Asked))}
    assert draws == {(False, None), (True, 1), (True, 100)}
    assert {round(model.eps, 4) for model in models} == {round(pnil.STATED_EPS["mnist"], 4), 0.3}


def test_a_trial_differs_from_the_same_model_in_nothing_but_its_kind() -> None:
    assert fields(Trial) == fields(Model)
