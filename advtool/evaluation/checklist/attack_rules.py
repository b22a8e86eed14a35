"""Rules about the attacks of a run: how strong, how many kinds, and what each of them did."""

from collections.abc import Iterator, Sequence
from math import prod

from advtool.attacks.art import ArtAttack
from advtool.attacks.base import Guide, TensorAttack
from advtool.attacks.doubling import Doubling
from advtool.attacks.registry import ART
from advtool.evaluation.checklist.item import Answer, done, idle, not_applicable, not_done
from advtool.evaluation.checklist.reading import Reading, all_did, base_name, class_of, did
from advtool.evaluation.diagnostics.families import guided_by, many_steps, single_step
from advtool.results import AttackResult, notation
from advtool.results.notation import counted

HARD_LABEL = frozenset({f"{ART}{name}" for name in ("BoundaryAttack", "GeoDA", "HopSkipJump", "SignOPTAttack")})
"""The attacks of ART that see nothing but the predicted class."""
FEW_QUERIES = "art:HopSkipJump(max_iter=10)"
"""A hard-label attack of some thousand queries an image; ART's default of 50 rounds asks ten times as many."""
FEW_IMAGES = 50
"""As many images as are attacked with it in a minute or so on a CPU, if the model is small."""
NOISE_SAMPLES = 10_000
"""How many random points for each image the paper asks for."""
EFFORT = ("steps", "restarts", "queries", "samples")
"""The parameters whose product tells how long an attack searches."""


def strongest(run: Reading) -> Answer:
    """Several losses or starts along the gradient, for many steps; FGSM alone never counts."""
    strong = run.attacks(many_steps)
    names = ", ".join(dict.fromkeys(map(base_name, strong)))
    if len(strong) < 2:
        found = f"only {names} takes many steps along the gradient" if strong else "no attack takes many steps"
        return not_done(found, run.commands.evaluate("audit"))
    worst_case = notation.percent(run.result.worst_case.accuracy)
    return done(f"{len(strong)} attacks of many steps ({names}); all attacks leave {worst_case}")


def described(run: Reading) -> Answer:
    """The result holds every parameter of every attack."""
    attacks = run.result.attacks
    count = sum(len(attack.parameters) for attack in attacks)
    return done(
        f"{counted(len(attacks), 'attack')} with {counted(count, 'parameter')}, in the JSON at attacks[].parameters"
    )


def diverse(run: Reading) -> Answer:
    """Attacks with different guides."""
    guides = dict.fromkeys(class_of(attack).guide for attack in run.result.attacks)
    kinds = "; ".join(guide.partition(":")[0] for guide in guides)
    if len(guides) < 2:
        return not_done(f"all attacks are guided by the same: {kinds}", run.commands.evaluate("audit"))
    return done(f"{counted(len(run.result.attacks), 'attack')}, guided by: {kinds}")


def gradient_free(run: Reading) -> Answer:
    """An attack on the scores, and whether it beats the gradient."""
    attacks = run.attacks(guided_by(Guide.scores))
    if not attacks:
        return not_done("no attack without gradients", run.commands.evaluate("audit"))
    return idle(attacks) or done(all_did(attacks), run.raised("gradient-free-beats-gradient"))


def hard_label(run: Reading) -> Answer:
    """An attack on the predicted class alone, which the audit has not."""
    attacks = [attack for attack in run.result.attacks if base_name(attack) in HARD_LABEL]
    if not attacks:
        command = run.commands.evaluate(FEW_QUERIES, images=FEW_IMAGES)
        return not_done("no attack on the predicted class alone", command)
    return done(all_did(attacks))


def transfer(run: Reading) -> Answer:
    """Examples of a surrogate."""
    attacks = run.attacks(guided_by(Guide.surrogate))
    if not attacks:
        command = run.commands.evaluate("transfer", surrogate=True)
        return not_done("no surrogate: name a similar model, at best the one without the defence", command)
    return done(all_did(attacks), run.raised("transfer-beats-white-box"))


def white_box_first(run: Reading) -> Answer:
    """Whether the attacks that know most break most, image by image."""
    white, black = run.attacks(many_steps), run.attacks(*map(guided_by, (Guide.scores, Guide.surrogate, Guide.nothing)))
    if not white or not black:
        missing = "a gradient attack of many steps" if not white else "an attack without the model's gradient"
        return not_done(f"nothing to compare: {missing} is missing", run.commands.evaluate("audit"))
    raised = run.raised(
        "gradient-free-beats-gradient", "transfer-beats-white-box", "noise-beats-gradient", "search-far-below-pgd"
    )
    verdict = "the gradient misleads" if raised else "no other attack clearly beats the gradient"
    return done(f"compared image by image, {verdict}: {did(white[0])}; {all_did(black)}", raised)


def iterative_first(run: Reading) -> Answer:
    """One step against many."""
    one, many = run.attacks(single_step), [attack for attack in run.attacks(many_steps) if attack.accuracy is not None]
    if not one or not many:
        missing = "attack of one step" if not one else "attack of many steps on every image"
        return not_done(f"no {missing} to compare", run.commands.evaluate("audit"))
    return done(f"{did(one[0])}; {did(many[0])}", run.raised("one-step-beats-many-step"))


def random_noise(run: Reading) -> Answer:
    """Random points of the ball, as many as the paper asks for."""
    attacks = run.attacks(guided_by(Guide.nothing))
    most = max((attack.parameters.get("samples", 0) for attack in attacks), default=0)
    raised = run.raised("noise-beats-gradient", "noise-breaks-it")
    if most < NOISE_SAMPLES:
        tried = (
            f"{all_did(attacks)}, with {most} points an image; the paper asks for 10,000"
            if attacks
            else "no random point was tried"
        )
        return Answer("not done", tried, raised, run.commands.evaluate(f"noise(samples={NOISE_SAMPLES})"))
    return done(f"{all_did(attacks)}, with {most} points an image", raised)


def both_aims(run: Reading) -> Answer:
    """Towards a class, and away from the true one."""
    towards, away = run.attacks(lambda attack: attack.goes_towards_classes), run.attacks(_is_untargeted)
    if not towards or not away:
        missing = "targeted" if not towards else "untargeted"
        return not_done(f"no {missing} attack", run.commands.evaluate("apgd-targeted"))
    return idle(towards) or done(f"{counted(len(away), 'untargeted attack')}; {all_did(towards)}")


def converged(run: Reading) -> Answer:
    """The same attack with twice the effort or more, and what that took."""
    raised, doubling = run.raised("not-converged"), run.attacks(_doubles)
    if nothing := idle(doubling):
        return nothing
    again = [f"{did(attack)}, in rounds of twice as many starts" for attack in doubling]
    again += [
        f"{did(longer)} (effort times {_effort(longer) / _effort(shorter):g})"
        for shorter, longer in _pairs(run.result.attacks)
    ]
    if not again:
        command = run.commands.evaluate(*(("pgd", "pgd(restarts=3)") if run.is_random else ("audit",)))
        return Answer("not done", "no attack ran again with twice its effort", raised, command)
    return done("; ".join(again), raised)


def hyperparameters(run: Reading) -> Answer:
    """A random start, and more than one."""
    attacks = run.attacks(lambda attack: attack.starts_at_random)
    if doubling := run.attacks(_doubles):
        return idle(doubling) or done(
            f"random starts in {counted(len(attacks), 'attack')}; with more and more of them {all_did(doubling)}"
        )
    most = max(attacks, key=lambda attack: attack.parameters.get("restarts", 1), default=None)
    if most is None or most.parameters.get("restarts", 1) < 2:
        what = "one random start for each attack" if attacks else "no attack starts at a random point"
        return not_done(what, run.commands.evaluate("pgd(restarts=3)" if run.is_random else "audit"))
    restarts = most.parameters["restarts"]
    return done(f"random starts in {counted(len(attacks), 'attack')}; with {restarts} of them {did(most)}")


def path_counts(run: Reading) -> Answer:
    """Our attacks return the best point on their way, so none can succeed and not say so."""
    own: list[AttackResult] = [attack for attack in run.result.attacks if class_of(attack) is not ArtAttack]
    if not own:
        return not_done("attacks of ART return one point, not the best on their way", run.commands.evaluate("audit"))
    fallen = run.result.clean.correct - run.result.worst_case.robust
    return done(f"the best point on the way counts, not the last: {fallen} of {run.result.clean.correct} images fell")


def verified(run: Reading) -> Answer:
    """What is found on a copy or on a surrogate counts only on the model itself."""
    fallen = run.result.clean.correct - run.result.worst_case.robust
    return done(f"each of the {fallen} examples that count fools the model itself, in float32 and inside the ball")


def straight_through(run: Reading) -> Answer:
    """BPDA with the identity, where the model rounds or clamps."""
    attacks = run.attacks(guided_by(Guide.straight_gradient))
    raised = run.raised("straight-through-beats-plain-gradient", "no-gradient", "zero-gradient")
    if attacks:
        return idle(attacks) or done(all_did(attacks), raised)
    if run.is_cascade and not raised:
        return not_applicable("the model neither rounds nor clamps: pgd-straight was left out")
    return Answer("not done", "no attack goes straight through rounding", raised, run.commands.evaluate("pgd-straight"))


def _doubles(attack: type[TensorAttack]) -> bool:
    return issubclass(attack, Doubling)


def _is_untargeted(attack: type[TensorAttack]) -> bool:
    return not attack.goes_towards_classes and attack.guide not in (Guide.unknown, Guide.nothing)


def _effort(attack: AttackResult) -> float:
    return prod(float(attack.parameters.get(name) or 1) for name in EFFORT)


def _pairs(attacks: Sequence[AttackResult]) -> Iterator[tuple[AttackResult, AttackResult]]:
    """Each attack that ran again with twice its effort or more: the last run with less, and the run with more.

    Both have the same name without parameters.
    """
    for place, longer in enumerate(attacks):
        before = reversed(attacks[:place])
        same = (each for each in before if base_name(each) == base_name(longer))
        shorter = next((each for each in same if 2 * _effort(each) <= _effort(longer)), None)
        if shorter is not None:
            yield shorter, longer
