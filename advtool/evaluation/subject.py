"""The model on the table: checked, probed, frozen for the run, and put back as it was afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from advtool import seeding
from advtool.attacks.affine_start import affine_start
from advtool.attacks.estimator import EOTClassifier, Randomness, frozen
from advtool.attacks.search_form import search_form
from advtool.evaluation import batching, inputs, probe
from advtool.memory import freed_memory_kept
from advtool.precision import Precision, resolve

DRAWS_OF_A_RANDOM_MODEL = 20


@contextmanager
def subject(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    eot: int | None,
    votes: int | None,
    seed: int,
    device: torch.device,
    precision: Precision = "auto",
) -> Iterator[EOTClassifier]:
    """The model as an estimator, on ``device`` and in eval mode, with as many draws as its randomness asks for.

    Args:
        model: the user's, left as it was.
        x: images, float32 (N, C, H, W) in [0, 1].
        y: labels, int64 (N,).
        eot: draws of a gradient; None takes 1, or 20 for a random model.
        votes: draws of a prediction; the same.
        seed: of the run.
        device: where to compute.
        precision: of the search; auto is bfloat16 where the device gains from it. The verifier's is float32.

    Raises:
        InputError: the model is broken or does not fit images and labels.
    """
    inputs.check_weights(model)
    home = home_of(model)
    few = x[:8].to(device)
    try:
        with frozen(model.to(device)), exact_arithmetic(device), freed_memory_kept():
            with seeding.global_streams(device, seed, "probe"):
                classes = inputs.count_classes(model, few, y)
                randomness = probe.randomness(model, few)
                images_a_pass = batching.images_a_pass(model, few[:1])
                form = search_form(model, few, resolve(precision, model, device))
            draws = 1 if randomness is Randomness.none else DRAWS_OF_A_RANDOM_MODEL
            yield EOTClassifier(
                model,
                search_form=form,
                find_start=partial(affine_start, model, form, few),
                input_shape=tuple(x.shape[1:]),
                classes=classes,
                eot=draws if eot is None else eot,
                votes=draws if votes is None else votes,
                batch_size=images_a_pass,
                randomness=randomness,
                device=device,
            )
    finally:
        model.to(home)


@contextmanager
def exact_arithmetic(device: torch.device) -> Iterator[None]:
    """float32 that is float32 and repeatable, whatever the caller has set.

    Autocast, TF32 and bfloat16 products of float32 matrices are off, and so is cuDNN's algorithm of the moment.
    """
    products = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with (
            torch.autocast(device.type, enabled=False),
            torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False),
        ):
            yield
    finally:
        torch.set_float32_matmul_precision(products)


def home_of(model: nn.Module) -> torch.device:
    """Where the model's first tensor lies; the CPU if it has none."""
    return next((tensor.device for tensor in model.state_dict().values()), torch.device("cpu"))
