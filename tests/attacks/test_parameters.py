"""Whatever a caller hands over: it works, or one line says what would be right before anything is computed."""

import inspect
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import advtool
from advtool import training
from advtool.attacks.art import ArtAttack
from advtool.attacks.base import TensorAttack, no_report
from advtool.attacks.registry import ATTACKS
from advtool.data import Split
from advtool.errors import InputError
from advtool.settings import settings_of
from advtool.studies.score import score
from advtool.target.target import Target
from advtool.threat import ThreatModel
from advtool.training.recipes import takers
from tests.conftest import InProcess
from tests.support.models import mlp

SHAPE = (1, 4, 4)
X = torch.rand(4, *SHAPE, generator=torch.Generator().manual_seed(0))

VALUES: dict[str, Any] = {
    "None": None,
    "True": True,
    "empty text": "",
    "a number as text": "3",
    "-1": -1,
    "0": 0,
    "1.5": 1.5,
    "nan": float("nan"),
    "inf": float("inf"),
    "10**30": 10**30,
    "too many digits": 10**5000,
    "1e-320": 1e-320,
    "complex": 1j,
    "list": [],
    "list of one": [1],
    "dict": {},
    "bytes": b"3",
    "class": int,
    "tensor": torch.tensor(2),
    "long tensor": torch.zeros(1000),
    "array": np.array([2, 3]),
    "NumPy's nan": np.float32("nan"),
    "NumPy's True": np.bool_(True),
}
"""Of these only a few are right for some parameters."""
SMALL = {"steps": 2, "queries": 10, "samples": 4}
"""What keeps an attack short."""
PARAMETERS = [(name, parameter) for name, cls in ATTACKS.items() for parameter in [*cls.attack_params, "eps"]]
PARAMETERS.sort()


def model() -> nn.Module:
    return mlp(SHAPE).eval().requires_grad_(False)


def target() -> Target:
    return Target(model(), input_shape=SHAPE, classes=4)


def build(name: str, **parameters: Any) -> TensorAttack:
    cls = ATTACKS[name]
    accepted = inspect.signature(cls).parameters
    given = {key: value for key, value in SMALL.items() if key in accepted} | parameters
    threat_model = ThreatModel.of(given.pop("eps", 0.1))
    return cls(target(), threat_model, **given, **({"surrogate": target()} if name == "transfer" else {}))


def one_line(call: Callable[[], object]) -> str:
    """The message of a call that must be refused, one readable line."""
    with pytest.raises(InputError) as caught:
        call()
    message = str(caught.value)
    assert message == " ".join(message.split()), "one line"
    assert len(message) < 400, message
    return message


@pytest.mark.parametrize(("name", "parameter"), PARAMETERS)
def test_a_parameter_of_an_attack_is_refused_by_name_or_works(name: str, parameter: str) -> None:
    for what, value in VALUES.items():
        try:
            attack = build(name, **{parameter: value})
        except InputError:
            assert f"{parameter}=" in one_line(lambda value=value: build(name, **{parameter: value})), what
            continue
        assert what in ("None", "1.5", "1e-320"), "no other value is right for any parameter"
        json.dumps(attack.parameters(), allow_nan=False)
        found = attack.search(X, torch.arange(4), torch.Generator().manual_seed(0), no_report)
        assert found.x.isfinite().all(), what


@pytest.mark.parametrize(("name", "parameter"), PARAMETERS)
def test_numpys_numbers_are_as_good_as_pythons(name: str, parameter: str) -> None:
    if parameter == "loss":
        return
    if parameter == "eps":
        assert build(name, eps=np.float32(0.25)).threat_model == build(name, eps=0.25).threat_model
        return
    whole = not isinstance(getattr(build(name), parameter), float) and parameter != "patience"
    plain = 2 if whole or parameter == "reach" else 0.25
    numpys = (np.int64, np.uint8) if whole else (np.float64, np.float32, np.float16)
    for type_ in numpys:
        attack = build(name, **{parameter: type_(plain)})
        assert attack.parameters() == build(name, **{parameter: plain}).parameters()
        assert type(getattr(attack, parameter)) in (int, float)


def evaluate(**given: Any) -> advtool.Evaluation:
    arguments = {"attacks": ["fgsm"], "eps": 0.1} | given
    return advtool.evaluate(mlp(SHAPE), X, torch.arange(4), **arguments)


@pytest.mark.parametrize(
    "text",
    [
        "apgd(loss=3)",
        "apgd(loss=[1])",
        "apgd(loss=None)",
        "spsa(learning_rate=0)",
        "spsa(samples=[])",
        "spsa(delta='a')",
        "pgd(steps=1e400)",
        "pgd(steps=1000001)",
        f"pgd(steps={10**30})",
        "pgd(step_size=1e-40)",
        "pgd(step_size=1j)",
        "pgd(steps={1})",
        "pgd(steps=b'3')",
        "pgd(steps=...)",
        "square(patience=0)",
        "noise(samples=())",
        "apgd-targeted(finalists=0)",
    ],
)
def test_a_bad_parameter_on_the_command_line_names_attack_and_parameter(text: str) -> None:
    name, _, rest = text.partition("(")
    message = one_line(lambda: evaluate(attacks=[text]))
    assert message.startswith(f"{name}: {rest.partition('=')[0]}=")


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "(",
        ")",
        "pgd(",
        "pgd)",
        "pgd((steps=5))",
        "pgd(steps=5))",
        "pgd(steps=5)(steps=6)",
        "pgd(steps=5);",
        "pgd(steps=__import__('os'))",
        "pgd(steps=1+1)",
        "pgd(**{'steps': 5})",
        "pgd(*[5])",
        "pgd(steps=5, steps=6)",
        "pgd(steps=\n5\n",
        "pgd\n(steps=5)",
        "pgd(steps='\\d')",
        "pgd(steps={[]: 1})",
        "pgd(steps=\x00)",
        "pgd(steps=\udcff)",
        "ｐgd",
        "пгд(steps=5)",
        "pgd(шаги=5)",
        "art:",
        "art:()",
        "art:__class__",
        "art:EvasionAttack",
        "pgd" * 10_000,
        f"pgd({'x' * 10_000}=1)",
        f"pgd(steps={'(' * 1000}1{')' * 1000})",
        f"pgd(steps={'-' * 100_000}1)",
        f"pgd(steps={'9' * 5000})",
    ],
    ids=lambda text: repr(text[:30]),
)
def test_an_odd_spelling_is_refused_in_one_line(text: str) -> None:
    assert one_line(lambda: evaluate(attacks=[text])).startswith(("attack ", "pgd: steps='\\\\d'"))


@pytest.mark.parametrize("text", ["pgd()", "pgd( )", " pgd ", "pgd(steps=5,)", "pgd( steps = 5 )", "pgd(steps=(5))"])
def test_harmless_spellings_are_understood(text: str) -> None:
    (attack,) = evaluate(attacks=[text]).attacks
    assert attack.name == ("pgd(steps=5)" if "5" in text else "pgd")


@pytest.mark.parametrize(
    "attacks",
    [None, 3, int, b"pgd", {"pgd"}, {"pgd": 1}, [["pgd"]], ["pgd", None], [b"pgd"], np.array(["pgd"]), iter(["pgd"])],
    ids=lambda attacks: type(attacks).__name__,
)
def test_attacks_are_text(attacks: Any) -> None:
    assert one_line(lambda: evaluate(attacks=attacks)).startswith("attacks=")


def test_an_attack_itself_is_no_name_of_one() -> None:
    assert one_line(lambda: evaluate(attacks=ATTACKS["fgsm"])).startswith("attacks=")
    assert one_line(lambda: evaluate(attacks=[build("fgsm")])).startswith("attacks=")
    assert one_line(lambda: evaluate(attacks=())).startswith("no attack given")


# --- attacks of ART


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("art:DeepFool(max_iter=0)", "ValueError"),
        ("art:DeepFool(max_iter='a')", "ValueError"),
        ("art:DeepFool(max_iter=[])", "ValueError"),
        ("art:DeepFool(max_iter=1e400)", "max_iter=inf"),
        (f"art:DeepFool(max_iter={10**30})", "max_iter=1000"),
        ("art:DeepFool(epsilon=1j)", "epsilon=1j"),
        ("art:DeepFool(epsilon=b'a')", "epsilon=b'a'"),
        ("art:DeepFool(epsilon={1})", "epsilon={1}"),
        ("art:ProjectedGradientDescent(max_iter=None)", "TypeError"),
        ("art:BasicIterativeMethod(max_iter=-1)", "ValueError"),
        ("art:SNAL(max_iter=3)", "it needs candidates"),
        ("art:OverloadPyTorch(max_iter=3)", "it needs"),
        ("art:DPatch", "no attack on image classifiers"),
        ("art:DecisionTreeAttack", "no attack on image classifiers"),
        ("art:FeatureAdversariesNumpy", "The delta cannot be None"),
        ("art:AdversarialPatchPyTorch(patch_shape=(1, 4, 4), max_iter=1)", "fails on this model|patch"),
        ("art:CarliniL2Method(confidence='a')", "ValueError|TypeError"),
        ("art:SquareAttack(max_iter=0.5)", "ValueError|TypeError"),
        ("art:HopSkipJump(init_eval=0)", "ValueError"),
    ],
)
def test_an_attack_of_art_that_cannot_run_says_so_in_one_line(text: str, words: str) -> None:
    message = one_line(lambda: evaluate(attacks=[text]))
    assert text.partition("(")[0] in message
    assert any(word in message for word in words.split("|")), message


@pytest.mark.parametrize(
    "text",
    [
        "art:BoundaryAttack(max_iter=50, num_trial=10)",
        "art:SignOPTAttack(query_limit=500, max_iter=20)",
        "art:SaliencyMapMethod",
    ],
)
def test_an_attack_of_art_that_aims_at_a_class_aims_at_a_wrong_one(text: str) -> None:
    net = mlp(SHAPE)
    y = net(X).argmax(1)
    (attack,) = advtool.evaluate(net, X, y, eps=1.0, attacks=text).attacks
    assert attack.robust is not None
    assert attack.robust <= 2  # towards the true class all four stay


def test_parameters_of_art_come_out_as_plain_numbers() -> None:
    given = {"max_iter": np.int64(3), "epsilon": np.float32(0.5), "nb_grads": 10, "verbose": False}
    attack = ArtAttack(target(), ThreatModel.of(np.float64(0.1)), "DeepFool", given)
    assert json.loads(json.dumps(attack.parameters())) == {**given, "max_iter": 3, "epsilon": 0.5}
    assert attack.search(X, torch.arange(4), torch.Generator(), no_report).x.shape == X.shape


@pytest.mark.parametrize(
    ("name", "given", "parameter", "expected"),
    [
        ("pgd", {"eps": 0.2, "steps": 40}, "step_size", 0.01),
        ("spsa", {"eps": 0.3, "steps": 10}, "learning_rate", 0.06),
        ("spsa", {"eps": 0.03, "steps": 100}, "learning_rate", 0.01),
        ("pgd-smooth", {"eps": 0.03}, "deviation", 0.01),
        ("pgd-smooth", {"eps": 0.6}, "deviation", 0.1),
    ],
)
def test_defaults_that_follow_from_eps_reach_every_point_of_the_ball(
    name: str, given: dict[str, Any], parameter: str, expected: float
) -> None:
    assert getattr(build(name, **given), parameter) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("ProjectedGradientDescentPyTorch", {"max_iter": 40}, 0.01),
        ("BasicIterativeMethod", {"max_iter": 1}, 0.2),
        ("FastGradientMethod", {}, 0.2),
        ("AutoProjectedGradientDescent", {"max_iter": 40}, 0.4),
        ("ProjectedGradientDescentPyTorch", {"max_iter": 40, "eps_step": 0.03}, 0.03),
    ],
)
def test_an_attack_of_art_has_steps_that_fit_the_ball(name: str, given: dict[str, Any], expected: float) -> None:
    """ART's own default of 0.1 would be one size for every eps."""
    attack = ArtAttack(target(), ThreatModel(eps=0.2), name, given)
    assert attack._attack.eps_step == attack.parameters()["eps_step"] == pytest.approx(expected)
    assert attack._attack.eps == 0.2


@pytest.mark.parametrize("answer", [None, "text", [1, 2], X[:2].numpy(), X[..., :2].numpy(), (X.numpy(), X.numpy())])
def test_an_attack_of_art_that_gives_no_images_is_refused(answer: Any) -> None:
    attack = ArtAttack(target(), ThreatModel(eps=0.1), "DeepFool", {})
    attack._attack.generate = lambda **_: answer
    search = lambda: attack.search(X, torch.arange(4), torch.Generator(), no_report)  # noqa: E731
    assert one_line(search).startswith("art:DeepFool fails on this model: ")


def test_what_an_attack_of_art_prints_stays_out_of_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    attack = ArtAttack(target(), ThreatModel(eps=0.1), "DeepFool", {})

    def generate(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        print("step 1")
        return x

    attack._attack.generate = generate
    attack.search(X, torch.arange(4), torch.Generator(), no_report)
    assert capsys.readouterr() == ("", "")


# --- evaluations, sweeps, scores


@pytest.mark.parametrize("option", ["eps", "seed", "eot", "votes", "pgd_steps", "spsa_steps", "spsa_samples"])
def test_a_number_of_an_evaluation_is_refused_by_name_or_works(option: str) -> None:
    right = {"eps": {"1e-320"}, "seed": {"0"}, "eot": {"None"}, "votes": {"None"}}
    for what, value in VALUES.items():
        if what in right.get(option, ()):
            json.dumps(evaluate(**{option: value}).to_dict(), allow_nan=False)
        else:
            assert one_line(lambda value=value: evaluate(**{option: value})).startswith(f"{option}="), what


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("precision", "float16"),
        ("precision", None),
        ("precision", torch.float32),
        ("precision", []),
        ("device", 99),
        ("device", "gpu"),
        ("device", "meta"),
        ("device", []),
        ("device", 10**30),
        ("device", "cuda:99"),
        ("run_dir", 3),
        ("run_dir", b"runs"),
        ("run_dir", "a\0b"),
        ("run_dir", "x" * 10_000),
        ("dataset", "digits"),
        ("seed", 2**70),
        ("eps", torch.tensor(0.1)),
        ("eps", "0.1"),
    ],
)
def test_an_option_of_an_evaluation_is_refused_by_name(option: str, value: Any) -> None:
    assert one_line(lambda: evaluate(**{option: value})).startswith(option)


def test_numpys_numbers_are_as_good_as_pythons_for_an_evaluation() -> None:
    attacks = ["pgd", "spsa"]
    numbers = {"seed": 3, "eot": 2, "votes": 2, "pgd_steps": 2, "spsa_steps": 2, "spsa_samples": 4}
    numpys = {name: np.int32(number) for name, number in numbers.items()}
    plain = evaluate(attacks=attacks, eps=0.25, **numbers).to_dict()
    given = evaluate(attacks=attacks, eps=np.float32(0.25), **numpys).to_dict()
    for answer in (plain, given):
        json.dumps(answer)
        for attack in answer["attacks"]:
            del attack["seconds"]
    assert given == plain


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"seeds": 3}, "seeds=3 must be a list"),
        ({"seeds": None}, "seeds=None must be a list"),
        ({"seeds": "12"}, "seeds='12' must be a list"),
        ({"seeds": np.array(3)}, "seeds=array(3) must be a list"),
        ({"seeds": ["a", "b"]}, "seed='a' must be an integer"),
        ({"seeds": [1.0, 2.0]}, "seed=1.0 must be an integer"),
        ({"seeds": [[1], [2]]}, "seed=[1] must be an integer"),
        ({"seeds": [0, 2**70]}, "seed=1180591620717411303424 must be at most"),
        ({"seeds": [0, 1], "run_dirs": 3}, "run_dirs=3 must be a list"),
        ({"seeds": [0, 1], "run_dirs": [3, 4]}, "run_dirs=3 must be a path"),
        ({"seeds": [0, 1], "run_dirs": [None, None]}, "run_dirs must name a folder for each"),
    ],
)
def test_seeds_of_the_wrong_kind_are_refused(options: dict[str, Any], words: str) -> None:
    call = lambda: advtool.evaluate_seeds(mlp(SHAPE), X, torch.arange(4), attacks="fgsm", **options)  # noqa: E731
    assert words in one_line(call)


@pytest.mark.parametrize(
    ("sweep", "options", "words"),
    [
        (advtool.sweep_eps, {"eps": None}, "eps=None must be a list"),
        (advtool.sweep_eps, {"eps": 0.1}, "eps=0.1 must be a list"),
        (advtool.sweep_eps, {"eps": "0.1"}, "eps='0.1' must be a list"),
        (advtool.sweep_eps, {"eps": ["0.1"]}, "eps='0.1' is no number"),
        (advtool.sweep_eps, {"eps": [None, 0.1]}, "eps=None is no number"),
        (advtool.sweep_eps, {"eps": [False, 0.1]}, "eps=False is no number"),
        (advtool.sweep_eps, {"eps": [torch.tensor(0.1)]}, "eps=tensor(0.1000) is no number"),
        (advtool.sweep_eps, {"eps": []}, "at least one eps above 0"),
        (advtool.sweep_eps, {"eps": [0.1], "run_dir": 3}, "run_dir=3 must be a path"),
        (advtool.sweep_eot, {"draws": None}, "draws=None must be a list"),
        (advtool.sweep_eot, {"draws": 5}, "draws=5 must be a list"),
        (advtool.sweep_eot, {"draws": [0]}, "draws=0 must be an integer of at least 1"),
        (advtool.sweep_eot, {"draws": ["1", "2"]}, "draws='1' must be an integer of at least 1"),
        (advtool.sweep_eot, {"draws": [1, 10**30]}, "must be at most 1000000"),
    ],
)
def test_sweeps_over_the_wrong_kind_are_refused(
    sweep: Callable[..., object], options: dict[str, Any], words: str
) -> None:
    assert words in one_line(lambda: sweep(mlp(SHAPE), X, torch.arange(4), attacks="fgsm", **options))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: score(3, mlp(SHAPE)), "run 3 must be a path"),
        (lambda: score("r", mlp(SHAPE), seed="a"), "seed='a' must be an integer"),
        (lambda: score("r", mlp(SHAPE), seed=None), "seed=None must be an integer"),
        (lambda: score("r", mlp(SHAPE), votes=0), "votes=0 must be an integer of at least 1"),
        (lambda: advtool.compare(3, "r"), "run 3 must be a path"),
        (lambda: advtool.compare("a\0b", "r"), "cannot be a path"),
    ],
)
def test_other_questions_of_the_wrong_kind_are_refused(call: Callable[[], object], words: str) -> None:
    assert words in one_line(call)


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ("eval --seed -1", "--seed"),
        ("eval --eps nan", "--eps nan"),
        ("eval --eps 1e-400", "--eps 1e-400"),
        ("eval --eps 1e400/1e400", "--eps"),
        ("eval --images 1e3", "--images"),
        ("eval --images ²", "--images"),
        ("eval --precision float16", "--precision"),
        ("train both --precision float16", "--precision"),
        ("train both --learning-rate nan", "--learning-rate nan"),
        ("train both --epochs 1e3", "--epochs"),
        (f"train both --seed {10**30}", f"--seed {10**30} must be at most"),
        (f"train both --batch-size {10**30}", "--batch-size"),
    ],
)
def test_the_command_line_refuses_them_too(advtool_here: InProcess, command: str, named: str) -> None:
    assert named in advtool_here.refused(*command.split())


def test_the_command_line_refuses_bad_parameters_of_attacks(advtool_here: InProcess, digits_checkpoint: Path) -> None:
    question = ("eval", "--checkpoint", digits_checkpoint, "--images", "4", "--attack")
    assert "apgd: loss=3 must be one of ce, dlr" in advtool_here.refused(*question, "apgd(loss=3)")
    assert "art:DeepFool" in advtool_here.refused(*question, "art:DeepFool(max_iter=0)")


# --- training


class NoData:
    """Stands where data would be read."""

    def __call__(self, *_: object, **__: object) -> None:
        raise AssertionError("data was read before the arguments were checked")


SETTINGS = sorted(settings_of(training.Settings))


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_setting_of_the_wrong_kind_is_refused_before_data_is_read(
    monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    monkeypatch.setattr("advtool.training.prepared.load", NoData())
    recipe = next(name for name in ("pgd", "nfgsm", "apb", "adv", "ibp") if _takes(name, setting))
    needed = {"memories": {"bias": "multimodal"}, "fixed_examples": {"scenario": "both"}, "pnil_at": {"pnil": True}}
    right = {
        "learning_rate": {"1.5", "10**30", "1e-320"},
        "base_learning_rate": {"0", "1e-320"},
        "apb_eps": {"1.5", "1e-320"},
        "step_size": {"1e-320"},
        "bias_layers": {"list"},
        "pnil_at": {"list"},
        "arch_args": {"dict", "list", "empty text"},  # pairs of nothing
        "fixed_examples": {"empty text", "a number as text"},
        "stop_on_collapse": {"True"},
        "pnil": {"True"},
        "clip_examples": {"True"},
        "kappa": {"0", "1e-320"},
        "warm_up": {"0", "1e-320"},
        "ramp": {"1e-320"},
        "train_eps": {"1e-320"},
    }
    for what, value in VALUES.items():
        given = needed.get(setting, {}) | {setting: value}
        if what == "None" or what in right.get(setting, ()):
            assert training.recipe_for("digits", recipe, **given)
            continue
        message = one_line(lambda given=given: training.train("digits", recipe, **given))
        option = "unknown model" if setting == "arch" and isinstance(value, str) else f"--{setting.replace('_', '-')}"
        assert message.removeprefix("--warm-up 0.03 ").startswith(option), what


def _takes(recipe: str, setting: str) -> bool:
    return training.RECIPES[recipe] in takers(setting)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"keep": "pdg"},
            "--keep 'pdg': it must be one of pgd, loss, one-step, clean, certified, last (did you mean 'pgd'?)",
        ),
        ({"precision": "float16"}, "--precision 'float16': it must be one of auto, float32, bfloat16"),
        ({"schedule": "linear"}, "unknown setting 'schedule'"),
        ({"recipe": None}, "unknown recipe None"),
        ({"recipe": ["adv"]}, "unknown recipe ['adv']"),
        ({"arch": "lennet"}, "did you mean 'lenet'"),
        ({"epochs": 10**30}, "at most 1000000"),
        ({"eps": "0.1"}, "--eps '0.1': it must be a number in (0, 1]"),
        ({"eps": float("nan")}, "--eps nan"),
        ({"seed": 2**70}, "--seed"),
        ({"seed": "a"}, "--seed 'a'"),
        ({"seed": -1}, "--seed -1"),
        ({"seed": None}, "--seed None"),
        ({"device": "gpu"}, "device 'gpu' is unknown"),
        ({"device": None}, "device None is unknown"),
        ({"limit": 0}, "--limit 0"),
        ({"limit": "5"}, "--limit '5'"),
        ({"limit": 2.0}, "--limit 2.0"),
        ({"data_dir": 3}, "--data-dir 3"),
        ({"output": 3}, "--output 3"),
        ({"output": "/dev/null/model.safetensors"}, "--output"),
        ({"data": 3}, "--dataset 3"),
        ({"data": None}, "--dataset None"),
        ({"recipe": "adv", "fixed_examples": "none.safetensors"}, "no checkpoint at 'none.safetensors'"),
        ({"recipe": "adv", "fixed_examples": 3}, "--fixed-examples 3"),
        ({"recipe": "apb", "bias_layers": "linear1"}, "--bias-layers 'linear1': it must be a list"),
        ({"recipe": "nfgsm", "learning_rate": "0.1"}, "--learning-rate '0.1'"),
        ({"recipe": "apb", "apb_eps": 1e300}, "--apb-eps 1e+300"),
    ],
)
def test_an_argument_of_a_training_is_refused_before_data_is_read(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], words: str
) -> None:
    monkeypatch.setattr("advtool.training.prepared.load", NoData())
    assert words in one_line(lambda: training.train(**({"data": "digits", "recipe": "both"} | options)))


def test_images_that_choose_the_epoch_must_be_like_those_that_train(tiny: Split) -> None:
    others = [
        "tiny",
        replace(tiny, images=tiny.images[..., :4]),
        replace(tiny, classes=("a", "b", "d")),
        tiny[:0],
        replace(tiny, images=tiny.images / 255),
        replace(tiny, labels=tiny.labels + 1),
    ]
    for other in others:
        one_line(lambda other=other: training.train(tiny, "clean", arch="cnn", epochs=1, validation=other))


def test_images_that_train_must_be_as_a_split_says(tiny: Split) -> None:
    for data in (replace(tiny, images=tiny.images / 255), replace(tiny, labels=tiny.labels[:3]), tiny[:0]):
        assert "Split" in one_line(lambda data=data: training.train(data, "clean", arch="cnn", epochs=1))


def test_numpys_numbers_are_as_good_as_pythons_for_a_training(tiny: Split) -> None:
    def trained(whole: Callable[[int], Any], real: Callable[[float], Any]) -> Any:
        return training.train(
            tiny, "pgd", arch="cnn", eps=real(0.25), seed=whole(3), limit=whole(20), epochs=whole(1),
            batch_size=whole(8), learning_rate=real(0.125), step_size=real(0.125), pgd_steps=whole(2), pnil=True,
            eot=whole(1),
        )  # fmt: skip

    plain, numpys = trained(int, float), trained(np.int64, np.float32)
    assert numpys.header.recipe == plain.header.recipe
    assert type(numpys.header.seed) is int
    states: tuple[dict[str, Tensor], ...] = (plain.model.state_dict(), numpys.model.state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


@pytest.mark.parametrize(
    "options", [{"steps": "300"}, {"steps": 20.5}, {"steps": 10**30}, {"lowest": "a"}, {"highest": float("inf")}]
)
def test_a_range_test_refuses_them_too(monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]) -> None:
    monkeypatch.setattr("advtool.training.prepared.load", NoData())
    assert one_line(lambda: training.lr_range("digits", "nfgsm", **options)).startswith("--")


# --- random generators


def test_neither_imports_nor_an_evaluation_move_the_global_generators() -> None:
    code = """
import importlib, pickle, pkgutil, random, sys
import numpy as np, torch

def states():
    return pickle.dumps((random.getstate(), np.random.get_state(), torch.get_rng_state().numpy()))

random.seed(1); np.random.seed(1); torch.manual_seed(1)
before = states()
import advtool
from torch import nn
model = nn.Sequential(nn.Flatten(), nn.Linear(64, 4))
torch.manual_seed(1)
x = torch.linspace(0, 1, 256).view(4, 1, 8, 8)
advtool.evaluate(model, x, torch.arange(4), attacks=["fgsm", "art:SquareAttack(max_iter=3)"])
assert states() == before, "evaluate"
for module in pkgutil.walk_packages(advtool.__path__, "advtool."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
        assert states() == before, module.name
advtool.data.load("digits", "test")
assert states() == before, "digits"
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
