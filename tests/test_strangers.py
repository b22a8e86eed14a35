"""Nets that other groups trained: any of them gets in by one command, and none that is proved robust is broken."""

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import advtool
from advtool.attacks.registry import ATTACKS
from tests.conftest import Command

PUBLISHED = {
    "kw_mnist": 98.20,
    "kw_fashion_mnist": 78.27,
    "fast_mnist_fgsm": 98.50,
    "pgd_mnist_lenet": 98.64,
    "resnet2b_cifar": 69.25,
}
"""Clean accuracy on the whole test set, in per cent, as their authors or VNN-COMP print it."""
DATA = {"kw_fashion_mnist": "fashion-mnist", "resnet2b_cifar": "cifar10"}
NETS = (*PUBLISHED, "colt_mnist", "sdp_mnist_mlp", "mnistfc_2", "mnistfc_4", "mnistfc_6")


@pytest.fixture(scope="session")
def nets_dir() -> Path:
    """The folder of strangers' nets: ``ADVTOOL_NETS``, or ``shared/nets`` beside the repository."""
    folder = Path(os.environ.get("ADVTOOL_NETS") or Path(__file__).parents[2] / "shared" / "nets")
    if not (folder / "instances.json").is_file():
        pytest.skip("neither ADVTOOL_NETS nor ../shared/nets holds strangers' nets")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", NETS)
def test_each_is_evaluated_by_one_command(name: str, nets_dir: Path, data_dir: Path, advtool_command: Command) -> None:
    model = (f"{nets_dir}/nets.py:{name}", "--weights", nets_dir / f"{name}.safetensors")
    asked = ("--dataset", DATA.get(name, "mnist"), "--data-dir", data_dir, "--eps", "2/255")
    done = advtool_command("eval", *model, *asked, "--images", "all", "--attack", "fgsm", "--format", "json")
    document = json.loads(done.stdout)
    assert document["clean"]["total"] == 10_000
    accuracy = 100 * document["clean"]["accuracy"]
    assert accuracy > 50
    if name in PUBLISHED:
        assert accuracy == pytest.approx(PUBLISHED[name], abs=0.1)


def instances(nets_dir: Path, name: str) -> list[dict[str, Any]]:
    """The images with a verdict that complete verifiers agree on, proved robust."""
    verdicts = json.loads((nets_dir / "instances.json").read_text())
    return [each for each in verdicts if each["net"] == name and each["verdict"] == "robust"]


def net(nets_dir: Path, name: str) -> nn.Module:
    spec = importlib.util.spec_from_file_location("strangers_nets", nets_dir / "nets.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model: nn.Module = getattr(module, name)()
    model.load_state_dict(load_file(nets_dir / f"{name}.safetensors"))
    return model.eval()


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ["resnet2b_cifar", "mnistfc_2", "mnistfc_4", "mnistfc_6"])
def test_no_attack_breaks_what_is_proved_robust(name: str, precision: Any, nets_dir: Path, data_dir: Path) -> None:
    proved = instances(nets_dir, name)
    assert proved
    model = net(nets_dir, name)
    with np.load(data_dir / f"{DATA.get(name, 'mnist')}.npz") as archive:
        pixels = archive[f"x_{proved[0]['split']}"]
    for eps in sorted({each["eps"] for each in proved}):
        chosen = [each for each in proved if each["eps"] == eps]
        x = torch.from_numpy(pixels[[each["index"] for each in chosen]]).float() / 255
        x = x.unsqueeze(1) if x.ndim == 3 else x.permute(0, 3, 1, 2)
        y = torch.tensor([each["label"] for each in chosen])
        attacks = [attack for attack in ATTACKS if attack != "transfer"]
        result = advtool.evaluate(model, x, y, eps=eps, attacks=attacks, spsa_steps=40, precision=precision)
        assert result.clean.correct == len(chosen)
        assert {attack.name: attack.robust for attack in result.attacks} == dict.fromkeys(attacks, len(chosen))
