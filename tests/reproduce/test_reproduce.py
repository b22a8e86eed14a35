"""Reproductions: rules on evidence with known verdicts, the papers' protocols and figures, resuming, the command."""

import json
import math
import shutil
import statistics
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import torch

from advtool import checkpoints, training
from advtool.cli import main
from advtool.data import Split, folds
from advtool.errors import InputError
from advtool.evaluation.uncertainty import wilson_interval
from advtool.models.noise import PNIL
from advtool.report import FORMATS, plots, reproduction_plot
from advtool.reproduce import apb, engine, gains, pnil, pnil_maps
from advtool.reproduce.catalogue import TABLES, Scale
from advtool.reproduce.cells import ratio, seconds
from advtool.reproduce.engine import reproduce
from advtool.reproduce.laboratory import Laboratory
from advtool.reproduce.lines import Claimed
from advtool.reproduce.measured import Measured
from advtool.reproduce.observer import Observer
from advtool.reproduce.registry import find
from advtool.reproduce.steps import Asked, Learned, Model, Step, Timing
from advtool.reproduce.verdict import Judgement, combined, led_by, robust, together, unless_smaller
from advtool.results import CERTIFIED, Estimate, Figure, Panel, Reproduced, Row, Verdict
from advtool.training.timing import take_turns
from tests.conftest import Command
from tests.support.toy_table import FIXED, FOLDED, QUESTION, SOURCE, TIMING, TOY, Watcher, lines

CLEARLY, NOISE, WORSE = (0.05, 0.3), (-0.1, 0.2), (-0.3, -0.05)


def estimate(low: float, high: float) -> Estimate:
    return Estimate(value=(low + high) / 2, interval=(low, high), how="given")


def row(codes: tuple[str, ...] = (), labels: tuple[str, ...] = (), **evidence: tuple[float, float]) -> Row:
    found = {name.replace("__", ", ").replace("_", " "): estimate(*interval) for name, interval in evidence.items()}
    return Row(labels=list(labels), figures={}, codes=list(codes), evidence=found)


def claim(
    gain: tuple[float, float],
    *codes: str,
    worst: tuple[float, float] = NOISE,
    gap: float = 0.0,
    beside: float | None = None,
    unsure: float = 0.05,
    at_least: float | None = None,
    labels: tuple[str, ...] = (),
) -> Row:
    found = row(codes, labels, gain=gain, worst_case=worst, gap=(gap - unsure, gap + unsure))
    if beside is not None:
        found.evidence["baseline's gap"] = estimate(beside - unsure, beside + unsure)
    if at_least is not None:
        found.evidence["gain, claimed"] = gains.exact(at_least)
    return found


def of_one_training(given: Row) -> Row:
    """The same evidence, of one training on each side."""
    how = {"how": f"given, {gains.ONE_TRAINING}"}
    evidence = {name: found.model_copy(update=how) for name, found in given.evidence.items()}
    return given.model_copy(update={"evidence": evidence})


def curve(last: float, low: float, high: float) -> Row:
    return row(**{"further fall": (low, high)}).model_copy(update={"figures": {"PGD-50": Figure(ours=last)}})


def ratios(**given: tuple[float, float]) -> Row:
    """The evidence of a timing, whose names are no words of Python."""
    names = {
        "clean": "of clean",
        "fixed": "of both, fixed",
        "fly": "of both, on the fly",
        "few": "PGD-7 takes",
        "many": "PGD-40 takes",
    }
    found = {names[name]: estimate(*interval) for name, interval in given.items()}
    return Row(labels=[], figures={}, evidence=found)


@pytest.mark.parametrize(
    ("given", "verdict"),
    [
        (claim(CLEARLY), "holds"),
        (claim(NOISE), "undecided"),
        (claim(WORSE, worst=WORSE), "does not"),
        (claim(WORSE, worst=NOISE), "undecided"),  # nothing hides in the worst case, and it is open
        (claim(WORSE, worst=NOISE, at_least=0.3), "does not"),
        (claim(CLEARLY, at_least=0.04), "holds"),
        (claim(CLEARLY, at_least=0.2), "undecided"),
        (claim(CLEARLY, at_least=0.4), "does not"),  # a gain, but less than half of the paper's
        (claim(NOISE, at_least=0.4), "does not"),
        (claim(CLEARLY, "margin-beats-cross-entropy"), "gradient masking"),
        (claim(NOISE, "margin-beats-cross-entropy"), "undecided"),
        (claim(WORSE, "margin-beats-cross-entropy", worst=WORSE), "does not"),
        (claim(CLEARLY, "margin-beats-cross-entropy", at_least=0.4), "does not"),  # nothing was reached
        (claim(CLEARLY, gap=0.2), "gradient masking"),
        (claim(CLEARLY, gap=0.19), "holds"),
        (claim(CLEARLY, worst=WORSE), "gradient masking"),
        (claim(CLEARLY, worst=(-0.3, 0.01)), "holds"),  # not clearly below the baseline's
        (claim(CLEARLY, gap=0.9, beside=0.9), "holds"),  # the baseline hides as much
        (claim(CLEARLY, gap=0.9, beside=0.69), "gradient masking"),
        (claim(CLEARLY, gap=0.9, beside=0.69, unsure=0.11), "holds"),  # the intervals overlap
    ],
)
def test_robustness_is_judged_by_the_printed_rule(given: Row, verdict: str) -> None:
    judgement = robust(given)
    assert judgement.verdict == verdict, judgement.why


@pytest.mark.parametrize(
    ("given", "verdict"),
    [
        (claim(CLEARLY), "undecided"),
        (claim(WORSE, worst=WORSE), "undecided"),
        (claim(CLEARLY, "margin-beats-cross-entropy"), "gradient masking"),  # the model that was attacked shows it
        (claim(CLEARLY, gap=0.3), "gradient masking"),
        (claim(CLEARLY, worst=WORSE), "undecided"),  # two seeds are compared
    ],
)
def test_of_one_training_only_what_the_model_itself_shows_is_masking(given: Row, verdict: str) -> None:
    judgement = robust(of_one_training(given))
    assert judgement.verdict == verdict, judgement.why


@pytest.mark.parametrize(("worst", "cannot_hold"), [(-0.151, True), (-0.149, False)])
def test_the_worst_case_of_one_training_rules_a_reading_out_by_fifteen_points(worst: float, cannot_hold: bool) -> None:
    given = claim(CLEARLY, at_least=0.2, worst=(worst, 0.2 + worst))
    assert robust(given).cannot_hold
    assert robust(of_one_training(given)).cannot_hold == cannot_hold


def test_a_reading_with_a_smaller_training_than_the_papers_may_still_hold() -> None:
    given = claim(CLEARLY, at_least=0.4, worst=WORSE)
    given.evidence["epochs"] = gains.exact(0.2)
    judged = unless_smaller(robust(given), given)
    assert (robust(given).verdict, judged.verdict) == ("does not", "undecided")
    assert (robust(given).cannot_hold, judged.cannot_hold) == (True, False)


@pytest.mark.parametrize(
    ("given", "cannot_hold"),
    [
        (claim(CLEARLY, at_least=0.2, worst=(-0.1, 0.1)), True),
        (claim(CLEARLY, at_least=0.2), False),  # the worst case may gain as much
        (claim(NOISE), False),
        (claim(CLEARLY, at_least=0.4), True),  # it is decided, and stays so
    ],
)
def test_an_undecided_reading_that_cannot_hold_counts_only_alone(given: Row, cannot_hold: bool) -> None:
    def judged(given: Row, structure: str) -> Row:
        evidence = given.evidence | {"clean": estimate(-0.01, 0.01)}
        labels = ["mnist", "clean", "", structure]
        return apb.FIG2.judged(given.model_copy(update={"labels": labels, "evidence": evidence}))

    ours, masked = judged(given, "naive"), judged(claim(CLEARLY, gap=0.2), "multimodal")
    assert robust(given).cannot_hold == cannot_hold
    assert apb.FIG2.overall([ours]) == ours.verdict
    undecided = ours.verdict == "undecided" and not cannot_hold
    assert apb.FIG2.overall([ours, masked]) == ("undecided" if undecided else "gradient masking")


def test_a_masking_code_of_the_baseline_does_not_count_against_a_row() -> None:
    given = claim(CLEARLY, "spsa-beats-gradient", "margin-beats-cross-entropy", gap=0.9, beside=0.9)
    assert robust(given.model_copy(update={"baseline_codes": given.codes})).verdict == "holds"
    assert robust(given.model_copy(update={"baseline_codes": given.codes[:1]})).verdict == "gradient masking"


def test_verdicts_are_combined_by_the_printed_rules() -> None:
    names: tuple[Verdict, ...] = ("holds", "partly", "does not", "undecided", "gradient masking")
    holds, partly, does_not, undecided, masking = (Judgement(name, "") for name in names)
    assert combined(holds, holds).verdict == "holds"
    assert combined(holds, undecided).verdict == "undecided"
    assert combined(holds, does_not).verdict == "partly"
    assert combined(holds, masking).verdict == "partly"
    assert combined(undecided, does_not).verdict == "does not"
    assert combined(partly, undecided).verdict == "partly"
    assert combined(masking, does_not).verdict == "gradient masking"
    assert combined(masking, undecided).verdict == "gradient masking"
    assert led_by(holds, undecided).verdict == "holds"
    assert led_by(holds, does_not).verdict == "partly"
    assert led_by(does_not, holds).verdict == "does not"
    assert led_by(holds, masking).verdict == "partly"
    assert led_by(undecided, masking).verdict == "undecided"
    assert together(["holds", None, "holds"]) == "holds"
    assert together(["holds", "does not"]) == "partly"
    assert together(["does not", "undecided"]) == "does not"
    assert together([None]) is None


def ours(given: Row, **figures: float) -> Row:
    """The row with what stands in its columns."""
    found = {name.replace("_", " "): Figure(ours=value) for name, value in figures.items()}
    return given.model_copy(update={"figures": found})


def stated(given: Row) -> Row:
    return given.model_copy(update={"evidence": given.evidence | {"stated": gains.exact(0.59)}})


CHEAP = (0.95, 1.05)
CLEAN, ADV, BOTH = (("mnist", trained_on) for trained_on in ("clean", "adv", "both"))


@pytest.mark.parametrize(
    ("name", "given", "verdict"),
    [
        ("apb-fig2", row(labels=CLEAN, gain=WORSE, worst_case=WORSE, gap=NOISE, clean=CLEARLY), "does not"),
        ("apb-fig2", row(labels=ADV, gain=WORSE, worst_case=WORSE, gap=NOISE, clean=CLEARLY), "partly"),
        ("apb-fig2", row(labels=BOTH, gain=NOISE, worst_case=NOISE, gap=NOISE, clean=CLEARLY), "undecided"),
        ("apb-fig2", row(labels=ADV, clean=CLEARLY, clean__claimed=(0.4, 0.4), fixed_examples=CLEARLY), "does not"),
        ("apb-fig2", row(labels=ADV, clean=CLEARLY, clean__claimed=(0.01, 0.01), fixed_examples=CLEARLY), "holds"),
        ("apb-fig2", row(labels=BOTH, clean=CLEARLY, fixed_examples=NOISE), "undecided"),
        ("apb-fig2", row(labels=BOTH, clean=CLEARLY, fixed_examples=WORSE), "partly"),
        ("apb-fig3a", claim(CLEARLY, worst=CLEARLY), "holds"),
        ("apb-fig3a", claim(CLEARLY, worst=NOISE), "holds"),
        ("apb-fig3a", claim(CLEARLY, worst=CLEARLY, gap=0.5, beside=0.2), "gradient masking"),
        ("apb-fig3a", claim(CLEARLY, worst=CLEARLY, gap=0.5, beside=0.45), "holds"),
        ("apb-fig3b", ours(claim(CLEARLY), FGSM_on_examples=0.3), "holds"),
        ("apb-fig3b", ours(claim(CLEARLY), FGSM_on_examples=0.1), None),
        ("apb-fig3b", ours(claim((-0.3, -0.2), worst=WORSE), FGSM_on_examples=0.1), "does not"),
        ("apb-time", stated(ratios(clean=CHEAP, fixed=(0.5, 0.6), fly=(0.3, 0.4))), "holds"),
        ("apb-time", stated(ratios(clean=CHEAP, fixed=(0.6, 0.7), fly=(0.3, 0.4))), "undecided"),
        ("apb-time", stated(ratios(clean=CHEAP, fixed=(0.7, 0.8), fly=(0.3, 0.4))), "partly"),
        ("apb-time", ratios(clean=CHEAP, fixed=(0.7, 0.8), fly=(0.3, 0.4)), "holds"),
        ("apb-time", ratios(clean=CHEAP, fixed=(0.7, 0.8), fly=(1.1, 1.2)), "partly"),
        ("apb-time", stated(ratios(clean=(1.3, 1.4), fixed=(1.1, 1.2), fly=(1.1, 1.2))), "does not"),
        ("pnil-masking", row(hidden=(0.2, 0.5), hidden__claimed=(0.1, 0.1)), "holds"),
        ("pnil-masking", row(hidden=(0.0, 0.5), hidden__claimed=(0.1, 0.1)), "undecided"),
        ("pnil-masking", row(hidden=(-0.3, 0.05), hidden__claimed=(0.1, 0.1)), "does not"),
        ("pnil-masking", row(hidden=(-0.3, 0.05)), "holds"),
        ("pnil-masking", row(hidden=(0.0, 0.15)), "undecided"),
        ("pnil-masking", row(hidden=(0.05, 0.5)), "undecided"),
        ("pnil-masking", row(hidden=(0.2, 0.5)), "does not"),
        ("pnil-fig1", row(centre=(7, 7), border=(10, 10), foreground=(7, 7), background=(10, 10)), "holds"),
        ("pnil-fig1", row(centre=(7, 7), border=(10, 10), foreground=(10, 10), background=(7, 7)), "partly"),
        ("pnil-fig1", row(centre=(7, 7), border=(7, 7), foreground=(7, 7), background=(7, 7)), "undecided"),
        ("pnil-fig1", row(centre=(6, 8), border=(9, 12)), "holds"),
        ("pnil-fig1", row(centre=(6, 8), border=(8, 12)), "undecided"),
        ("pnil-fig1", row(centre=(9, 12), border=(6, 8)), "does not"),
        ("pnil-fig1", row(centre=(8, 12), border=(6, 8)), "undecided"),
        ("pnil-fig3", row(spread_by_B=(0.02, 0.02), spread_by_intensity=(0.3, 0.3)), "holds"),
        ("pnil-fig3", row(spread_by_B=(0.2, 0.2), spread_by_intensity=(0.3, 0.3)), "partly"),
        ("pnil-fig3", row(spread_by_B=(0.2, 0.2), spread_by_intensity=(0.1, 0.1)), "does not"),
        ("pnil-fig3", row(spread_by_B=(0.01, 0.01), spread_by_intensity=(0.0, 0.0)), "undecided"),
        ("pnil-fig4", curve(0.5, -0.01, 0.02), "holds"),
        ("pnil-fig4", curve(0.5, 0.01, 0.08), "undecided"),
        ("pnil-fig4", curve(0.5, 0.04, 0.08), "does not"),
        ("pnil-fig4", curve(0.02, -0.01, 0.02), None),
        ("pnil-fig4", curve(0.19, 0.01, 0.02), "holds"),  # 20.5 % at ten draws
        ("pnil-fig4", curve(0.21, -0.03, -0.01), None),  # 19 % there
        ("pnil-fig4", row(fall=CLEARLY), "holds"),
        ("pnil-fig4", row(fall=WORSE), "does not"),
        ("pnil-fig5", row(other=CLEARLY, small=CLEARLY, small_above_large=NOISE), "holds"),
        ("pnil-fig5", row(other=CLEARLY, small=CLEARLY, small_above_large=WORSE), "partly"),
        ("pnil-fig5", row(other=CLEARLY, small=WORSE, small_above_large=WORSE), "partly"),
        ("pnil-fig5", row(other=CLEARLY, small=NOISE, small_above_large=WORSE), "undecided"),
        ("pnil-fig5", row(other=WORSE, small=NOISE, small_above_large=CLEARLY), "does not"),
        ("pnil-fig5", row(at_its_eps=(-0.09, 0.09)), "holds"),
        ("pnil-fig5", row(at_its_eps=(-0.15, 0.05)), "undecided"),
        ("pnil-fig5", row(at_its_eps=(-0.05, 0.15)), "undecided"),
        ("pnil-fig5", row(at_its_eps=(-0.3, -0.15)), "does not"),
        ("pnil-fig5", row(at_its_eps=(0.15, 0.3)), "does not"),
        ("pnil-time", ratios(few=(2.5, 3.5), many=(12, 15)), "holds"),
        ("pnil-time", ratios(few=(2.5, 3.5), many=(5, 7)), "partly"),
        ("pnil-time", ratios(few=(1.5, 3.5), many=(5, 7)), "does not"),
    ],
)
def test_each_table_is_judged_by_its_printed_rule(name: str, given: Row, verdict: str | None) -> None:
    judged = find(name).judged(given)
    assert judged.verdict == verdict, judged.why


def test_a_gain_has_the_interval_of_its_kind() -> None:
    half = torch.arange(100) < 50
    more = half | (torch.arange(100) < 60)
    paired = gains.gain([([more], [half])])
    assert paired.value == pytest.approx(0.1)
    assert 0.03 < paired.interval[0] < 0.05 < paired.interval[1] < 0.2
    assert paired.how == "paired, 100 images, 1 training"
    pooled = gains.gain([([more], [half]), ([half], [half])])
    assert pooled.value == pytest.approx(0.05)
    same = gains.gain([([more] * 10, [half] * 10)], trained_on=100)
    assert same.interval[0] < 0.1 < same.interval[1], "trainings that agree leave the images' noise"
    wild = [half if number % 2 else ~half for number in range(10)]
    spread = gains.gain([(wild, [half] * 10)], trained_on=100)
    assert spread.value == pytest.approx(0)
    assert spread.interval[0] == pytest.approx(-spread.interval[1])


def test_folds_that_test_the_whole_half_have_the_papers_interval() -> None:
    ours = [torch.arange(1000) < share for share in (400, 600) * 5]
    theirs = [torch.arange(1000) < 500] * 10
    found = gains.gain([(ours, theirs)], trained_on=1000)
    # deviation 0.1054 of ten differences, times sqrt(1 / 10 + 1) and t(0.975, 9) = 2.2622
    assert found.interval == pytest.approx((-0.2501, 0.2501), abs=1e-3)


def test_a_contrast_is_the_gain_at_some_points_above_that_at_others() -> None:
    generator = torch.Generator().manual_seed(0)
    sides = [[torch.rand(200, generator=generator) < 0.5 for _ in range(10)] for _ in range(4)]
    ours, theirs, others_ours, others_theirs = sides
    found = gains.contrast([(ours, theirs)], [(others_ours, others_theirs)], trained_on=30_000)
    one, other = gains.gain([(ours, theirs)]), gains.gain([(others_ours, others_theirs)])
    assert found.value == pytest.approx(one.value - other.value)
    same = gains.contrast([(ours, theirs)], [(ours, theirs)], trained_on=30_000)
    assert same.value == pytest.approx(0)
    # four shares of 200 images, each of variance 0.25 / 200: the standard error of ten differences is 0.0224
    assert (found.interval[1] - found.interval[0]) / 2 == pytest.approx(2.2622 * 0.0224, rel=0.5)


def test_few_images_of_a_fold_have_noise_that_folds_do_not_share() -> None:
    """Of 100 images ten differ in each fold: variance 0.09 / 100 by the images, and the rest of 1 / 90 by training."""
    ours = [torch.arange(100) < share for share in (40, 60) * 5]
    theirs = [torch.arange(100) < 50] * 10
    low, high = gains.gain([(ours[:1], theirs[:1])]).interval
    of_images, of_trainings = ((high - low) / 2 / 1.96) ** 2, 1 / 90 - 0.0009
    for trained_on in (100, 1000, 30_000):
        found = gains.gain([(ours, theirs)], trained_on=trained_on)
        reach = 2.2622 * (of_trainings * (1 / 10 + 1) + of_images * (1 / 10 + 100 / trained_on)) ** 0.5
        assert found.interval == pytest.approx((-reach, reach), abs=1e-4), trained_on


def test_trainings_that_agree_by_chance_have_the_images_noise() -> None:
    right = torch.arange(20) < 18
    found = gains.gain([([right] * 2, [right] * 2)], trained_on=20)
    # exact interval of 0 of 20: +- 0.1684; over 1.96, times sqrt(1 / 2 + 1) and t(0.975, 1) = 12.706 is more than 1
    assert found.interval == (-1.0, 1.0)
    ten = gains.gain([([right] * 10, [right] * 10)], trained_on=20)
    assert ten.interval == pytest.approx((-0.2039, 0.2039), abs=1e-4), "the same with 1 / 10 + 1 and 2.2622"
    few = gains.gain([([right] * 10, [right] * 10)], trained_on=30_000)
    assert few.interval == pytest.approx((-0.0617, 0.0617), abs=1e-4), "the same with 1 / 10 + 20 / 30,000"


def test_two_trainings_that_disagree_decide_nothing() -> None:
    theirs = [torch.arange(1000) < 500] * 2
    ours = [torch.arange(1000) < right for right in (600, 900)]
    found = gains.gain([(ours, theirs)])
    # differences 0.1 and 0.4: mean 0.25, deviation 0.2121, over sqrt(2), times t(0.975, 1) = 12.706 is 1.906
    assert found.interval == (-1.0, 1.0)


def test_few_falls_among_many_images_have_the_exact_interval() -> None:
    before = torch.arange(200) < 100
    after = before & (torch.arange(200) >= 2)
    # Clopper and Pearson: at most 3.57 % with 2 of 200
    assert gains.gain([([after], [before])]).interval[0] == pytest.approx(-0.0357, abs=1e-4)


def test_sides_that_saw_different_numbers_of_images_are_paired_on_the_common_ones() -> None:
    many, few = torch.arange(100) % 2 == 0, torch.arange(10) % 2 == 0
    found = gains.gain([([many], [few])], trained_on=100)
    assert (found.value, found.how) == (0.0, "paired, 10 images, 1 training")


def test_figures_that_are_not_paired_have_newcombes_interval() -> None:
    """His example: 56 of 70 and 48 of 80 (Statistics in Medicine 17, 1998, p. 873, table II, case a, method 10)."""
    ours, theirs = (Figure(ours=n / of, interval=wilson_interval(n, of)) for n, of in ((56, 70), (48, 80)))
    found = gains.between(ours, theirs)
    assert found.value == pytest.approx(0.2)
    assert found.interval == pytest.approx((0.0524, 0.3339), abs=1e-4)


def test_repeats_have_the_t_interval_of_their_mean_on_a_logarithmic_scale() -> None:
    found = gains.of_figure(Figure(ours=2.0, deviation=0.2, repeats=9))
    factor = math.exp(2.306 * 0.2 / 2.0 / 3)  # t(0.975, 8), and the root of 9
    assert (found.value, found.interval) == (2.0, pytest.approx((2.0 / factor, 2.0 * factor), rel=1e-4))
    assert gains.of_figure(Figure(ours=2.0)).interval == (2.0, 2.0)


def test_images_that_one_side_alone_saw_leave_more_to_the_trainings() -> None:
    """The baseline saw the first 25 of 100 images, of which ours has two more or two fewer."""
    theirs = [torch.arange(25) < 12] * 10
    ours = [torch.cat((torch.arange(25) < few, torch.arange(75) < few * 3)) for few in (10, 14) * 5]
    found = gains.gain([(ours, theirs)], trained_on=30_000)
    noise = 0.08 * 0.92 / 100  # of the images that both saw, over all that were tested: never too much
    differences = [0.40 - 0.48, 0.56 - 0.48] * 5
    of_trainings = statistics.variance(differences) - noise
    few = [gains.gain([([each], [other])]).interval for each, other in zip(ours, theirs, strict=True)]
    of_images = statistics.fmean(((high - low) / 2 / 1.96) ** 2 for low, high in few)
    reach = 2.2622 * (of_trainings * (1 / 10 + 1) + of_images * (1 / 10 + 100 / 30_000)) ** 0.5
    assert found.interval == pytest.approx((-reach, reach), rel=1e-4)


@pytest.mark.parametrize(("spread", "starred"), [(0.0, True), (0.022, True), (0.023, False), (0.12, False)])
def test_a_star_is_the_papers_test_at_0_003(spread: float, starred: bool) -> None:
    """Ten gains of 0.1 with deviation s: t = 0.1 / (s sqrt(1/10 + 1)); 4.09 at s = 0.0233 is p = 0.003."""
    theirs = [torch.arange(1000) < 500] * 10
    ours = [torch.arange(1000) < 600 + round(1000 * spread) * (1 if number % 2 else -1) for number in range(10)]
    test = gains.t_test([(ours, theirs)])
    assert (test.p_value < pnil.SIGNIFICANCE_LEVEL) == starred


def test_what_a_noise_layer_learned_is_read_from_its_weights() -> None:
    layer = PNIL((1, 4, 4))
    with torch.no_grad():
        layer.W.fill_(2.0)
        layer.B[:] = torch.tensor([-2.0, 2.0]).repeat(8).view(1, 4, 4)
    images = torch.zeros(2, 1, 4, 4, dtype=torch.uint8)
    images[1] = 255  # X W / 2 is 0 or 1
    split = Split("two", ("a", "b"), images, torch.tensor([0, 1]))
    assert pnil_maps.by_place(layer, split) == pytest.approx(torch.tensor([-1.0, 1.0] * 8).std().item())
    assert pnil_maps.by_intensity(layer, split) == pytest.approx(0.5**0.5)
    noise = pnil_maps.deviations(layer, split)
    assert noise[0, 0, 0].tolist() == pytest.approx([0.3679, 2.7183, 0.3679, 2.7183], abs=1e-4)


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("scale", Scale)
def test_every_plan_can_be_carried_out_in_its_order(name: str, scale: Scale) -> None:
    table = find(name)
    assert table.name == name
    lines = table.all_lines(scale, table.other_datasets.get(scale, table.datasets))
    assert len({line.labels for line in lines}) == len(lines), "two rows of one name"
    steps = engine.steps(lines)
    models = [step for step in steps if isinstance(step, Model)]
    assert len({model.name for model in models}) == len(models), "two models would share a file"
    for place, step in enumerate(steps):
        of_one = isinstance(step, Asked | Learned)
        needed = [step.model] if of_one else step.models if isinstance(step, Timing) else [step]
        sources = {model.examples_of for model in needed} - {None}
        assert sources | ({step.model} if of_one else set()) <= set(steps[:place])


def protocol(name: str, *datasets: str) -> tuple[list[Model], list[Asked]]:
    """What a table asks for at the scale paper."""
    steps = engine.steps(find(name).all_lines(Scale.paper, datasets))
    return [step for step in steps if isinstance(step, Model)], [step for step in steps if isinstance(step, Asked)]


def test_figure_2_at_the_papers_scale_is_the_papers_protocol() -> None:
    models, asked = protocol("apb-fig2", "mnist", "fashion-mnist")
    # 5 on clean images, and 5 on each kind of examples in the other two scenarios, on two data sets
    assert len(models) == 2 * (5 + 2 * 2 * 5)
    assert {(each.epochs, each.limit, each.eps, each.resolved.arch) for each in models} == {(500, None, 0.3, "lenet")}
    assert {(each.question.settings.attacks, each.question.images) for each in asked} == {
        (("fgsm",), None),
        (("audit", "spsa"), 1000),
    }
    assert {(s.pgd_steps, s.spsa_steps, s.spsa_samples) for _, (_, s) in asked} == {(50, 100, 128)}


def test_table_1_at_the_papers_scale_is_the_papers_protocol() -> None:
    models, asked = protocol("pnil-table1", "cifar10", "fashion-mnist", "mnist")
    kinds = {(m.dataset, round(m.eps * 255, 2), m.recipe, m.resolved.pnil) for m in models}
    # CIFAR-10's stated eps is the fitted one, and its models are trained once
    assert len(kinds) == (1 + 2 + 2) * 2 * 2
    assert len(models) == 10 * len(kinds), "five times two folds"
    assert {eps for dataset, eps, *_ in kinds if dataset == "mnist"} == {8, 76.5}
    assert {eps for dataset, eps, *_ in kinds if dataset == "fashion-mnist"} == {4, 25.5}
    assert {(m.limit, m.validated, m.resolved.batch_size, m.resolved.keep) for m in models} == {
        (None, None, 100, "loss")
    }
    assert {(m.dataset, m.resolved.arch) for m in models} >= {("cifar10", "resnet11"), ("mnist", "cnn")}
    kinds_of_question = {(q.settings.attacks, q.images, q.settings.pgd_steps) for _, q in asked}
    assert kinds_of_question == {(("pgd",), None, 50), (("audit", "spsa"), 1000, 50)}
    assert {(s.spsa_steps, s.spsa_samples) for _, (_, s) in asked if "spsa" in s.attacks} == {(100, 2048)}
    assert {(m.resolved.pnil, q.settings.eot) for m, q in asked} == {(True, 100), (False, None)}
    assert all(q.settings.eps == m.eps for m, q in asked)


def test_the_curves_and_madry_at_the_papers_scale_are_the_papers_protocol() -> None:
    models, asked = protocol("pnil-fig4", "cifar10")
    assert len(models) == 2 * 5 * 2, "two recipes, five times two folds"
    assert {(m.resolved.arch, m.resolved.pnil, m.limit, m.epochs) for m in models} == {("resnet11", True, None, 30)}
    assert {q.settings.eot for _, q in asked} >= {1, 10, 100}
    models, asked = protocol("pnil-fig5", "cifar10")
    assert not any(m.resolved.pnil for m in models)
    assert min(q.settings.eps for _, q in asked) < 0.03 < max(q.settings.eps for _, q in asked)
    models, asked = protocol("pnil-madry", "cifar10")
    assert {(m.recipe, m.resolved.pnil, m.seed) for m in models} == {
        (*kind, seed) for kind in (("nfgsm", True), ("pgd", False)) for seed in range(10)
    }
    assert {m.fold for m in models} == {None}


PRINTED = """
cifar10       baseline  75±0  58±3   52±0   52*±0  77±1  53±3   50±0   50*±0
cifar10       PNIL      68±0  63±1   57±0   57*±0  66±0  65±2   57±0   57*±0
fashion-mnist baseline  83±1  2±1    58±9   2*±1   85±0  3±2    64±8   3*±2
fashion-mnist PNIL      80±0  74±1   70±0   70*±0  82±0  78±1   67±0   67*±0
mnist         baseline  98±0  46±28  61±25  46±28  98±0  23±36  54±11  23±36
mnist         PNIL      98±0  79±1   55±9   55±9   98±0  77±1   60±4   60±4
"""
"""Table 1: clean, SPSA, PGD and Min with RFGSM, then with NFGSM."""


def test_the_papers_table_1_is_as_printed() -> None:
    shown = {line.labels: line.cells for line in pnil.one_step(Scale.cpu, "mnist")}
    for printed in PRINTED.strip().splitlines():
        dataset, model, *cells = printed.split()
        figures = [(int(mean.rstrip("*")), int(deviation)) for mean, deviation in (cell.split("±") for cell in cells)]
        assert pnil.STATED[dataset, pnil.title("rfgsm", pnil=model == "PNIL")] == tuple(figures[:4])
        assert pnil.STATED[dataset, pnil.title("nfgsm", pnil=model == "PNIL")] == tuple(figures[4:])
        assert ("*" in printed) == (dataset in pnil.STARRED)
    least = shown["larger eps", "mnist", "0.3", "NFGSM + PNIL"]["Min"]
    assert (least.paper, least.paper_deviation, least.paper_significant) == (0.60, 0.04, False)


def test_the_papers_figure_2_is_as_the_text_states() -> None:
    cells = {line.labels[1:]: line.cells for line in apb.scenarios(Scale.cpu, "mnist")}
    biased = cells["clean", "", "naive, descent"]
    assert (biased["clean"].paper, biased["FGSM on examples"].paper) == (0.9917, 0.9888)
    assert cells["clean", "", "classical"]["FGSM on examples"].paper == 0.1808
    adversarial = cells["adv", "fixed", "naive, descent"]
    assert adversarial["FGSM on examples"].paper is None, "only drawn"
    evidence = {line.labels[1:]: line.evidence for line in apb.scenarios(Scale.cpu, "mnist")}
    claimed = {labels: found[name] for labels, found in evidence.items() for name in found if "claimed" in name}
    halves = {labels: each.value for labels, each in claimed.items() if isinstance(each, Claimed)}
    assert halves["clean", "", "naive, descent"] == pytest.approx((0.9888 - 0.1808) / 2), "under FGSM"
    assert halves["adv", "fixed", "naive, descent"] == pytest.approx((0.9772 - 0.9554) / 2), "on clean images"
    assert ("both", "fixed", "naive, descent") not in halves, "slightly"


def test_folds_halve_both_sets_and_test_on_the_other_half(tiny: Split) -> None:
    marked = Split("tiny", tiny.classes, tiny.images, torch.arange(40))
    first, second = (folds.cut(folds.Fold(3, half), marked, marked) for half in (0, 1))
    for one, other in ((first, second), (second, first)):
        assert torch.equal(one.training.labels, other.test.labels)
        assert not set(one.training.labels.tolist()) & set(one.test.labels.tolist())
        assert len(one.training) == len(one.test) == len(one.validation) == 20
    assert set(first.validation.labels.tolist()).isdisjoint(second.validation.labels.tolist())
    other = folds.cut(folds.Fold(4, 0), marked, marked)
    assert not torch.equal(first.training.labels, other.training.labels)


def test_a_given_validation_set_leaves_all_images_for_training(tiny: Split) -> None:
    trained = training.train(tiny[:30], "nfgsm", arch="cnn", epochs=1, validation=tiny[30:])
    assert trained.header.recipe["train_images"] == 30
    assert trained.header.metrics["validation_images"] == 10


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Reproduced:
    return reproduce(TOY, Scale.smoke, folder=tmp_path_factory.mktemp("whole"), command="advtool reproduce toy")


def figures(result: Reproduced) -> list[dict[str, Figure]]:
    """Of the rows whose figures are no times."""
    return [each.figures for each in result.rows[:-1]]


def test_a_killed_reproduction_goes_on_and_gives_the_same(whole: Reproduced, tmp_path: Path) -> None:
    finished: list[Step] = []
    for fatal in (1, 1, 2, 3, 2):  # in a training, again, in an evaluation, later
        watcher = Watcher(fatal)
        with pytest.raises(KeyboardInterrupt):
            reproduce(TOY, Scale.smoke, folder=tmp_path, observer=watcher)
        finished += watcher.steps[:-1]
    last = Watcher()
    result = reproduce(TOY, Scale.smoke, folder=tmp_path, observer=last)
    done = [*finished, *last.steps]
    assert len(done) == len(set(done)) == len(engine.steps(list(lines(Scale.smoke, "digits")))), "done twice"
    assert figures(result) == figures(whole)
    assert not list(tmp_path.rglob("*.partial*"))
    again = Watcher()
    kept = reproduce(TOY, Scale.smoke, folder=tmp_path, observer=again)
    assert (figures(kept), kept.rows[-1].figures["times"]) == (figures(whole), result.rows[-1].figures["times"])
    assert not again.steps
    assert all(again.kept)


def test_what_is_reused_carries_where_and_when_it_was_measured(tmp_path: Path) -> None:
    first = reproduce(TOY, Scale.smoke, folder=tmp_path)
    assert not first.provenance.reused
    kept = [*(tmp_path / "parts").glob("*.json"), *(tmp_path / "timings").glob("*.json")]
    parts = {path: json.loads(path.read_text()) for path in kept}
    origins = [each["origin"] for part in parts.values() for each in (part, *part.get("answers", []))]
    assert len(origins) == len(engine.steps(list(lines(Scale.smoke, "digits"))))
    for origin in origins:
        origin["date"], origin["environment"]["torch"] = "2020-02-02T00:00:00Z", "0.0.7"
    for path, part in parts.items():
        path.write_text(json.dumps(part))
    second = reproduce(TOY, Scale.smoke, folder=tmp_path)
    assert {each.environment["torch"] for each in second.provenance.reused} == {"0.0.7"}
    assert {f"{each.date:%Y-%m-%d}" for each in second.provenance.reused} == {"2020-02-02"}
    assert second.provenance.environment == first.provenance.environment
    assert "2020-02-02" in second.notes[-1]
    assert "torch 0.0.7" in second.notes[-1]
    assert Reproduced.model_validate_json(second.model_dump_json(by_alias=True)) == second


def carried_out(folder: Path, observer: Observer | None = None, of: Model = SOURCE) -> Measured:
    steps: list[Step] = [*([of.examples_of] if of.examples_of else []), of, Asked(of, QUESTION)]
    return Laboratory(folder, torch.device("cpu"), None, observer or Observer()).carry_out(steps)


def test_a_checkpoint_that_is_another_model_is_trained_again(tmp_path: Path) -> None:
    first = carried_out(tmp_path)
    clean, path = first.answers[Asked(SOURCE, QUESTION)].clean, first.files[SOURCE]
    header, content = checkpoints.read(path)
    for change in ({"seed": 7}, {"dataset": "mnist"}, {"recipe": header.recipe | {"epochs": 2}}):
        checkpoints.write(path, header.model_copy(update=change), {k: v + 1 for k, v in content.items()})
        shutil.rmtree(tmp_path / "parts")
        watcher = Watcher()
        assert carried_out(tmp_path, watcher).answers[Asked(SOURCE, QUESTION)].clean == clean
        assert watcher.steps[0] == SOURCE
    path.write_bytes(path.read_bytes()[:100])
    shutil.rmtree(tmp_path / "parts")
    assert carried_out(tmp_path).answers[Asked(SOURCE, QUESTION)].clean == clean


def test_fixed_examples_follow_their_source(tmp_path: Path) -> None:
    measured = carried_out(tmp_path, of=FIXED)
    assert "fixed_examples_accuracy" in measured.cards[FIXED].metrics
    header, content = checkpoints.read(measured.files[SOURCE])
    checkpoints.write(measured.files[SOURCE], header, {name: values + 1 for name, values in content.items()})
    watcher = Watcher()
    carried_out(tmp_path, watcher, of=FIXED)
    assert not watcher.steps, "what the parts tell stands"
    (tmp_path / "parts" / f"{SOURCE.name}.json").unlink()
    carried_out(tmp_path, watcher, of=FIXED)
    assert not watcher.steps, "nor does a source that was trained again undo what trained on the earlier one"
    (tmp_path / "parts" / f"{FIXED.name}.json").unlink()
    carried_out(tmp_path, watcher, of=FIXED)
    assert watcher.steps == [FIXED, Asked(FIXED, QUESTION)], "other examples, another training"


def test_a_folded_model_is_tested_on_the_other_half(tmp_path: Path) -> None:
    measured = carried_out(tmp_path, of=FOLDED)
    assert measured.cards[FOLDED].recipe["train_images"] == 719
    assert measured.cards[FOLDED].metrics["validation_images"] == 180
    assert measured.answers[Asked(FOLDED, QUESTION)].dataset.split == "train, fold r0h1"


def test_an_evaluation_that_is_damaged_is_computed_again(tmp_path: Path) -> None:
    first = carried_out(tmp_path)
    shard = next((tmp_path / "evaluations").glob("*/shards/1-*.json"))
    shard.write_text("{}")
    shutil.rmtree(tmp_path / "parts")
    watcher = Watcher()
    second = carried_out(tmp_path, watcher)
    assert watcher.steps == [Asked(SOURCE, QUESTION)]
    assert second.answers[Asked(SOURCE, QUESTION)].outcomes == first.answers[Asked(SOURCE, QUESTION)].outcomes


def test_what_is_read_back_is_what_was_computed(tmp_path: Path) -> None:
    computed, read = carried_out(tmp_path), carried_out(tmp_path)
    assert [each.to_dict() for each in computed.answers.values()] == [each.to_dict() for each in read.answers.values()]
    assert [each.outcomes for each in computed.answers.values()] == [each.outcomes for each in read.answers.values()]


def test_timings_take_turns_after_a_warm_up() -> None:
    order: list[str] = []
    shares: list[float] = []
    found = take_turns({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 3, shares.append)
    assert order == ["a", "b"] * 4
    assert [len(times) for times in found.values()] == [3, 3]
    assert shares[-1] == 1


def test_trainings_are_timed_with_torchs_own_layers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[type] = set()

    def epoch_of(prepared: Any) -> Any:
        seen.update(type(layer) for layer in prepared.model.modules())
        return lambda: None

    monkeypatch.setattr("advtool.reproduce.laboratory.epoch_of", epoch_of)
    laboratory = Laboratory(tmp_path, torch.device("cpu"), None, Observer())
    laboratory.carry_out([Timing("alone", (SOURCE,), 2)])
    assert torch.nn.Conv2d in seen
    assert all(each.__module__.startswith(("torch", "advtool.models")) for each in seen)


def test_a_ratio_of_times_is_of_the_medians_and_spreads_as_the_turns_do() -> None:
    measured = Measured(None, times={TIMING: {FIXED.name: [2.0, 8.0, 6.0], SOURCE.name: [1.0, 2.0, 3.0]}})
    cell = ratio(TIMING, FIXED, SOURCE)
    figure = cell.figure(measured, (FIXED,))
    assert (figure.ours, figure.repeats) == (3.0, 3)
    assert figure.deviation == pytest.approx(1.1547, abs=1e-4)  # of 2, 4 and 2
    assert seconds(TIMING).figure(measured, (SOURCE,)) == Figure(ours=2.0, deviation=1.0, repeats=3)
    low, high = gains.of_figure(figure).interval
    # 3 times exp(t(0.975, 2) 1.1547 / 3 / sqrt(3)) = exp(0.9562)
    assert (low, high) == pytest.approx((1.1531, 7.805), abs=1e-3)


def test_views_leave_blank_what_was_not_measured(whole: Reproduced) -> None:
    page = FORMATS["markdown"](whole)
    assert "PGD, paper" in page
    assert "99.0 %" in page
    assert "clean, paper" not in page, "the paper states none"
    assert "## Rule\n\n- The gain is above 0.\n\n" in page
    assert f"**{whole.rows[2].verdict}**" in page
    assert "(99.0 %)" in FORMATS["table"](whole)
    document = json.loads(FORMATS["json"](whole))
    assert document["schema"] == "advtool.reproduce/1"
    assert document == json.loads(Reproduced.model_validate(document).model_dump_json(by_alias=True))
    assert document["rows"][0]["figures"]["clean"]["paper"] is None
    assert len(document["provenance"]["models"]) == 3


def test_the_figure_is_drawn_as_svg_and_png(whole: Reproduced, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    colour = torch.linspace(0, 1, 12).view(3, 2, 2).tolist()
    made = {
        "panels": [
            Panel(title="colour", kind="image", image=colour),
            Panel(title="grey", kind="image", image=colour[:1], share=False),
        ]
    }
    result = whole.model_copy(update=made)
    paths = [tmp_path / "toy.svg", tmp_path / "toy.png"]
    plots.save(reproduction_plot.figure(result), *paths)
    assert ElementTree.parse(paths[0]).getroot().tag.endswith("svg")
    assert paths[1].read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_the_smoke_of_figure_2_runs_by_the_real_command(advtool_command: Command) -> None:
    done = advtool_command("reproduce", "apb-fig2", "--scale", "smoke", "--run-dir", "run", "--format", "json")
    document = json.loads(done.stdout)
    folder = advtool_command.folder / "run"
    assert {path.name for path in folder.glob("apb-fig2.*")} == {f"apb-fig2.{s}" for s in ("md", "json", "svg", "png")}
    assert json.loads((folder / "apb-fig2.json").read_text()) == document
    assert document["provenance"]["command"].startswith("advtool reproduce apb-fig2")
    scenarios = {tuple(each["labels"][1:3]) for each in document["rows"]}
    assert scenarios == {("clean", ""), ("adv", "fixed"), ("both", "fixed")}
    for each in document["rows"]:
        assert {"clean", "FGSM on examples", "PGD-50", "SPSA", "worst case"} <= each["figures"].keys()
        assert all(figure["paper"] is None for figure in each["figures"].values()), "the paper has no digits"
        assert (each["verdict"] is None) == (each["labels"][3] == "classical")
    assert "step 1 of" in done.stderr


@pytest.fixture(scope="module")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("smoke")


LONG = {"pnil-fig4", "pnil-readings"}
EVERY_OTHER = [
    pytest.param(name, marks=[pytest.mark.slow] * (name in LONG)) for name in sorted(TABLES.keys() - {"apb-fig2"})
]


@pytest.mark.parametrize("name", EVERY_OTHER)
def test_every_other_table_is_filled_and_drawn_at_the_scale_smoke(name: str, shared_folder: Path) -> None:
    pytest.importorskip("matplotlib")
    table = find(name)
    result = reproduce(table, Scale.smoke, folder=shared_folder, datasets=("digits",))
    columns = {column.name for column in result.columns}
    for each in result.rows:
        assert len(each.labels) == len(result.label_columns)
        left_out = {CERTIFIED} if name == "apb-fig3a" else set()  # at large eps nobody asks for proofs
        assert columns - left_out <= each.figures.keys() <= columns
        assert all(figure.ours is not None for figure in each.figures.values())
    assert any(each.evidence for each in result.rows) == (name not in {"pnil-madry", "apb-search"})
    drawn = [axes for axes in reproduction_plot.figure(result).axes if axes.get_title()]
    assert [axes.get_title() for axes in drawn] == [panel.title for panel in result.panels]
    assert all(axes.has_data() for axes in drawn)
    assert table.printed_rule in FORMATS["markdown"](result).replace("\n- ", " ")


EXTEND = (Path(__file__).parents[2] / "docs" / "extend.md").read_text()
OWN_TABLE = EXTEND.partition("## A table of a paper")[2].partition("```python\n")[2].partition("```")[0]


def test_a_table_of_ones_own_is_named_by_its_file(tmp_path: Path, advtool_command: Command) -> None:
    file = advtool_command.folder / "mine.py"
    file.write_text(OWN_TABLE)
    done = advtool_command("reproduce", "mine.py:MINE", "--scale", "smoke", "--run-dir", "run", "--format", "json")
    document = json.loads(done.stdout)
    assert (document["title"], document["rows"][1]["labels"]) == ("mine", ["digits", "pgd"])
    assert document["rows"][1]["verdict"]
    assert {path.name for path in (advtool_command.folder / "run").glob("mine.*")} >= {"mine.md", "mine.json"}
    with pytest.raises(InputError, match="known: MINE"):
        find(f"{file}:MIME")
    with pytest.raises(InputError, match="absent"):
        find("absent.py:MINE")


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ('    return above("gain", row.evidence["gain"])', "the rule"),
        ('    plain, robust = line(dataset, "clean"), line(dataset, "pgd")', "the lines"),
    ],
)
def test_an_error_in_a_table_of_ones_own_is_named_in_one_line(line: str, part: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(OWN_TABLE.replace(line, "    raise KeyError('mnist')"))
    number = OWN_TABLE.splitlines().index(line) + 1
    table = find(f"{file}:MINE")
    with pytest.raises(InputError, match=f"{part} of '.*mine.py:MINE' failed") as refusal:
        table.rule(row(gain=CLEARLY)) if part == "the rule" else table.all_lines(Scale.smoke, ["digits"])
    assert f"mine.py, line {number}): KeyError: 'mnist'" in str(refusal.value)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["reproduce", "apb-fig22"], "did you mean 'apb-fig2'"),
        (["reproduce", "apb-fig2", "--dataset", "mnits"], "did you mean 'mnist'"),
        (["reproduce", "apb-fig2", "--scale", "huge"], "smoke"),
        (["reproduce", "pnil-time", "--run-dir", "/dev/null/run"], "--run-dir '/dev/null/run': cannot be made"),
        (["reproduce", "--list", "--run-dir", "/dev/null"], "--run-dir '/dev/null': is no folder"),
    ],
)
def test_what_is_unknown_is_refused_in_one_line(
    arguments: list[str],
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["advtool", *arguments])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    refusal = capsys.readouterr().err.splitlines()
    assert len(refusal) == 1
    assert expected in refusal[0]
    assert not list(tmp_path.iterdir())
