"""Each finding fires at its threshold and is silent just below, on outcomes made by hand."""

import math
from typing import Any

import pytest

from advtool.attacks.art import ArtAttack
from advtool.attacks.registry import ATTACKS
from advtool.evaluation.diagnostics import findings
from advtool.evaluation.diagnostics.contests import CONTESTS
from advtool.evaluation.diagnostics.evidence import Evidence
from advtool.results import Finding, Planted
from advtool.target.facts import Autograd, Facts, Needs, Randomness
from advtool.target.inspection import Inspection

HONEST = Inspection(ends_ignored=False, saturated=0.25, vanishing=0.125, blind=0.0, undefined=0.0)
PLAIN = Facts(
    classes=10,
    randomness=Randomness.none,
    autograd=Autograd.grad,
    no_gradient_because=None,
    needs=Needs(),
    moving=[],
    bytes_an_image=1000,
    train_mode=False,
    batch_dependent=False,
    probabilities=False,
    differentiates=False,
)
N = 2000
FALLEN_AT_LIMIT = 14
"""Of 200 images 80 stand. If so many fall, the interval of the drop just begins at 3 points."""


def first(count: int, of: int = N) -> list[bool]:
    """The first ``count`` images are right."""
    return [place < count for place in range(of)]


def evidence(n: int = N, **changes: Any) -> Evidence:
    """What an honest model shows on n images: 40 % are robust under every attack."""
    left = first(n * 2 // 5, n)
    usual: dict[str, Any] = {
        "clean": first(n * 9 // 10, n),
        "robust": {"fgsm": left, "pgd": left},
        "on_examples": {"fgsm": left},
        "by_eps": {},
        "most_of_a_class": n // 10,
        "worst_case": left,
        "unanswered": 0,
        "taken_late": first(0, n),
        "in_cascade": True,
        "not_certifiable": None,
        "planted": None,
        "unplantable": (),
        "facts": PLAIN,
        "inspection": HONEST,
        "eot": 1,
        "votes": 1,
        "pixel_range": (0.0, 1.0),
    }
    names = changes.pop("names", {"fgsm": "fgsm", "pgd": "pgd"})
    return Evidence(attacks={label: ATTACKS[name] for label, name in names.items()}, **(usual | changes))


def contest(name: str, pgd: list[bool], rival: list[bool]) -> Evidence:
    label = f"{name}(steps=7)"
    usual = evidence(len(pgd))
    robust = {"pgd": pgd, "fgsm": pgd, "noise": usual.clean} | {label: rival}
    names = {"pgd": "pgd", "fgsm": "fgsm", "noise": "noise"} | {label: name}
    if name in robust:
        del robust[name], names[name]
    return evidence(len(pgd), robust=robust, names=names, worst_case=pgd, on_examples={})


def judged(given: Evidence) -> list[Finding]:
    """The findings, without the one that noise breaks images."""
    return [finding for finding in findings(given) if finding.code != "noise-breaks-it"]


def only(found: list[Finding], code: str) -> Finding:
    assert [finding.code for finding in found] == [code]
    return found[0]


def lower_end(drop: int, n: int, before: int) -> float:
    """The lower end of Newcombe's interval where ``before`` of n stand, and then ``drop`` of these fall."""
    z = 1.959963984540054

    def wilson(count: int) -> tuple[float, float]:
        p = count / n
        centre = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return centre - half, centre + half

    after = before - drop
    both, product = after, after * (n - before)
    p, q = before / n, after / n
    phi = max(product - n / 2, 0) / math.sqrt(before * (n - before) * after * (n - after)) if both else 0.0
    below, above = p - wilson(before)[0], wilson(after)[1] - q
    return drop / n - math.sqrt(below**2 - 2 * phi * below * above + above**2)


def test_an_honest_model_gives_no_finding() -> None:
    assert findings(evidence()) == []


@pytest.mark.parametrize(("taken", "told"), [(N // 100 - 1, False), (-(-N // 100), True), (N // 4, True)])
def test_a_last_doubling_that_takes_a_point_has_not_converged(taken: int, *, told: bool) -> None:
    found = findings(evidence(taken_late=first(taken)))
    assert [finding.code for finding in found] == ["not-converged"] * told
    if told:
        assert found[0].kind == "strength"
        assert (found[0].model_extra or {})["taken"] == taken
    nothing_stands = evidence(taken_late=first(taken), worst_case=first(0), robust={}, names={}, on_examples={})
    assert findings(nothing_stands) == []


CONTESTANTS = [
    (contest.code, name) for contest in CONTESTS for name, attack in ATTACKS.items() if contest.rivals(attack)
]


def test_every_family_of_attacks_has_a_contest() -> None:
    assert {name for _, name in CONTESTANTS} == {
        "square", "spsa", "pgd-margin", "pgd-temperature", "pgd-smooth", "pgd-straight", "fgsm", "noise", "transfer",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("code", "beaten"),
    [
        (
            "gradient-free-beats-gradient",
            {"pgd", "pgd-temperature", "pgd-margin", "apgd", "apgd-targeted", "doubling", "nearest"},
        ),
        (
            "transfer-beats-white-box",
            {"pgd", "pgd-temperature", "pgd-margin", "apgd", "apgd-targeted", "doubling", "nearest"},
        ),
        ("smoothing-beats-plain-gradient", {"pgd", "pgd-temperature"}),
        ("straight-through-beats-plain-gradient", {"pgd", "pgd-temperature"}),
        ("margin-beats-cross-entropy", {"pgd"}),
        ("temperature-beats-cross-entropy", {"pgd"}),
        ("one-step-beats-many-step", {"pgd"}),
        ("noise-beats-gradient", {"pgd"}),
    ],
)
def test_a_code_is_won_against_attacks_that_differ_in_what_it_names(code: str, beaten: set[str]) -> None:
    (contest,) = (contest for contest in CONTESTS if contest.code == code)
    assert {name for name, attack in ATTACKS.items() if contest.baselines(attack)} == beaten
    assert not contest.baselines(ArtAttack)
    assert not contest.rivals(ArtAttack)


@pytest.mark.parametrize(("code", "name"), CONTESTANTS)
def test_a_rival_of_pgd_masks_from_a_drop_of_5_points(code: str, name: str) -> None:
    finding = only(judged(contest(name, first(800), first(700))), code)
    assert (finding.kind, finding.drop, finding.images) == ("masking", 0.05, N)
    assert finding.interval == pytest.approx([lower_end(100, N, 800), 0.06], abs=0.002)
    assert (finding.saturated, finding.vanishing) == (0.25, 0.125)
    for words in ("40.0 % under pgd", f"35.0 % under {name}(steps=7)", "25.0 % of softmax outputs", "12.5 % of input"):
        assert words in finding.message
    note = only(judged(contest(name, first(800), first(701))), code)
    assert (note.kind, note.drop) == ("strength", 0.0495)
    assert "less than a trick" in note.message


@pytest.mark.parametrize(("code", "name"), CONTESTANTS)
def test_the_lower_end_of_the_interval_must_reach_3_points(code: str, name: str) -> None:
    """13 of 200 images are 6.5 points, but their interval begins just below 3 points."""
    assert only(judged(contest(name, first(80, 200), first(80 - FALLEN_AT_LIMIT, 200))), code).kind == "masking"
    assert only(judged(contest(name, first(80, 200), first(81 - FALLEN_AT_LIMIT, 200))), code).kind == "strength"


def test_the_same_drop_of_scattered_images_is_no_masking() -> None:
    """100 images fewer stand, but 500 fall to the rival alone and 400 to PGD alone: the pairs decide."""
    rival = [place < 300 or 800 <= place < 1200 for place in range(N)]
    assert sum(rival) == 700
    note = only(findings(contest("square", first(800), rival)), "gradient-free-beats-gradient")
    assert (note.kind, note.drop) == ("strength", 0.05)
    assert 0 < note.interval[0] < 0.03
    assert "less than a trick" not in note.message
    assert f"may be as small as {100 * note.interval[0]:.1f} points" in note.message


def test_the_baseline_that_was_beaten_is_named() -> None:
    """The strongest attack along the gradient, not PGD as such."""
    robust = {"pgd": first(900), "pgd-margin": first(800), "square": first(600), "transfer": first(600)}
    found = findings(evidence(robust=robust, names={name: name for name in robust}, in_cascade=False))
    told = {finding.code: finding.message for finding in found}
    for code in ("gradient-free-beats-gradient", "transfer-beats-white-box"):
        assert "more images than pgd-margin, the strongest" in told[code]


def test_a_drop_that_chance_explains_is_not_even_a_note() -> None:
    assert findings(contest("square", first(80, 200), first(79, 200))) == []
    assert findings(contest("square", first(800), first(800))) == []


def test_a_weaker_rival_is_no_finding() -> None:
    assert findings(contest("square", first(600), first(900))) == []


def test_the_strongest_attack_of_a_kind_counts() -> None:
    names = {"pgd": "pgd", "pgd(steps=1)": "pgd", "square": "square", "spsa": "spsa"}
    weak = {"pgd": first(700), "pgd(steps=1)": first(900), "square": first(800), "spsa": first(690)}
    assert findings(evidence(robust=weak, names=names, in_cascade=False))[0].kind == "strength"
    strong = weak | {"spsa": first(600)}
    found = findings(evidence(robust=strong, names=names, in_cascade=False))
    assert only(found, "gradient-free-beats-gradient").kind == "masking"
    assert "under spsa" in found[0].message


SCALE = {"pgd-margin": 400, "pgd-temperature": 400, "pgd-smooth": 400, "pgd-straight": 400, "square": 400}
ROBUST = {"pgd-margin": 720, "pgd-temperature": 790, "pgd-smooth": 780, "pgd-straight": 790, "square": 680}


@pytest.mark.parametrize(
    ("left", "codes"),
    [
        (SCALE, {"margin-beats-cross-entropy", "temperature-beats-cross-entropy"}),
        (SCALE | {"pgd-temperature": 800}, {"margin-beats-cross-entropy", *(SMOOTH := {
            "smoothing-beats-plain-gradient", "straight-through-beats-plain-gradient"})}),
        (SCALE | {"pgd-temperature": 800, "pgd-margin": 800}, {"gradient-free-beats-gradient", *SMOOTH}),
        (ROBUST, set()),
    ],
)  # fmt: skip
def test_a_code_names_what_made_the_difference(left: dict[str, int], codes: set[str]) -> None:
    """Large logits are no rough loss. A search on the margin must beat PGD on the margin."""
    counts = {"pgd": 800, **left}
    robust = {name: first(count) for name, count in counts.items()}
    found = findings(evidence(robust=robust, names={name: name for name in counts}, in_cascade=False))
    assert {finding.code for finding in found if finding.kind == "masking"} == codes


@pytest.mark.parametrize(("saturated", "vanishing", "kind"), [
    (0.0, 0.0, "strength"), (0.05, 0.05, "strength"), (0.07, 0.0, "masking"), (0.0, 0.07, "masking"),
])  # fmt: skip
@pytest.mark.parametrize("rival", ["pgd-margin", "pgd-temperature"])
def test_a_better_loss_is_no_mask_where_no_gradient_is_lost(
    rival: str, saturated: float, vanishing: float, kind: str
) -> None:
    """Raghunathan et al.'s certified net loses 5 points more to the margin, with no softmax output near 1."""
    inspection = HONEST.model_copy(update={"saturated": saturated, "vanishing": vanishing})
    robust = {"pgd": first(800), rival: first(650)}
    (found,) = findings(
        evidence(robust=robust, names={name: name for name in robust}, in_cascade=False, inspection=inspection)
    )
    assert (found.code.split("-")[0], found.kind) == (rival.split("-")[1], kind)
    assert ("not because a gradient is lost" in found.message) == (kind == "strength")


def test_without_pgd_there_is_nothing_to_beat() -> None:
    alone = evidence(robust={"square": first(10)}, names={"square": "square"}, on_examples={}, in_cascade=False)
    assert findings(alone) == []


@pytest.mark.parametrize(("more", "fires"), [(100, True), (99, False), (0, False), (-300, False)])
def test_examples_that_are_easier_than_images_leak_the_label(more: int, fires: bool) -> None:
    found = findings(evidence(clean=first(1600), on_examples={"fgsm": first(1600 + more)}))
    assert [finding.code for finding in found] == ["label-leaking"] * fires
    if fires:
        assert found[0].kind == "masking"
        assert "85.0 %" in found[0].message
        assert "80.0 %" in found[0].message


@pytest.mark.parametrize(("broken", "fires"), [(100, True), (99, False)])
def test_noise_that_breaks_images_needs_no_adversary(broken: int, fires: bool) -> None:
    usual = evidence()
    robust = {**usual.robust, "noise": first(1800 - broken)}
    found = findings(evidence(robust=robust, names={"fgsm": "fgsm", "pgd": "pgd", "noise": "noise"}))
    assert [(finding.code, finding.kind) for finding in found] == [("noise-breaks-it", "setup")] * fires


@pytest.mark.parametrize(
    ("lost", "code"),
    [
        (200, "search-far-below-pgd"),
        (199, "worst-case-below-pgd"),
        (20, "worst-case-below-pgd"),
        (19, None),
        (0, None),
    ],
)
def test_a_worst_case_far_below_pgd_masks_and_a_lower_one_is_to_be_quoted(lost: int, code: str | None) -> None:
    found = findings(evidence(worst_case=first(800 - lost)))
    assert [finding.code for finding in found] == ([] if code is None else [code])
    if code is not None:
        assert found[0].kind == ("masking" if code.startswith("search") else "strength")
        assert found[0].drop == lost / N


def test_outside_a_cascade_the_worst_case_is_no_search_of_its_own() -> None:
    assert findings(evidence(worst_case=first(400), in_cascade=False)) == []


@pytest.mark.parametrize(("more", "fires"), [(100, True), (99, False), (0, False), (-500, False)])
def test_accuracy_must_not_rise_with_eps(more: int, fires: bool) -> None:
    found = findings(evidence(by_eps={0.2: first(800 + more), 0.05: first(1500), 0.1: first(800)}))
    assert [finding.code for finding in found] == ["accuracy-rises-with-eps"] * fires
    if fires:
        assert found[0].kind == "masking"
        assert "40.0 % at eps 0.1 and 45.0 % at 0.2" in found[0].message


@pytest.mark.parametrize(("left", "fires"), [(300, True), (299, False), (200, False), (0, False)])
def test_at_half_the_range_one_class_may_survive_and_5_points_more_may_not(left: int, fires: bool) -> None:
    """The grey image lies in every ball. Whatever its class is, images of other classes cannot survive."""
    found = findings(evidence(by_eps={0.5: first(left), 0.1: first(800)}, most_of_a_class=200))
    assert [finding.code for finding in found] == ["survives-half-the-range"] * fires
    if fires:
        assert (found[0].kind, found[0].accuracy, found[0].possible) == ("masking", 0.15, 0.1)


def test_the_smallest_eps_of_half_the_range_or_more_is_judged() -> None:
    """Where PGD gets stuck there, a larger ball need not keep it stuck."""
    stuck, free = {0.5: first(300), 1.0: first(200)}, {0.5: first(200), 1.0: first(200)}
    assert only(findings(evidence(by_eps=stuck)), "survives-half-the-range").accuracy == 0.15
    assert findings(evidence(by_eps=free)) == []


def test_with_two_classes_half_of_the_images_may_survive_half_the_range() -> None:
    half = {"clean": first(N), "most_of_a_class": N // 2}
    assert findings(evidence(by_eps={0.5: first(1000)}, **half)) == []
    assert findings(evidence(by_eps={0.5: first(1200)}, **half))[0].code == "survives-half-the-range"


@pytest.mark.parametrize(
    ("fact", "code"),
    [
        ({"train_mode": True}, "train-mode"),
        ({"batch_dependent": True}, "batch-dependent"),
        ({"probabilities": True}, "probabilities"),
        ({"differentiates": True}, "gradient-in-forward"),
        ({"moving": ["seen"]}, "keeps-state"),
    ],
)
def test_a_fact_is_told(fact: dict[str, Any], code: str) -> None:
    assert only(findings(evidence(facts=PLAIN.model_copy(update=fact))), code).kind == "setup"


def test_ends_without_gradient_are_told() -> None:
    found = findings(evidence(inspection=HONEST.model_copy(update={"ends_ignored": True})))
    assert only(found, "ends-ignored").kind == "setup"


@pytest.mark.parametrize(
    ("facts", "inspection", "code", "kind"),
    [
        ({"autograd": Autograd.none, "no_gradient_because": "cut"}, {"blind": 1.0}, "no-gradient", "masking"),
        ({}, {"blind": 0.9}, "zero-gradient", "masking"),
        ({}, {"blind": 1.0, "undefined": 1.0}, "undefined-gradient", "masking"),
        ({}, {"undefined": 0.5}, "undefined-gradient", "masking"),
        ({}, {"undefined": 0.499}, "undefined-gradient", "strength"),
        ({}, {"undefined": 0.01}, "undefined-gradient", "strength"),
    ],
)
def test_a_lost_gradient_is_told(facts: dict[str, Any], inspection: dict[str, Any], code: str, kind: str) -> None:
    given = evidence(facts=PLAIN.model_copy(update=facts), inspection=HONEST.model_copy(update=inspection))
    assert only(findings(given), code).kind == kind


def test_counts_of_zero_gradients_and_saturated_outputs_are_no_warning_by_themselves() -> None:
    few = HONEST.model_copy(update={"saturated": 1.0, "vanishing": 1.0, "blind": 0.899, "undefined": 0.009})
    assert findings(evidence(inspection=few)) == []


@pytest.mark.parametrize(("found", "total", "fires"), [(94, 100, True), (95, 100, False), (47, 50, True), (0, 1, True)])
def test_a_planted_example_in_twenty_may_be_missed(found: int, total: int, fires: bool) -> None:
    planted = Planted(found=found, total=total, attack="pgd", found_by={"pgd": found}, seconds=0.0)
    told = findings(evidence(planted=planted))
    assert [(finding.code, finding.kind) for finding in told] == [("planted-missed", "masking")] * fires


@pytest.mark.parametrize(
    ("randomness", "eot", "votes", "codes"),
    [
        (Randomness.none, 1, 1, []),
        (Randomness.each_image, 20, 20, ["random-model"]),
        (Randomness.each_image, 1, 20, ["random-model", "too-few-draws"]),
        (Randomness.each_image, 20, 1, ["random-model", "too-few-draws"]),
        (Randomness.each_call, 20, 20, ["random-model", "noise-once-a-call"]),
    ],
)
def test_randomness_is_told(randomness: Randomness, eot: int, votes: int, codes: list[str]) -> None:
    found = findings(evidence(facts=PLAIN.model_copy(update={"randomness": randomness}), eot=eot, votes=votes))
    assert [finding.code for finding in found] == codes


@pytest.mark.parametrize(
    ("span", "fires"), [((0.0, 1.0), False), ((0.0, 0.5), False), ((0.0, 0.499), True), ((0.3, 0.7), True)]
)
def test_images_in_a_narrow_range_are_told(span: tuple[float, float], fires: bool) -> None:
    assert [finding.code for finding in findings(evidence(pixel_range=span))] == ["narrow-images"] * fires


@pytest.mark.parametrize(
    ("classes", "right", "fires"),
    [
        (10, 0.199, True),
        (10, 0.2, False),
        (2, 0.599, True),
        (2, 0.6, False),
        (3, 0.43, True),
        (3, 0.44, False),
        (1000, 0.0019, True),
        (1000, 0.002, False),
    ],
)
def test_an_accuracy_near_that_of_guessing_is_told(classes: int, right: float, fires: bool) -> None:
    few, facts = first(0, 10_000), PLAIN.model_copy(update={"classes": classes})
    found = findings(
        evidence(10_000, clean=first(round(right * 10_000), 10_000), facts=facts,
                 robust={"pgd": few}, names={"pgd": "pgd"}, worst_case=few, on_examples={})
    )  # fmt: skip
    assert [finding.code for finding in found] == ["low-clean-accuracy"] * fires


def test_masking_comes_first_and_setup_last() -> None:
    usual = contest("square", first(800), first(600))
    mixed = Evidence(**{**vars(usual), "pixel_range": (0.2, 0.3), "worst_case": first(780)})
    assert [finding.kind for finding in findings(mixed)] == ["masking", "strength", "setup"]
