"""Training by interval bounds: the bounds, the loss, how it grows, and that it gives robustness that is proved."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import advtool
from advtool import checkpoints, models, training
from advtool.checkpoints import Architecture
from advtool.compute.precision import products_in
from advtool.data import Split, first_images, load, to_float, train_validation
from advtool.errors import InputError
from advtool.threat import ThreatModel
from advtool.training import RECIPES, loop, recipe_for, validation
from advtool.training.bounds import bound_loss, initialise, layers_of, worst_case_logits
from advtool.training.schedule import Phase, falling, phase_of, schedule_of
from advtool.training.validation import measure
from tests.conftest import Command
from tests.support.linear import EPS, closed_form_slack, problem
from tests.support.trainings import batch, short


def built(name: str, shape: tuple[int, int, int] = (1, 12, 12)) -> nn.Module:
    return models.build(Architecture(name=name, input_shape=shape, classes=4)).eval()


def redrawn(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv2d | nn.Linear):
        layer.reset_parameters()


def worst(model: nn.Module, x: Tensor, y: Tensor, threat_model: ThreatModel) -> Tensor:
    return worst_case_logits(layers_of(model, RECIPES["ibp"], x[:1]), x, y, threat_model)


# The bounds


NETS = {name: built(name) for name in ("cnn", "lenet", "gowal")}
LAYERS = {name: layers_of(net, RECIPES["ibp"], torch.zeros(1, 1, 12, 12)) for name, net in NETS.items()}


@pytest.mark.parametrize("name", NETS)
@given(seed=st.integers(0, 10_000), eps=st.floats(0.001, 0.5))
def test_no_point_of_the_box_leaves_the_bounds_of_the_present_weights(name: str, seed: int, eps: float) -> None:
    torch.manual_seed(seed)
    model = NETS[name].apply(redrawn)
    x, y = torch.rand(3, 1, 12, 12), torch.randint(4, (3,))
    threat_model = ThreatModel(eps=eps)
    bounds = worst_case_logits(LAYERS[name], x, y, threat_model)
    for _ in range(5):
        corner = (x + eps * torch.randn_like(x).sign()).clamp(0, 1)
        for point in (threat_model.random_point(x), corner):
            z = model(point)
            assert (z - z.gather(1, y[:, None]) <= bounds + 1e-4).all()


def test_the_bounds_of_a_linear_model_are_exact() -> None:
    """The lowest margin is known in closed form; the bound of the difference of two bounds would miss it."""
    linear, x, y, _ = problem(classes=5, seed=0)
    layer = nn.Linear(linear.weight.shape[1], 5)
    layer.weight, layer.bias = linear.weight, linear.bias
    z_hat = worst(nn.Sequential(nn.Flatten(), layer), x, y, ThreatModel(eps=EPS)).double()
    assert z_hat.gather(1, y[:, None]).abs().max() < 1e-5
    others = z_hat.scatter(1, y[:, None], -torch.inf)
    torch.testing.assert_close(-others.amax(1), closed_form_slack(linear, x, y), rtol=1e-4, atol=1e-4)


def test_boxes_end_at_the_clip_range() -> None:
    """Above a black pixel there is room, below it there is none: ``-x`` cannot rise above 0."""
    layer = nn.Linear(1, 2, bias=False)
    layer.weight.data = torch.tensor([[0.0], [-1.0]])
    z_hat = worst(nn.Sequential(nn.Flatten(), layer), torch.zeros(1, 1, 1, 1), torch.tensor([0]), ThreatModel(eps=0.3))
    assert z_hat.tolist() == [[0.0, 0.0]]


def test_at_eps_0_the_bounds_are_the_logits() -> None:
    model = built("gowal")
    x, y = batch((4, 1, 12, 12), classes=4)
    z = model(x)
    torch.testing.assert_close(worst(model, x, y, ThreatModel(eps=0.0)), z - z.gather(1, y[:, None]))


# The loss


def transcribed(model: nn.Sequential, x: Tensor, y: Tensor, eps: float, kappa: float) -> Tensor:
    """The loss of Gowal et al. for one hidden layer, image by image and class by class.

    The lower bound is ``W+ low + W- high + b`` with the positive and the negative part of W, the upper one the other
    way round; ReLU keeps the order; the last layer is merged into ``z_j - z_y``.
    """
    (W1, b1), (W2, b2) = ((layer.weight, layer.bias) for layer in (model[1], model[3]))
    losses = []
    for image, label in zip(x.flatten(1), y, strict=True):
        low, high = (image - eps).clamp(0, 1), (image + eps).clamp(0, 1)
        low, high = (
            W1.clamp(min=0) @ low + W1.clamp(max=0) @ high + b1,
            W1.clamp(min=0) @ high + W1.clamp(max=0) @ low + b1,
        )
        low, high = low.clamp(min=0), high.clamp(min=0)
        worst = []
        for j in range(len(b2)):
            c = W2[j] - W2[label]
            worst.append(c.clamp(min=0) @ high + c.clamp(max=0) @ low + b2[j] - b2[label])
        z = W2 @ (W1 @ image + b1).clamp(min=0) + b2
        clean, robust = (logits.exp().sum().log() - logits[label] for logits in (z, torch.stack(worst)))
        losses.append(kappa * clean + (1 - kappa) * robust)
    return torch.stack(losses).mean()


def hidden_layer() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3))


def test_the_loss_and_its_gradient_against_a_transcription() -> None:
    model = hidden_layer()
    x, y = batch((6, 1, 4, 4), classes=3)
    found = bound_loss(
        model, layers_of(model, RECIPES["ibp"], x[:1]), x, y, Phase(eps=0.07, kappa=0.6), ThreatModel(eps=0.3)
    )
    expected = transcribed(model, x, y, eps=0.07, kappa=0.6)
    torch.testing.assert_close(found, expected)
    parameters = list(model.parameters())
    for own, theirs in zip(*(torch.autograd.grad(loss, parameters) for loss in (found, expected)), strict=True):
        torch.testing.assert_close(own, theirs)


def test_the_training_takes_eps_and_kappa_from_how_much_is_done(monkeypatch: pytest.MonkeyPatch, tiny: Split) -> None:
    phases: list[Phase] = []

    def spy(*arguments: Any) -> Tensor:
        phases.append(arguments[4])
        return bound_loss(*arguments)

    monkeypatch.setattr(loop, "bound_loss", spy)
    short(tiny, "ibp", epochs=5, batch_size=18, eps=0.15, warm_up=0.2, ramp=0.4)  # 36 images
    assert [phase.eps for phase in phases] == pytest.approx([0, 0, 0, 0.05, 0.1, 0.15, 0.2, 0.2, 0.2, 0.2])
    assert [phase.kappa for phase in phases] == pytest.approx([1, 1, 1, 0.875, 0.75, 0.625, 0.5, 0.5, 0.5, 0.5])


# Its growth


@pytest.mark.parametrize(
    ("done", "share"), [(0.0, 0.0), (0.1, 0.0), (0.2, 0.25), (0.3, 0.5), (0.5, 1.0), (0.8, 1.0), (1.0, 1.0)]
)
def test_eps_rises_and_kappa_falls_after_the_warm_up(done: float, share: float) -> None:
    recipe = recipe_for("mnist", "ibp", warm_up=0.1, ramp=0.4, kappa=0.2)
    assert phase_of(recipe, 0.3, done) == pytest.approx((0.4 * share, 1 - 0.8 * share))


def test_by_default_eps_grows_over_half_of_the_steps_after_a_short_warm_up() -> None:
    recipe = recipe_for("mnist", "ibp")
    found = [phase_of(recipe, 0.3, done) for done in (0.03, 0.28, 0.53, 1.0)]
    assert found == [pytest.approx(phase) for phase in ((0, 1), (0.2, 0.75), (0.4, 0.5), (0.4, 0.5))]


def test_the_radius_of_training_is_four_thirds_of_eps_and_within_the_range() -> None:
    assert recipe_for("mnist", "ibp").radius(0.3) == pytest.approx(0.4)
    assert recipe_for("mnist", "ibp").radius(0.9) == 1
    assert recipe_for("mnist", "ibp", train_eps=0.25).radius(0.3) == 0.25


def test_the_learning_rate_falls_once_eps_has_grown() -> None:
    rate = falling(high=0.1, after=0.6, steps=10)
    assert [rate(step) for step in range(11)] == pytest.approx([0.1] * 7 + [0.075, 0.05, 0.025, 0.0])
    recipe = recipe_for("mnist", "ibp", warm_up=0.1, ramp=0.4)
    assert [schedule_of(recipe, 100)(step) for step in (0, 50, 75)] == pytest.approx([2e-3, 2e-3, 1e-3])


def test_a_ramp_without_a_rest_trains_to_its_end() -> None:
    assert [falling(high=0.1, after=1.0, steps=4)(step) for step in range(4)] == [0.1] * 4


def test_the_initial_weights_keep_the_size_of_the_bounds() -> None:
    """E|w| = sqrt(2 / pi) sigma, so n weights of sigma = sqrt(2 pi) / n add up to 2, which a ReLU halves."""
    torch.manual_seed(0)
    model = built("gowal", (1, 28, 28))
    initialise(model)
    for layer in (model.conv2, model.linear1):
        assert layer.weight.flatten(1).abs().sum(1).mean().item() == pytest.approx(2, rel=0.05)
        assert layer.weight.mean().abs() < 0.06 * layer.weight.std()
    assert not torch.cat([layer.bias for layer in (model.conv1, model.conv2, model.linear1, model.linear2)]).any()


# A whole training


def test_a_tie_of_the_bounds_is_no_proof(tiny: Split) -> None:
    """A model that gives all classes the same logits has no worst case below 0, and none above."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    layers = layers_of(model, RECIPES["ibp"], to_float(tiny.images[:1]))
    recipe = recipe_for("mnist", "ibp", precision="float32")
    measured = measure(
        model, recipe, tiny, threat_model=ThreatModel(eps=0.1), generator=torch.Generator(), layers=layers
    )
    assert (measured.certified, measured.clean) == (0, 14 / 40)


def test_what_is_measured_is_measured_in_float32_though_the_training_has_tf32(
    tiny: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    layers = layers_of(model, RECIPES["ibp"], to_float(tiny.images[:1]))
    seen: list[str] = []

    def note(*_: object) -> None:
        if not torch.is_grad_enabled():  # else examples are searched
            seen.append(torch.backends.cuda.matmul.fp32_precision)

    def bounds(*args: Any) -> Tensor:
        note()
        return worst_case_logits(*args)

    model.register_forward_hook(note)
    monkeypatch.setattr(validation, "worst_case_logits", bounds)
    recipe = recipe_for("mnist", "ibp", precision="float32")
    with products_in("tf32", [torch.backends.cuda.matmul]):
        measure(model, recipe, tiny, threat_model=ThreatModel(eps=0.1), generator=torch.Generator(), layers=layers)
    assert seen == ["ieee"] * 4, "PGD, clean, one step, bounds"


def proved(model: nn.Module, split: Split, eps: float) -> float:
    z_hat = worst(model, to_float(split.images), split.labels, ThreatModel(eps=eps))
    others = z_hat.scatter(1, split.labels[:, None], -1.0)
    return (others.amax(1) < 0).float().mean().item()


@pytest.mark.slow
def test_the_command_trains_a_model_that_is_proved_robust_where_a_plain_one_is_not(
    advtool_command: Command, digits: Split
) -> None:
    """Of three seeds the lowest was 0.78."""
    options = ("--eps", "0.05", "--epochs", "20", "--arch", "cnn", "--device", "cpu")
    path = advtool_command("train", "ibp", *options).stdout.strip()
    model = models.load_checkpoint(advtool_command.folder / path)
    test, validation = load("digits", "test"), train_validation(digits)[1]
    assert proved(model, test, 0.05) > 0.65
    assert proved(training.train(digits, "clean", arch="cnn", epochs=10).model, test, 0.05) < 0.1
    header = checkpoints.read_header(advtool_command.folder / path)
    assert header.metrics["certified_accuracy"] == pytest.approx(proved(model, validation, 0.05), abs=1e-6)
    card = advtool_command("show", path).stdout
    assert "% by interval bounds" in card
    assert "┃ certified ┃" in card


def test_an_evaluation_proves_what_the_training_proved(digits: Split) -> None:
    """Linear bounds over the images alone miss 9 of these 58 images."""
    model = training.train(digits, "ibp", arch="gowal", epochs=20, eps=0.1, limit=600).model
    test = first_images(load("digits", "test"), 200)
    x, y = to_float(test.images), test.labels
    surely = worst(model, x, y, ThreatModel(eps=0.1)).scatter(1, y[:, None], -1.0).amax(1) < -0.02
    found = advtool.certify(model, x, y, eps=0.1, seconds=0.0).certified
    assert surely.sum() > 30
    assert found[surely].all()


def test_certified_never_exceeds_what_attacks_leave_and_chooses_the_epoch(digits: Split) -> None:
    header = training.train(digits, "ibp", arch="cnn", epochs=12, eps=0.05, seed=1).header
    history = header.metrics["history"]
    assert len(history) == 12
    assert all(epoch["certified"] <= epoch["one_step"] <= epoch["clean"] for epoch in history)
    assert header.metrics["certified_accuracy"] == max(epoch["certified"] for epoch in history)
    assert header.recipe["keep"] == "certified"


def test_the_card_holds_what_is_needed_to_repeat(tiny: Split) -> None:
    recipe = short(tiny, "ibp", eps=0.15, epochs=1).header.recipe
    own = {"examples": "interval bounds", "train_eps": pytest.approx(0.2), "kappa": 0.5, "schedule": "falling"}
    assert recipe == recipe | own
    assert not {"for_dataset", "eot", "step_size", "pnil"} & recipe.keys()
    assert not {"kappa", "train_eps", "warm_up", "ramp"} & short(tiny, "both", epochs=1).header.recipe.keys()


def test_the_data_sets_own_architecture_gives_way() -> None:
    assert recipe_for("cifar10", "ibp").arch == "gowal"
    assert recipe_for("cifar10", "pgd").arch == "resnet11"
    assert recipe_for("cifar10", "ibp", arch="cnn").arch == "cnn"
    assert (recipe_for("digits", "ibp").epochs, RECIPES["ibp"].epochs) == (60, 50)


@pytest.mark.parametrize(
    ("recipe", "options", "words"),
    [
        ("ibp", {"kappa": 1.0}, r"--kappa 1.0: it must lie in \[0, 1\)"),
        ("ibp", {"kappa": float("nan")}, "--kappa nan"),
        ("ibp", {"train_eps": 1.5}, r"--train-eps 1.5: it must lie in \(0, 1\]"),
        ("ibp", {"warm_up": 0.6}, r"--warm-up 0.6 --ramp 0.5: .*at most 1 together"),
        ("ibp", {"ramp": 0.0}, "--ramp 0.0"),
        ("ibp", {"step_size": 0.1}, "--step-size does not go with the recipe 'ibp'"),
        ("ibp", {"arch": "resnet11"}, r"--arch resnet11 does not go .* 'ibp' \(its own is gowal\): layer 'norm'"),
        ("nfgsm", {"kappa": 0.5}, "--kappa does not go with the recipe 'nfgsm', only with ibp"),
        ("nfgsm", {"keep": "certified"}, "--keep certified does not go with the recipe 'nfgsm', only with ibp"),
    ],
)
def test_bad_options_are_named(tiny: Split, recipe: str, options: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        short(tiny, recipe, **options)
