"""Ten networks of other research groups open as FILE.py:NAME with their weights."""

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from advtool.target.opening.opener import open_model
from advtool.target.opening.spec import ModelSpec
from tests.support.opened import answer

NETS = Path(os.environ.get("ADVTOOL_NETS") or Path(__file__).parents[3] / "shared" / "nets")
NAMES = (
    "kw_mnist",
    "kw_fashion_mnist",
    "fast_mnist_fgsm",
    "colt_mnist",
    "sdp_mnist_mlp",
    "pgd_mnist_lenet",
    "resnet2b_cifar",
    "mnistfc_2",
    "mnistfc_4",
    "mnistfc_6",
)


@pytest.mark.skipif(not (NETS / "nets.py").is_file(), reason="the networks are absent (ADVTOOL_NETS)")
@pytest.mark.parametrize("name", NAMES)
def test_a_net_gets_all_of_its_weights(name: str) -> None:
    weights = NETS / f"{name}.safetensors"
    opened = open_model(ModelSpec(f"{NETS}/nets.py:{name}", weights=str(weights)))
    state = opened.model.state_dict()
    stored = load_file(weights)
    assert state.keys() == stored.keys()
    assert all(torch.equal(state[key], stored[key]) for key in stored)
    x = torch.rand(4, *((3, 32, 32) if "cifar" in name else (1, 28, 28)))
    assert answer(opened, x).shape == (4, 10)
    assert opened.notes == ()
