"""Make the target of attacks from a user's model."""

from functools import cache, partial

from torch import Tensor, nn

from advtool import seeding
from advtool.compute.precision import Precision, resolve
from advtool.target.adapting import adapted
from advtool.target.facts import Autograd, Facts, Randomness
from advtool.target.handling import Handled
from advtool.target.memory_use import images_a_pass
from advtool.target.preflight import PREFLIGHT_IMAGES, preflight
from advtool.target.search_form import SearchForm, search_form
from advtool.target.state import State
from advtool.target.target import Target

DRAWS_OF_A_RANDOM_MODEL = 20
"""Draws that a gradient and a prediction of a random model average over, unless the user says otherwise."""


def open_target(
    handled: Handled,
    images: Tensor,
    *,
    known: Facts | None = None,
    eot: int | None = None,
    votes: int | None = None,
    precision: Precision = "auto",
    seed: int = 0,
) -> tuple[Target, Facts]:
    """Find out what the model is, and make the target that attacks ask.

    Args:
        handled: the model, on its device, in eval mode and frozen.
        images: the run's images, float32 (N, C, H, W) in [0, 1] on the model's device; the first 8 are used.
        known: the facts that an earlier call found. With them the model is not asked again, and its search form is
            made when an attack needs it; at once, though, for a model whose calls change it.
        eot: draws that a gradient averages over; None: 1, or 20 for a random model.
        votes: draws that a prediction averages over; None: 1, or 20 for a random model.
        precision: precision in which attacks search; "auto": bfloat16 where it is faster on the device. The verifier
            always computes in float32.
        seed: the run's seed.

    Returns:
        The target, and the facts.

    Raises:
        InputError: the model is broken, or it is not a classifier of such images.
    """
    if known is not None:
        return _target(handled, known, images, eot, votes), known
    with seeding.global_streams(images.device, seed, "probe"):
        wanted = resolve(precision, handled.model, images.device)
        facts = preflight(handled, images).model_copy(update={"search_precision": wanted})
        target = _target(handled, facts, images, eot, votes)
        form = target.search_form
        reached = form.precision if isinstance(form, SearchForm) else "float32"
    handled.state.restore()
    return target, facts.model_copy(update={"search_precision": reached})


def _target(handled: Handled, facts: Facts, images: Tensor, eot: int | None, votes: int | None) -> Target:
    model, few = adapted(handled, facts.needs), images[:PREFLIGHT_IMAGES]
    draws = 1 if facts.randomness is Randomness.none else DRAWS_OF_A_RANDOM_MODEL
    find_form = cache(partial(_form, model, few, facts))
    states = [handled.state]
    if facts.moving:  # made in the middle of a stream, the form would move on the model's own noise
        if find_form() is not model:
            states.append(State(find_form()))  # it is a copy, with a state of its own
        handled.state.restore()

    def begin(stream: int) -> None:
        for state in states:
            state.restore()
            state.seed(stream)

    return Target(
        model,
        find_form=find_form,
        input_shape=tuple(images.shape[1:]),
        classes=facts.classes,
        eot=draws if eot is None else eot,
        votes=draws if votes is None else votes,
        batch_size=images_a_pass(facts.bytes_an_image, images.device),
        randomness=facts.randomness,
        autograd=facts.autograd,
        device=images.device,
        begin=begin if facts.moving else None,
    )


def _form(model: nn.Module, few: Tensor, facts: Facts) -> nn.Module:
    if facts.autograd is not Autograd.grad or facts.needs.rewinding or facts.needs.with_gradients:
        return model
    return search_form(model, few, facts.search_precision)
