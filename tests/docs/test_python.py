"""Every script of docs/python.md runs as it stands. Trackers, and Lightning where it is absent, are stand-ins."""

import re
import sys
from collections.abc import Iterable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

import advtool
from advtool.models.noise import input_pnil

PAGE = Path(__file__).parents[2] / "docs" / "python.md"
SCRIPTS = dict(
    re.findall(r"^## ([^\n]+)$(?:(?!^## ).)*?```python\n(.*?)```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
)


def run(section: str) -> dict[str, Any]:
    torch.manual_seed(0)
    names: dict[str, Any] = {}
    exec(compile(SCRIPTS[section], f"docs/python.md, {section}", "exec"), names)
    return names


def stand_in(monkeypatch: pytest.MonkeyPatch, name: str, **content: Any) -> None:
    module = ModuleType(name)
    vars(module).update(content)
    monkeypatch.setitem(sys.modules, name, module)


def test_the_page_has_a_script_of_each() -> None:
    assert list(SCRIPTS) == ["With ART", "In a PyTorch loop", "APB in a PyTorch loop", "With Lightning", "Tracking"]


def test_art_users_run_our_attacks_and_arts_on_one_classifier(capsys: pytest.CaptureFixture[str]) -> None:
    names = run("With ART")
    told = dict(line.split(": ") for line in capsys.readouterr().out.splitlines() if "%" in line)
    assert list(told) == ["PGD", "SPSA", "SquareAttack"]
    x, y, classifier = names["x"], names["y"], names["classifier"]
    for attack in names["attacks"][:2]:
        x_adv = attack.generate(x, y)
        assert abs(x_adv - x).max() <= 0.1 + 1e-6
        assert (classifier.predict(x_adv).argmax(1) == y).sum() <= (classifier.predict(x).argmax(1) == y).sum()


def test_every_function_of_perturb_is_in_the_table() -> None:
    listed = set(re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), re.MULTILINE))
    assert listed == {name for name, value in vars(advtool.perturb).items() if callable(value)}


def test_the_loop_with_nfgsm_trains_the_net_and_the_noise() -> None:
    names = run("In a PyTorch loop")
    layer, net = input_pnil(names["model"]), names["net"]
    assert layer is not None
    assert (layer.B != -4).any()
    assert not torch.equal(names["model"].inner[1].weight, net[1].weight)
    assert (names["result"].eot, names["result"].votes) == (20, 20)


def test_the_loop_with_apb_gives_a_plain_network_with_another_bias() -> None:
    names = run("APB in a PyTorch loop")
    result, net = names["result"], names["net"]
    assert [type(layer) for layer in result] == [nn.Flatten, nn.Linear, nn.ReLU, nn.Linear]
    assert list(result.state_dict()) == ["1.weight", "1.bias", "3.weight", "3.bias"]
    moved = (result[3].bias - net[3].bias).abs()
    torch.testing.assert_close(moved, torch.full_like(moved, 0.03))


class LightningModule(nn.Module):
    """As much of Lightning's as the page's script needs."""

    def log(self, name: str, value: torch.Tensor) -> None:
        vars(self).setdefault("logged", []).append((name, float(value)))


class Trainer:
    """Fits as Lightning does: a step for each batch, then validation in inference mode and in eval mode."""

    def __init__(self, **options: Any) -> None:
        self.epochs = options["max_epochs"]

    def fit(self, module: Any, batches: Iterable[Any], validation: Iterable[Any]) -> None:
        optimizer = module.configure_optimizers()
        for _ in range(self.epochs):
            for index, batch in enumerate(batches):
                loss = module.train().training_step(batch, index)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            with torch.inference_mode():
                for index, batch in enumerate(validation):
                    module.eval().validation_step([part.clone() for part in batch], index)


@pytest.mark.filterwarnings("default")  # Lightning's own
def test_the_lightning_module_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    if find_spec("lightning") is None:
        stand_in(monkeypatch, "lightning", LightningModule=LightningModule, Trainer=Trainer)
    import_module("lightning")  # before the seed, whatever it draws
    net, result = (run("With Lightning")[name] for name in ("net", "result"))
    torch.manual_seed(0)
    untrained = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    pairs = zip(net.parameters(), untrained.parameters(), strict=True)
    assert all(0 < (trained - start).abs().max() <= 2.1e-3 for trained, start in pairs), "two steps of Adam at 1e-3"
    assert result.clean.total == 16


def test_trackers_get_figures_of_the_evaluation_and_of_each_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[tuple[dict[str, float], int | None]] = []

    def log(metrics: dict[str, float], step: int | None = None) -> None:
        logged.append((metrics, step))

    stand_in(monkeypatch, "mlflow", log_metrics=log)
    stand_in(monkeypatch, "wandb", log=log)
    result = run("Tracking")["result"]
    (mlflow, _), (wandb, _), *epochs = logged
    assert mlflow == wandb == result.metrics()
    assert {"worst_case/accuracy", "attacks/pgd/interval_low", "warnings/masking"} <= mlflow.keys()
    assert [step for _, step in epochs] == [1, 2]
    assert {"training/loss", "training/learning_rate", "validation/pgd"} <= epochs[0][0].keys()
    assert all(type(value) is float for metrics, _ in logged for value in metrics.values())
