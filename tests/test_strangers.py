"""Nets that other groups trained: any of them gets in by one command, and none that is proved robust is broken."""

import json
from pathlib import Path
from typing import Any

import pytest

import advtool
from advtool.attacks.registry import ATTACKS
from tests.conftest import Command
from tests.support.strangers import DATA, by_eps, instances, net

PUBLISHED = {
    "kw_mnist": 98.20,
    "kw_fashion_mnist": 78.27,
    "fast_mnist_fgsm": 98.50,
    "pgd_mnist_lenet": 98.64,
    "resnet2b_cifar": 69.25,
}
"""Clean accuracy on the whole test set, in per cent, as their authors or VNN-COMP print it."""
NETS = (*PUBLISHED, "colt_mnist", "sdp_mnist_mlp", "mnistfc_2", "mnistfc_4", "mnistfc_6")


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


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ["resnet2b_cifar", "mnistfc_2", "mnistfc_4", "mnistfc_6"])
def test_no_attack_breaks_what_is_proved_robust(name: str, precision: Any, nets_dir: Path, data_dir: Path) -> None:
    proved = instances(nets_dir, name, "robust")
    assert proved
    model = net(nets_dir, name)
    for eps, (x, y) in by_eps(proved, data_dir).items():
        attacks = [attack for attack in ATTACKS if attack != "transfer"]
        result = advtool.evaluate(model, x, y, eps=eps, attacks=attacks, spsa_steps=40, precision=precision)
        assert result.clean.correct == len(y)
        assert {attack.name: attack.robust for attack in result.attacks} == dict.fromkeys(attacks, len(y))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mnistfc_2", "mnistfc_4", "mnistfc_6"])
def test_the_audit_breaks_what_autoattack_breaks(name: str, nets_dir: Path, data_dir: Path) -> None:
    """Of 22 images that complete verifiers call breakable. AutoAttack misses the first of ``mnistfc_2`` at eps 0.05."""
    breakable = instances(nets_dir, name, "breakable")
    assert breakable
    model = net(nets_dir, name)
    for eps, (x, y) in by_eps(breakable, data_dir).items():
        standing = advtool.evaluate(model, x, y, eps=eps, attacks="audit", planted=False).outcomes.worst_case
        missed = [0] if (name, eps) == ("mnistfc_2", 0.05) else []
        assert set(standing.nonzero().squeeze(1).tolist()) <= set(missed)
