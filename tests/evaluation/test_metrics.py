"""``result.metrics()``: figures that MLflow, Weights & Biases and others take as they are."""

import posixpath
import re

import pytest

import advtool
from advtool import Evaluation
from tests.support.models import NoisyInput, mlp
from tests.support.runs import labelled

TAKEN_BY_MLFLOW = re.compile(r"[/\w.\- ]+")


def evaluation(seed: int = 0) -> Evaluation:
    model = mlp()
    x, y = labelled(model)
    attacks = ["fgsm", "pgd(steps=5, restarts=2)", "art:MomentumIterativeMethod(max_iter=3)"]
    return advtool.evaluate(model, x[:40], y[:40], eps=0.05, seed=seed, attacks=attacks)


@pytest.fixture(scope="module")
def result() -> Evaluation:
    return evaluation()


def test_the_figures_are_those_of_the_document(result: Evaluation) -> None:
    metrics, (fgsm, pgd, _) = result.metrics(), result.attacks
    assert metrics["clean/accuracy"] == result.clean.accuracy
    assert (metrics["worst_case/interval_low"], metrics["worst_case/interval_high"]) == result.worst_case.interval
    assert metrics["attacks/fgsm/robust"] == fgsm.robust
    assert metrics["attacks/pgd_restarts_2_steps_5/accuracy"] == pgd.accuracy
    assert metrics["attacks/fgsm/model_calls/backward"] == fgsm.model_calls.backward
    assert metrics["warnings/masking"] == 0


def test_trackers_take_every_name_and_every_value(result: Evaluation) -> None:
    for name, value in result.metrics().items():
        assert type(value) is float, name
        assert TAKEN_BY_MLFLOW.fullmatch(name), name
        assert posixpath.normpath(name) == name
        assert not {"parameters", "seed", "environment"} & set(name.split("/")), name


def test_another_seed_has_the_same_names_and_so_has_what_was_read_from_json(result: Evaluation) -> None:
    assert evaluation(seed=1).metrics().keys() == result.metrics().keys()
    assert Evaluation.model_validate_json(result.model_dump_json(by_alias=True)).metrics() == result.metrics()


def test_a_random_models_further_parts_are_there_too() -> None:
    model = mlp()
    x, y = labelled(model)
    result = advtool.evaluate(NoisyInput(model, 0.05), x[:20], y[:20], eps=0.05, attacks=["fgsm"], certify=False)
    assert result.single_draw is not None
    assert result.metrics()["single_draw/accuracy"] == result.single_draw.accuracy
