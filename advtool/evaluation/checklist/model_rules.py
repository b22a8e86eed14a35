"""Rules about the model and about what the figures say: gradients, randomness, proofs, planted examples, budgets."""

from advtool.attacks.base import Guide
from advtool.evaluation.checklist.item import Answer, done, idle, not_applicable, not_done
from advtool.evaluation.checklist.reading import Reading, all_did, class_of
from advtool.evaluation.diagnostics.accuracies import GREY_EPS
from advtool.evaluation.diagnostics.families import guided_by, plain_pgd
from advtool.evaluation.diagnostics.setup import MASKING_MIN_BLIND
from advtool.results import EpsPoint, notation
from advtool.results.notation import counted


def threat_model(run: Reading) -> Answer:
    """What the attacker may do, knows and wants."""
    model = run.result.threat_model
    low, high = model.clip
    unknown = ", but not the noise that is drawn for a prediction" if run.is_random else ""
    return done(
        f"{model.norm} of at most {notation.eps(model.eps)}, pixels in [{low:g}, {high:g}]; any wrong class; the "
        f"attacker knows the model and its weights{unknown}. Whether this eps is the right one is yours to argue"
    )


def clean(run: Reading) -> Answer:
    """The accuracy without an attack."""
    accuracy = run.result.clean
    interval = notation.percent_interval(accuracy.interval)
    return done(
        f"{notation.percent(accuracy.accuracy)} of {accuracy.total} images (95 % interval {interval})",
        run.raised("low-clean-accuracy", "narrow-images", "no-answer"),
    )


def adaptive(run: Reading) -> Answer:
    """What stands in for an attack made for the defence, and that it is not one."""
    guides = {class_of(attack).guide for attack in run.result.attacks} - {Guide.nothing, Guide.unknown}
    planted = run.result.planted
    found = "" if planted is None else f", {planted.found} of {planted.total} planted examples found"
    return Answer(
        "left to you",
        f"no tool makes an attack for your defence. Done here: attacks on the whole model end to end, "
        f"{counted(len(guides), 'kind')} of guide{found}. Write one in 15 lines, or run one of ART's",
        run.raised("planted-missed", "gradient-in-forward"),
    )


def released(run: Reading) -> Answer:
    """The result names the model that others need."""
    name = run.result.model.get("spec") or "your model"
    fingerprint = str(run.result.model.get("fingerprint", "unknown"))[:12]
    return Answer("left to you", f"publish the code and the weights of {name} (fingerprint {fingerprint})")


def per_example(run: Reading) -> Answer:
    """The worst case image by image, beside the lowest accuracy."""
    worst_case, lowest = run.result.worst_case, run.result.effective_robustness
    beside = "" if lowest is None else f"; the lowest accuracy of one attack is {notation.percent(lowest.accuracy)}"
    return done(f"worst case {notation.percent(worst_case.accuracy)}, image by image{beside}")


def rises_with_eps(run: Reading) -> Answer:
    """PGD at several eps: a larger one must not leave more."""
    if run.diagnosed is None:
        return not_done("one eps alone", run.commands.sweep_eps())
    points = ", ".join(f"{notation.percent(point.accuracy)} at eps {notation.eps(point.eps)}" for point in _by_eps(run))
    return done(f"PGD leaves {points} ({run.diagnosed.images} images)", run.raised("accuracy-rises-with-eps"))


def unbounded(run: Reading) -> Answer:
    """PGD where every image can become the same grey."""
    known = {point.eps: point.accuracy for point in _by_eps(run)}
    for attack in run.attacks(plain_pgd):
        if attack.accuracy is not None:
            known[run.result.threat_model.eps] = attack.accuracy
    grey = min((eps for eps in known if eps >= GREY_EPS), default=None)
    raised = run.raised("survives-half-the-range")
    if grey is not None:
        left, eps = notation.percent(known[grey]), notation.eps(grey)
        return done(f"PGD leaves {left} at eps {eps}, where images of one class alone can survive", raised)
    return Answer("not done", f"no attack at eps {GREY_EPS:g} or more", raised, run.commands.sweep_eps())


def curve(run: Reading) -> Answer:
    """A run has one eps; a curve is a sweep."""
    known = "" if run.diagnosed is None else f"; the diagnostics know {len(_by_eps(run))} points"
    return not_done(f"a run has one eps{known}", run.commands.sweep_eps())


def planted(run: Reading) -> Answer:
    """Models that are broken on purpose, each attacked by the run's own attacks."""
    planted = run.result.planted
    if planted is not None:
        return done(
            f"of {planted.total} examples planted into copies of this model the attacks found {planted.found}",
            run.raised("planted-missed"),
        )
    refused = run.finding("not-plantable")
    if refused is not None:
        return not_applicable(refused.message)
    return not_done("nothing was planted", run.commands.evaluate("audit", insist=("planted",)))


def provable(run: Reading) -> Answer:
    """What is proved, whatever the attack."""
    certified = run.result.certified
    if certified is not None:
        share, undecided = notation.percent(certified.accuracy), run.result.undecided
        return done(f"{share} are proved robust by {certified.method}; {undecided} images are undecided")
    refused = run.finding("not-certifiable")
    if refused is not None:
        return not_applicable(refused.message)
    if run.is_random:
        return not_applicable("a bound for one draw says nothing of a random model's votes")
    return not_done("no bounds were asked for", run.commands.evaluate("audit", insist=("certify",)))


def gradients(run: Reading) -> Answer:
    """Whether there is a gradient at all."""
    raised = run.raised("no-gradient", "zero-gradient", "undefined-gradient", "ends-ignored")
    diagnostics = run.result.diagnostics
    if diagnostics is not None:
        return done(
            f"of {diagnostics.images} images {notation.percent(diagnostics.blind)} have no gradient of the margin, "
            f"{notation.percent(diagnostics.vanishing)} none of the cross entropy",
            raised,
        )
    if raised:
        return done("the gradient misleads or is missing", raised)
    return done(f"fewer than {notation.percent(MASKING_MIN_BLIND)} of the images lack a gradient of the margin")


def smooth_loss(run: Reading) -> Answer:
    """Whether noise in the model or on the image changes what the gradient says."""
    raised = run.raised("smoothing-beats-plain-gradient", "random-model", "batch-dependent")
    attacks = run.attacks(guided_by(Guide.smoothed_gradient))
    if not attacks:
        calls = "identical calls differ" if run.is_random else "identical calls agree"
        words = f"{calls}; no gradient was averaged over noised images"
        return Answer("not done", words, raised, run.commands.evaluate("audit"))
    return idle(attacks) or done(all_did(attacks), raised)


def ensembled(run: Reading) -> Answer:
    """Gradients and predictions of a random model are means over draws."""
    if not run.is_random:
        return not_applicable("the model is deterministic: identical calls agree")
    draws = f"{run.result.eot} draws a gradient, {run.result.votes} votes a prediction"
    if raised := run.raised("too-few-draws"):
        return Answer("not done", draws, raised, run.commands.evaluate("audit"))
    return done(draws, run.raised("noise-once-a-call"))


def fixed_noise(run: Reading) -> Answer:
    """The accuracy of a random model against an attacker who knows its noise."""
    if not run.is_random:
        return not_applicable("the model is deterministic: identical calls agree")
    known = run.result.known_noise
    if known is None:
        return not_done("nothing was attacked with its noise fixed", run.commands.evaluate("audit"))
    return done(f"{notation.percent(known.accuracy)} are left with the noise fixed to {known.fields} fields")


def deterministic(run: Reading) -> Answer:
    """The second restriction of RobustBench."""
    raised = run.raised("random-model", "batch-dependent")
    return done("outside the restriction" if raised else "identical calls agree", raised)


def no_loop(run: Reading) -> Answer:
    """The third restriction of RobustBench, as far as autograd tells."""
    raised = run.raised("gradient-in-forward")
    if raised:
        return done("outside the restriction: the forward pass computes gradients", raised)
    return done("the forward pass computes no gradient; a loop that takes none cannot be seen")


def _by_eps(run: Reading) -> list[EpsPoint]:
    return [] if run.diagnosed is None else run.diagnosed.by_eps
