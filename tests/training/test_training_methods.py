"""The papers' methods and the precisions, through whole trainings; and the settings that do not go together."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from advtool import checkpoints, models
from advtool.checkpoints import Architecture
from advtool.compute import precision
from advtool.data import Split, first_images, to_float, train_validation
from advtool.errors import InputError
from advtool.models.bias import PerturbedLinear
from advtool.results import Validated
from advtool.threat import ThreatModel
from advtool.training import loop, recipe_for, validation
from advtool.training.examples import craft
from advtool.training.fixed import precompute
from advtool.training.validation import measure, pgd_images
from tests.support.trainings import draws, equal, short


@pytest.mark.parametrize("bias", ["naive", "multimodal"])
def test_a_saved_perturbation_bias_is_a_plain_model_with_the_trained_logits(
    digits: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bias: str
) -> None:
    trained_logits: list[Tensor] = []
    x = to_float(digits.images[:50])

    def spy(model: nn.Module, *args: object, **kwargs: object) -> Validated:
        trained_logits.append(model.eval()(x).detach())
        return measure(model, *args, **kwargs)

    monkeypatch.setattr(loop, "measure", spy)
    output = tmp_path / "m.safetensors"
    short(digits, "apb", arch="lenet", bias=bias, limit=256, output=output)
    header, tensors = checkpoints.read(output)
    model = models.load_checkpoint(output)
    assert tensors.keys() == models.build(header.architecture).state_dict().keys()
    expected = trained_logits[header.metrics["epoch"] - 1]
    torch.testing.assert_close(model(x), expected, rtol=0, atol=1e-5)


def test_only_the_named_layers_get_a_perturbation_bias(digits: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    perturbed: set[str] = set()

    def spy(model: nn.Module, *args: object, **kwargs: object) -> Validated:
        perturbed.update(name for name, module in model.named_modules() if isinstance(module, PerturbedLinear))
        return measure(model, *args, **kwargs)

    monkeypatch.setattr(loop, "measure", spy)
    chosen = ("linear1", "linear3")
    header = short(digits, "apb", arch="lenet", bias_layers=chosen, limit=64, epochs=1).header
    assert perturbed == set(chosen)
    assert header.recipe["bias_layers"] == list(chosen)


def test_fixed_examples_are_made_once_and_reported_apart(digits: Split, tmp_path: Path) -> None:
    source = tmp_path / "source.safetensors"
    other = short(digits, "clean", limit=256, output=source).model
    trained = short(digits, "adv", limit=256, epochs=6, learning_rate=5e-3, fixed_examples=source)
    metrics = trained.header.metrics
    _, validation = train_validation(digits)
    fixed = craft(
        other,
        to_float(validation.images),
        validation.labels,
        "fgsm",
        threat_model=ThreatModel(eps=0.3),
        generator=draws(),
    )
    expected = (trained.model(fixed).argmax(1) == validation.labels).float().mean().item()
    assert metrics["fixed_examples_accuracy"] == pytest.approx(expected, abs=2 / len(validation))
    assert metrics["fixed_examples_accuracy"] > metrics["one_step_accuracy"] + 0.2
    assert trained.header.recipe["fixed_examples"] == str(source)
    assert len(trained.header.recipe["fixed_examples_sha256"]) == 64


def test_fixed_examples_are_of_the_other_model_as_it_predicts(tiny: Split, tmp_path: Path) -> None:
    """In eval mode: its batch norm has the statistics of its training, not of a batch of examples."""
    source = tmp_path / "source.safetensors"
    other = short(tiny, "clean", arch="resnet11", arch_args={"width": 4}, epochs=1, output=source).model
    threat_model = ThreatModel(eps=0.1)
    found = precompute(source, tiny, tiny, threat_model=threat_model, seed=0).training
    x, y = to_float(tiny.images), tiny.labels
    expected = craft(other, x, y, "fgsm", threat_model=threat_model, generator=draws())
    in_training = craft(other.train(), x, y, "fgsm", threat_model=threat_model, generator=draws())
    assert (found - expected).abs().max() < 1e-6
    assert (found - in_training).abs().max() > 0.1, "batch norm decides nothing"


def test_fixed_examples_of_another_shape_are_refused(tiny: Split, digits: Split, tmp_path: Path) -> None:
    source = tmp_path / "source.safetensors"
    short(tiny, "clean", epochs=1, output=source)
    with pytest.raises(InputError, match=r"--fixed-examples.*source.*1x28x28"):
        short(digits, "adv", fixed_examples=source)


def test_pgd_on_a_noisy_model_sums_gradients_and_averages_predictions(digits: Split) -> None:
    few = first_images(digits, 100)
    architecture = Architecture(name="cnn", input_shape=digits.shape, classes=10, options={"pnil": [""]})
    model = models.build(architecture).eval()
    recipe = recipe_for("digits", "nfgsm", pnil=True, precision="float32")
    torch.manual_seed(3)
    measured = measure(model, recipe, few, threat_model=ThreatModel(eps=0.1), generator=draws())
    torch.manual_seed(3)
    seen = pgd_images(few)
    x, y = to_float(seen.images), seen.labels
    x_adv = craft(model, x, y, "pgd", threat_model=ThreatModel(eps=0.1), generator=draws(), steps=10, eot=5)
    mean_softmax = sum(model(x_adv).softmax(1) for _ in range(5)) / 5
    assert measured.pgd == pytest.approx((mean_softmax.argmax(1) == y).float().mean().item(), abs=0.02)
    assert measured.adversarial_loss == pytest.approx(-mean_softmax[torch.arange(100), y].log().mean().item(), rel=1e-4)


def test_one_step_examples_of_the_validation_are_those_of_the_training(
    tiny: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training on many steps or on bounds has none, and is measured by FGSM."""
    asked: list[tuple[Any, ...]] = []

    def spy(model: nn.Module, x: Tensor, y: Tensor, kind: str, **settings: Any) -> Tensor:
        del settings["threat_model"], settings["generator"]
        asked.append((kind, settings))
        return x

    monkeypatch.setattr(validation, "craft", spy)
    model = models.build(Architecture(name="cnn", input_shape=tiny.shape, classes=3))
    own = {"pnil": True, "eot": 3, "step_size": 0.05}
    for name, settings in (("nfgsm", own), ("pgd", {"pgd_steps": 3}), ("ibp", {"arch": "cnn"}), ("both", {})):
        recipe = recipe_for("mnist", name, **settings, precision="float32")
        measure(model, recipe, tiny, threat_model=ThreatModel(eps=0.1), generator=draws())
    pgd = ("pgd", {"steps": 10, "eot": 1})
    assert asked == [
        ("pgd", {"steps": 10, "eot": 5}),
        ("nfgsm", {"eot": 3, "step_size": 0.05, "clip": False}),
        *(pgd, ("fgsm", {})),
        *(pgd, ("fgsm", {})),
        *(pgd, ("fgsm", {"eot": 1})),
    ]


def test_noise_layers_come_back_and_their_levels_are_in_the_card(tiny: Split, tmp_path: Path) -> None:
    output = tmp_path / "m.safetensors"
    trained = short(tiny, "nfgsm", pnil=True, pnil_at=("conv2",), output=output)
    assert trained.header.architecture.options == {"pnil": ["", "conv2"]}
    assert 0.05 < trained.header.metrics["noise_border"] < 0.3
    assert trained.header.metrics["pgd_draws"] == 5
    assert short(tiny, "nfgsm", epochs=1).header.metrics["pgd_draws"] == 1
    model = models.load_checkpoint(output)
    x = torch.rand(3, 1, 8, 8)
    assert not torch.equal(model(x), model(x))


# Precision


def test_a_run_in_bfloat16_repeats_and_keeps_float32_weights(tiny: Split) -> None:
    first, second = (short(tiny, "nfgsm", arch="resnet11", precision="bfloat16") for _ in range(2))
    assert first.header.recipe["precision"] == "bfloat16"
    assert equal(first, second)
    assert {tensor.dtype for tensor in first.model.state_dict().values()} == {torch.float32, torch.int64}
    assert not equal(first, short(tiny, "nfgsm", arch="resnet11", precision="float32"))


@pytest.mark.parametrize("units", [True, False])
def test_auto_is_bfloat16_for_wide_convolutions_where_the_device_has_units(
    monkeypatch: pytest.MonkeyPatch, units: bool
) -> None:
    monkeypatch.setattr(precision, "has_bfloat16_units", lambda _: units)
    shape = (1, 28, 28)
    chosen = {
        name: precision.resolve(
            "auto", models.build(Architecture(name=name, input_shape=shape, classes=10)), torch.device("cpu")
        )
        for name in models.ARCHITECTURES
    }
    assert chosen == {
        "lenet": "float32",
        "cnn": "float32",
        "gowal": "float32",
        "resnet11": "bfloat16" if units else "float32",
    }


# Bad input


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"recipe": "bot"}, r"unknown recipe 'bot'.*'both'"),
        ({"arch": "lennet"}, r"unknown model 'lennet'.*'lenet'"),
        ({"arch": "lenet"}, r"8x8 pixels are too small.*12x12"),
        ({"epochs": 0}, r"--epochs 0.*at least 1"),
        ({"batch_size": 0}, r"--batch-size 0.*at least 1"),
        ({"learning_rate": 0.0}, r"--learning-rate 0.0.*positive"),
        ({"learning_rate": float("nan")}, r"--learning-rate nan.*positive"),
        ({"limit": 0}, r"--limit 0: it must be an integer of at least 1"),
        ({"limit": 37}, r"--limit 37.*1\.\.36"),
        ({"eps": 0.0}, r"--eps 0.0.*\(0, 1\]"),
        ({"eps": 8.0}, r"--eps 8.0.*\(0, 1\]"),
        ({"recipe": "nfgsm", "bias": "naive"}, r"--bias does not go with the recipe 'nfgsm', only with clean, adv"),
        ({"recipe": "adv", "pnil": True}, r"--pnil does not go with the recipe 'adv', only with fgsm, r\+fgsm"),
        ({"recipe": "fgsm", "step_size": 0.1}, r"--step-size does not go with the recipe 'fgsm', only with r\+fgsm"),
        ({"recipe": "rfgsm", "clip_examples": True}, r"--clip-examples does not go with.*'rfgsm', only with nfgsm"),
        ({"recipe": "nfgsm", "pgd_steps": 7}, r"--pgd-steps does not go with.*'nfgsm', only with pgd"),
        ({"recipe": "adv", "scenario": "both"}, r"--scenario does not go with.*'adv', only with apb"),
        (
            {"recipe": "apb", "memories": 3},
            r"--memories does not go with bias naive \(recipe 'apb'\), only with bias multimodal",
        ),
        ({"recipe": "adv", "apb_eps": 0.1}, r"--apb-eps does not go with bias plain.*bias naive or bias multimodal"),
        ({"recipe": "apb", "bias": "plain"}, r"--bias plain does not go with the recipe 'apb'.*'clean'"),
        ({"recipe": "apb", "fixed_examples": Path("m")}, r"--fixed-examples does not go with scenario clean"),
        ({"recipe": "clean", "stop_on_collapse": True}, r"--stop-on-collapse does not go with scenario clean"),
        ({"recipe": "nfgsm", "pnil_at": ("conv2",)}, r"--pnil-at needs --pnil \(recipe 'nfgsm'\)"),
        ({"recipe": "adv", "bias_layers": ("linear1",)}, r"--bias-layers does not go with bias plain .*bias naive or"),
        (
            {"recipe": "apb", "bias_layers": ("linear9",)},
            r"--bias-layers: the model has no fully connected layer 'linear9'",
        ),
        ({"recipe": "adv", "base_learning_rate": 1e-5}, r"--base-learning-rate does not go with the recipe 'adv'"),
        ({"recipe": "nfgsm", "base_learning_rate": 0.01}, r"--base-learning-rate 0.01.*below --learning-rate"),
        ({"recipe": "nfgsm", "eot": 0}, r"--eot 0.*at least 1"),
        *(
            ({"recipe": recipe, "step_size": size}, rf"--step-size {size}.*\(0, 1\]")
            for recipe in ("r+fgsm", "rfgsm", "nfgsm", "pgd")
            for size in (-1.0, 0.0, 1.5, float("nan"))
        ),
        ({"recipe": "r+fgsm", "step_size": 0.4}, r"--step-size 0.4: for r\+fgsm .*\(0, 0.0313725\]"),
        ({"recipe": "r+fgsm", "eps": 0.1, "step_size": 0.2}, r"--step-size 0.2: for r\+fgsm .*\(0, 0.1\]"),
        ({"learning_rate": 1e30}, r"diverged.*epoch \d.*--learning-rate below 1e\+30"),
        # One batch, so that nothing but weights and validation can tell.
        ({"recipe": "clean", "epochs": 1, "batch_size": 64, "learning_rate": 1e38}, "diverged: a weight became NaN or"),
        ({"learning_rate": 1e19, "epochs": 1, "batch_size": 64}, "diverged: the adversarial loss became NaN or"),
    ],
)
def test_bad_options_are_named_with_the_right_value(tiny: Split, options: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        short(tiny, **options)
