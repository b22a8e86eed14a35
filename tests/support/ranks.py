"""Trains on several ranks, in float64, without validation: ``python -m tests.support.ranks STORE RANK WORLD_SIZE OUT``.

The test of the law that the ranks hold calls :func:`trained` on one rank and starts two of these.
"""

import os
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from advtool import seeding
from advtool.checkpoints import Architecture
from advtool.models.bias import with_perturbation_bias
from advtool.models.noise import with_pnil
from advtool.models.registry import build
from advtool.ranks import ALONE, Ranks
from advtool.threat import ThreatModel
from advtool.training import recipe_for
from advtool.training.bounds import layers_of
from advtool.training.loop import Batch, Objective, train_on, updates_of
from advtool.training.sharing import shared

CPU = torch.device("cpu")
SIZES = (7, 8, 3, 1)
"""Of the batches: two ranks have parts of unequal size, and in the last one of them has no image."""

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "clean": ("clean", {}),
    "both": ("both", {}),
    "r+fgsm": ("r+fgsm", {}),
    "rfgsm": ("rfgsm", {}),
    "nfgsm": ("nfgsm", {}),
    "nfgsm --pnil --pnil-at conv2 --eot 2": ("nfgsm", {"pnil": True, "pnil_at": ("conv2",), "eot": 2}),
    "pgd": ("pgd", {"pgd_steps": 3}),
    "apb": ("apb", {"scenario": "adv"}),
    "apb --bias multimodal": ("apb", {"scenario": "both", "bias": "multimodal"}),
    "ibp": ("ibp", {"warm_up": 0.1, "ramp": 0.2}),
}


def model_of(case: str) -> nn.Module:
    recipe = recipe_for("mnist", CASES[case][0], arch="cnn", **CASES[case][1])
    with seeding.global_streams(CPU, 0, "model"):
        model = build(Architecture(name="cnn", input_shape=(1, 8, 8), classes=3))
        if recipe.bias != "plain":
            model = with_perturbation_bias(model, bias=recipe.bias, memories=4)
        if recipe.pnil:
            model = with_pnil(model, (1, 8, 8), at=recipe.pnil_at)
    return model


def trained(case: str, ranks: Ranks = ALONE) -> dict[str, Tensor]:
    """The weights after two epochs."""
    model = model_of(case)
    recipe = recipe_for("mnist", CASES[case][0], arch="cnn", epochs=2, batch_size=8, **CASES[case][1])
    draws = torch.Generator().manual_seed(4)
    batches = [
        Batch(torch.rand(size, 1, 8, 8, dtype=torch.float64, generator=draws), torch.arange(size) % 3) for size in SIZES
    ]
    layers = layers_of(model, recipe, batches[0].x[:1].float()) if recipe.by_bounds else None  # it reads float32
    objective = shared(Objective(model.double().train(), recipe, ThreatModel(eps=0.1), layers), ranks)
    updates = updates_of(model, recipe, 8 * len(SIZES))
    for epoch in (1, 2):
        with seeding.global_streams(CPU, 0, "epoch", epoch):
            for _ in train_on(batches, objective, updates, generator=seeding.generator(CPU, 0, "train", epoch)):
                pass
    return model.state_dict()


def main(store: str, rank: str, world_size: str, out: str) -> None:
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    ranks = Ranks(rank=int(rank), world_size=int(world_size))
    together = torch.distributed.FileStore(store, ranks.world_size)
    torch.distributed.init_process_group("gloo", store=together, rank=ranks.rank, world_size=ranks.world_size)
    for case in CASES:
        save_file(trained(case, ranks), Path(out) / f"{case}.{rank}")
    # A rank that leaves early closes connections that the other may still read. Gloo's own barrier is no help: it may
    # fail in the rank that leaves last. The weights are written, so nothing is torn down.
    together.set(f"done {rank}", "")
    together.wait([f"done {each}" for each in range(ranks.world_size)])
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
